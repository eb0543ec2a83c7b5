//! Image folders and built-in scenes to batches: readers, splits, augmentation, checks.
//!
//! (crate docs: to be completed)

pub mod augment;
pub mod dataset;
pub mod decode;
pub mod mask;
pub mod palette;
pub mod readers;
pub mod resize;
pub mod loader;
pub mod scenes;

pub use dataset::{Dataset, Error, Labels, Part, Sample, Schema, Size, Skipped};
pub use readers::{OpenOptions, READERS, open};
pub use loader::{Batch, Loader};
pub use scenes::Scenes;
