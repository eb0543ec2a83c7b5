//! Image folders and built-in scenes to batches: readers, splits, augmentation, checks.
//!
//! (crate docs: to be completed)

pub mod dataset;

pub use dataset::{Dataset, Error, Labels, Part, Sample, Schema, Size};
