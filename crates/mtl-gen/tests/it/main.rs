//! What every generator of the registry, and every mode of the GAN, has to satisfy.

mod conformance;
mod settings;
