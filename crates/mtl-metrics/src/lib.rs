//! Evaluation metrics: streaming scores with unit, direction and number of labels.
//!
//! An accumulator takes one batch after another and keeps counts and sums, never the predictions. It returns a list of
//! [`Score`]s. Accumulators of two parts of the data can be merged. Missing labels, marked by the sentinels of
//! [`mtl_task::Target`], are skipped. **A score without labels is absent, never NaN and never 0**: the methods return `None`,
//! and `scores()` omits it.
//!
//! | accumulator | scores |
//! |---|---|
//! | [`Confusion`] | `accuracy`, `balanced_accuracy`, `macro_f1` |
//! | [`MultiLabel`] | `label_accuracy`, `macro_f1`, `exact_match` |
//! | [`MaskConfusion`] | `miou`, `pixel_accuracy`, `dice/CLASS`, `iou/CLASS`, `dice_image` (and `dice_image/CLASS`) |
//! | [`Dense`] | `rmse`, `mae`, `abs_rel` |
//! | [`Regression`] | `rmse`, `mae`, `r2`, `rounded_accuracy` |
//! | [`Psnr`] | `psnr` |
//!
//! [`MetricSet`] is the accumulator of any kind of task. [`Baseline`] is the best constant prediction of each score, and
//! [`skill_score`] compares a model with it. Counts are `u64`, sums `f64`. Counts do not depend on the order of the images; the
//! sums of [`Dense`], [`Regression`], [`Psnr`] and `dice_image` do in their last bits, so merge in a fixed order for identical bytes.
//!
//! [`generation`] compares generated images with real ones, on features of a network.
//!
//! Cost: one or two passes over the slices; memory `classes^2` counters. Invalid input (slices of different lengths, a label
//! outside the classes, a NaN prediction) is an [`Error`] and leaves the accumulator unchanged.
//!
//! ```
//! use mtl_metrics::{Baseline, MetricSet, Prediction};
//! use mtl_task::{Target, TaskKind};
//!
//! let kind = TaskKind::Classification { classes: vec!["healthy".into(), "rust".into()] };
//! let truth = Target::Class(vec![0, 1, Target::NO_CLASS, 1]);
//!
//! let mut model = MetricSet::new(&kind);
//! model.add(&truth, &Prediction::Class(vec![0, 1, 0, 0]), 4)?;
//! let accuracy = &model.scores()[0];
//! assert_eq!((accuracy.name.as_str(), accuracy.n), ("accuracy", 3));
//! assert!((accuracy.value - 2.0 / 3.0).abs() < 1e-12);
//!
//! let mut baseline = Baseline::new(&kind);
//! baseline.learn(&Target::Class(vec![0, 0, 1]))?; // the labels of the training split
//! let constant = baseline.predict(&truth)?.expect("there were labels to learn from");
//! assert_eq!(constant, Prediction::Class(vec![0, 0, 0, 0]));
//! # Ok::<(), mtl_metrics::Error>(())
//! ```

mod baseline;
mod confusion;
mod dense;
mod error;
pub mod generation;
pub mod label_quality;
mod mask;
mod metric_set;
mod multi_label;
mod primary;
pub mod probe;
mod psnr;
mod regression;
mod score;

pub use baseline::{Baseline, BaselineScores};
pub use confusion::Confusion;
pub use dense::Dense;
pub use error::Error;
pub use mask::MaskConfusion;
pub use metric_set::{MetricSet, Prediction};
pub use multi_label::MultiLabel;
pub use primary::{primary_first, primary_score, skill_score};
pub use psnr::Psnr;
pub use regression::Regression;
pub use score::{Direction, Score};
