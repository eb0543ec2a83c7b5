//! Image folders and built-in scenes to batches: readers, splits, augmentation, checks.
//!
//! A [`Dataset`] is a [`Schema`] (channels and tasks), a number of rows, and one decoded [`Sample`] a row. [`open`] makes
//! one from a folder by looking at it ([`READERS`] lists the layouts), [`Scenes`] draws one. Which tasks there are
//! follows from which labels are there, and any label may be missing for any row. [`Split`] puts rows on a training, a
//! validation and a test side, [`Sources`] makes one data set of several, which batches mix by a named strategy
//! ([`mixing`]), the [`loader`] makes batches of them in worker threads, [`augment`] varies them, and
//! [`mod@check`] says beforehand what is wrong with a folder.
//!
//! What is deliberately absent: the network (files are local), tensors (a batch is plain slices), and choices about
//! training. Readers never guess a label, a mask value or the meaning of a colour.
//!
//! # Cost
//! Opening decodes every file once, in parallel, to know what is broken: 0.3 s for 1,402 photos of 256 x 128 with 402
//! masks, 0.6 s for 6,435 photos of 96 x 96, on two cores. Packed files (CIFAR-10, idx, parquet) are kept in memory and
//! not decoded ahead: 60,000 images open in 0.1 s. A row is then decoded each time it is asked for (about 0.4 ms for a
//! photo of 256 x 128); caching is the loader's business.
//!
//! # Example
//! ```
//! use mtl_data::{Labels, OpenOptions, Size, Split, open, split};
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
//! //               images/2.png,apple,          <- nobody knows whether it is ripe
//! let data = open(folder.path(), &OpenOptions::default())?;
//! assert_eq!(data.schema().tasks[0].kind.classes(), ["apple", "pear"]);
//! assert_eq!(data.labels(2), [Labels::Class(0), Labels::Missing]);
//! let sample = data.sample(2, Size { height: 16, width: 16 })?;
//! assert_eq!(sample.image.len(), 3 * 16 * 16);
//!
//! let split = Split::new(&*data, &split::Config::default(), mtl_rng::Seed::new(7))?;
//! assert_eq!(split.sizes(), [12, 4, 4]); // 15 % of 10 a class is 1.5, rounded to 2
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod augment;
pub mod check;
pub mod dataset;
pub mod decode;
pub mod duplicates;
pub mod loader;
pub mod mask;
pub mod mixing;
pub mod palette;
pub mod readers;
pub mod resize;
pub mod scenes;
pub mod sources;
pub mod split;

pub use dataset::{Dataset, Error, Labels, Part, Sample, Schema, Size, Skipped};
pub use loader::{Batch, Loader};
pub use mixing::{MIXINGS, Mixing};
pub use readers::{OpenOptions, READERS, open};
pub use scenes::Scenes;
pub use sources::Sources;
pub use split::Split;
