//! Data sets of labelled images: readers, splits, data augmentation, batch loading, checks, built-in scenes.
//!
//! A [`Dataset`] has a [`Schema`] (channels and tasks), a number of rows, and one decoded [`Sample`] per row. [`open`] reads
//! a folder ([`READERS`] lists the layouts), [`Scenes`] draws images. Tasks are inferred from the labels present, and any
//! label may be missing in any row. [`Splits`] assigns rows to training, validation and test; [`ConcatDataset`] concatenates
//! data sets, from which batches are drawn by a [`Sampling`] strategy; [`MatchedDataset`] gives one the classes of a model; a [`Loader`] makes batches in worker threads;
//! [`augment`] varies them; an [`Inventory`] holds hashes, fingerprints and label statistics of all rows; [`mod@check`]
//! reports the faults of a folder.
//!
//! This crate has no network access (files are local), no tensors (a batch is plain slices) and no training settings.
//! What readers infer from names and values is said in a sentence ([`Reading`]); no label, mask value or colour is guessed.
//!
//! | module | contents |
//! |---|---|
//! | [`mod@image`] | decoding with limits, resizing of images, masks and dense maps on one grid, palettes, fingerprints |
//! | [`readers`] | one file per layout |
//! | [`inventory`] | one pass over all rows: hashes, fingerprints, label statistics |
//! | [`split`], [`mod@concat`], [`sampling`] | assignment of rows to subsets, and how often each is drawn |
//! | [`loader`], [`augment`] | batches |
//! | [`mod@check`], [`scenes`] | reports, contact sheets, masks that do not fit their images; built-in data |
//!
//! # Cost
//! Opening a folder decodes every file once, in parallel, to find broken ones; splits, duplicates, class counts and baselines
//! use the facts collected then. Packed files (CIFAR-10, idx, parquet) are kept in memory and not decoded ahead: 60,000
//! images open in 0.1 s. A row is decoded each time it is read (about 0.4 ms for a photo of 256 x 128); the loader caches.
//!
//! # Example
//! ```
//! use mtl_data::{Labels, OpenOptions, Size, Splits, open, split};
//! # use image::{Rgb, RgbImage};
//! # let folder = tempfile::tempdir()?;
//! # std::fs::create_dir(folder.path().join("images"))?;
//! # let mut table = "image,kind,ripe\n".to_owned();
//! # for at in 0..20_u8 {
//! #     RgbImage::from_pixel(32, 24, Rgb([at * 10, 80, 0])).save(folder.path().join(format!("images/{at}.png")))?;
//! #     table += &format!("images/{at}.png,{},{}\n", ["apple", "pear"][at as usize % 2], ["no", "yes", ""][at as usize % 3]);
//! # }
//! # std::fs::write(folder.path().join("manifest.csv"), table)?;
//! // manifest.csv: image,kind,ripe
//! //               images/0.png,apple,no
//! //               images/2.png,apple,          <- missing label
//! let data = open(folder.path(), &OpenOptions::default())?;
//! assert_eq!(data.schema().tasks[0].kind.classes(), ["apple", "pear"]);
//! assert_eq!(data.labels(2), [Labels::Class(0), Labels::Missing]);
//! let sample = data.sample(2, Size { height: 16, width: 16 })?;
//! assert_eq!(sample.image.len(), 3 * 16 * 16);
//!
//! let split = Splits::new(&*data, &split::Config::default(), mtl_rng::Seed::new(7))?;
//! assert_eq!(split.sizes(), [12, 4, 4]); // 15 % of 10 per class is 1.5, rounded to 2
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod augment;
pub mod check;
pub mod concat;
mod concerns;
pub mod dataset;
mod differences;
mod error;
mod facts;
pub mod image;
pub mod inventory;
pub mod loader;
mod matched;
mod progress;
pub mod readers;
mod reading;
mod row_notes;
pub mod sampling;
pub mod scenes;
mod size;
pub mod split;
#[cfg(feature = "nifti")]
pub mod volumes;

pub use concat::ConcatDataset;
pub use concerns::concerns;
pub use dataset::{Dataset, Labels, Sample, Schema, Subset};
pub use error::{Error, Problem, Skipped};
pub use inventory::{Inventory, Wanted};
pub use loader::{Batch, Loader};
pub use matched::MatchedDataset;
pub use progress::Progress;
pub use readers::{OpenOptions, READERS, images_in, open};
pub use reading::{Reading, Unread};
pub use row_notes::{NotedColumn, RowNotes};
pub use sampling::{SAMPLERS, Sampling};
pub use scenes::Scenes;
pub use size::{MAX_BYTES, MAX_SIDE, Size};
pub use split::Splits;
