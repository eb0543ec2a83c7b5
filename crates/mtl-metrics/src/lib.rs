//! Streaming scores over plain slices, each with its unit, its direction and the number of labels it rests on.
//!
//! An accumulator is fed batch after batch, holds only counts and sums (never the predictions), and gives a list of
//! [`Score`]s at the end. Two accumulators of two parts of the data can be merged. Missing labels are skipped with the
//! sentinels of [`mtl_task::Target`]. **A score without a label to rest on is absent, never NaN and never 0**: the
//! methods return `None`, and `scores()` leaves it out.
//!
//! | accumulator | scores |
//! |---|---|
//! | [`Confusion`] | `accuracy`, `balanced_accuracy`, `macro_f1` |
//! | [`MultiLabel`] | `label_accuracy`, `macro_f1`, `exact_match` |
//! | [`MaskConfusion`] | `miou`, `pixel_accuracy`, `dice/CLASS`, `iou/CLASS`, `dice_image` (and `dice_image/CLASS`) |
//! | [`Dense`] | `rmse`, `mae` |
//! | [`Psnr`] | `psnr` |
//!
//! [`MetricSet`] chooses the accumulator for a task; [`Baseline`] is the constant prediction every model must beat.
//! Counts are `u64`, sums `f64`. Counts do not depend on the order of the images; the sums of [`Dense`], [`Psnr`] and
//! `dice_image` do in their last bits, so merge in a fixed order where bytes matter.
//!
//! Cost: one or two passes over the slices; memory `classes^2` counters. Input that cannot be right (other lengths, a
//! label outside the classes, a NaN prediction) is an [`Error`] that leaves the accumulator as it was.
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
mod mask;
mod metric_set;
mod multi_label;
mod psnr;
mod score;

pub use baseline::Baseline;
pub use confusion::Confusion;
pub use dense::Dense;
pub use error::Error;
pub use mask::MaskConfusion;
pub use metric_set::{MetricSet, Prediction};
pub use multi_label::MultiLabel;
pub use psnr::Psnr;
pub use score::{Direction, Score};
