//! Use of a model: scores, predictions, samples, pictures.

pub(crate) mod evaluate;
pub(crate) mod examples;
pub(crate) mod generate;
pub(crate) mod generation;
mod inputs;
pub(crate) mod label_quality;
pub(crate) mod leakage;
mod linear_probe;
pub(crate) mod pictures;
pub(crate) mod predict;
pub(crate) mod prediction;
pub(crate) mod prediction_table;
pub mod score;
