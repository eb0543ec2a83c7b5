//! A model whose encoder, head and unlabelled objective come from another crate, and errors of a model's settings.

mod outside;
mod settings;
