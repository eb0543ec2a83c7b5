//! Requirements on every registered generator and every mode of the GAN, the autoencoder against PyTorch, and a generator from
//! outside the crate.

#[path = "../../../../tests/goldens/golden.rs"]
mod golden;

mod autoencoder;
mod conformance;
mod outside;
mod parts;
mod settings;
mod task_loss;
