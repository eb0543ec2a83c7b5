//! Tasks and their labels: the types that data and heads share.
//!
//! A [`Task`] is a name and a [`TaskKind`]; a [`Target`] holds the labels of one batch for one task on the host, with
//! a sentinel for missing labels: partial labels are the normal case, not an error. Readers (`mtl-data`) make
//! both, heads (`mtl-heads`) consume them; neither imports the other.
//!
//! ```
//! use mtl_task::{Target, Task, TaskKind};
//! let task = Task::new("stress", TaskKind::Classification { classes: vec!["rust".into(), "healthy".into()] });
//! let target = Target::Class(vec![0, Target::NO_CLASS, 1]);
//! assert_eq!((task.kind.name(), task.kind.outputs(), target.present()), ("classification", 2, 2));
//! ```

use serde::{Deserialize, Serialize};

/// A prediction task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Name, unique in a data set; used in configuration keys, logs and file names.
    pub name: String,
    /// Kind of the labels.
    pub kind: TaskKind,
}

impl Task {
    /// A task called `name`.
    pub fn new(name: impl Into<String>, kind: TaskKind) -> Self {
        Self { name: name.into(), kind }
    }

    /// The name in names of files, as results are written: letters, digits, `-` and `_`; every other character is a `_`.
    pub fn file_name(&self) -> String {
        self.name.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' }).collect()
    }
}

/// Kind of the labels of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Exactly one of `classes` per image.
    Classification {
        /// Names, in label order.
        classes: Vec<String>,
    },
    /// Any subset of `labels` per image, each yes or no.
    MultiLabel {
        /// Names, in column order.
        labels: Vec<String>,
    },
    /// Exactly one of `classes` per pixel; class 0 is the background.
    Segmentation {
        /// Names, in mask-value order.
        classes: Vec<String>,
    },
    /// One real number per pixel (depth, height ...).
    Dense {
        /// The unit of the number, for tables: "m"; empty where it is not known; [`TaskKind::RELATIVE`] for numbers from 0 to 1
        /// without a unit.
        unit: String,
    },
    /// One real number per image (weight, age, grade ...).
    Regression {
        /// The unit of the number ("kg"); empty where it is not known.
        unit: String,
    },
}

impl TaskKind {
    /// The unit of dense numbers from 0 to 1 that mean nothing beyond their order and ratio.
    pub const RELATIVE: &'static str = "relative";

    /// The kind's name in configuration files and tables; also the name of the head that serves it by default.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Classification { .. } => "classification",
            Self::MultiLabel { .. } => "multi_label",
            Self::Segmentation { .. } => "segmentation",
            Self::Dense { .. } => "dense",
            Self::Regression { .. } => "regression",
        }
    }

    /// Output channels a head needs: classes, labels, or 1.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classification { classes } | Self::Segmentation { classes } => classes.len(),
            Self::MultiLabel { labels } => labels.len(),
            Self::Dense { .. } | Self::Regression { .. } => 1,
        }
    }

    /// Class or label names; empty for tasks of numbers.
    pub fn classes(&self) -> &[String] {
        match self {
            Self::Classification { classes } | Self::Segmentation { classes } => classes,
            Self::MultiLabel { labels } => labels,
            Self::Dense { .. } | Self::Regression { .. } => &[],
        }
    }

    /// The unit of a task of numbers, for tables; empty where it is not known, and for tasks of classes.
    pub fn unit(&self) -> &str {
        match self {
            Self::Dense { unit } | Self::Regression { unit } => unit,
            Self::Classification { .. } | Self::MultiLabel { .. } | Self::Segmentation { .. } => "",
        }
    }

    /// A target of this kind without any label, for `batch` images of `height` x `width` pixels.
    pub fn missing(&self, batch: usize, height: usize, width: usize) -> Target {
        match self {
            Self::Classification { .. } => Target::Class(vec![Target::NO_CLASS; batch]),
            Self::MultiLabel { labels } => Target::MultiLabel(vec![f32::NAN; batch * labels.len()]),
            Self::Segmentation { .. } => Target::Mask(vec![Target::NO_PIXEL; batch * height * width]),
            Self::Dense { .. } => Target::Dense(vec![f32::NAN; batch * height * width]),
            Self::Regression { .. } => Target::Value(vec![f32::NAN; batch]),
        }
    }
}

/// The labels of one task for one batch, on the host, row-major in `[batch, ...]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// `[B]` class indices, [`Target::NO_CLASS`] where missing.
    Class(Vec<i32>),
    /// `[B, labels]` of 0 or 1, NaN where missing (each cell on its own).
    MultiLabel(Vec<f32>),
    /// `[B, H, W]` class indices, [`Target::NO_PIXEL`] where missing or to be ignored.
    Mask(Vec<u8>),
    /// `[B, H, W]` values, NaN where missing.
    Dense(Vec<f32>),
    /// `[B]` values, NaN where missing.
    Value(Vec<f32>),
}

/// Statistics of the labels of a task of numbers, in their unit: pixels (dense) or images (regression). Heads standardise by
/// those of the training images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValueStatistics {
    /// Images with a label.
    pub images: u64,
    /// Mean; in dense tasks each image weighs as much as the share of its pixels that has a value.
    pub mean: f64,
    /// Standard deviation (of the population) around it.
    pub std: f64,
    /// Smallest value.
    pub min: f32,
    /// Largest value.
    pub max: f32,
}

impl ValueStatistics {
    /// Of one number per image; `None` without any.
    pub fn of(values: impl Iterator<Item = f32>) -> Option<Self> {
        let values: Vec<f32> = values.collect();
        let (min, max) = (values.iter().copied().reduce(f32::min)?, values.iter().copied().reduce(f32::max)?);
        let count = values.len() as f64;
        let mean = values.iter().copied().map(f64::from).sum::<f64>() / count;
        let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
        Some(Self { images: values.len() as u64, mean, std: variance.sqrt(), min, max })
    }

    /// Whether all values are the same, as far as 32 bits tell: there is nothing to learn from them.
    pub fn constant(&self) -> bool {
        !(self.min < self.max && self.std > f64::from(f32::EPSILON) * self.mean.abs())
    }
}

impl Target {
    /// Marks an image without a class label.
    pub const NO_CLASS: i32 = -1;
    /// Marks a pixel without a label (the usual ignore index of 8-bit masks).
    pub const NO_PIXEL: u8 = 255;

    /// Number of labels present: images, cells or pixels.
    pub fn present(&self) -> usize {
        match self {
            Self::Class(labels) => labels.iter().filter(|&&label| label != Self::NO_CLASS).count(),
            Self::MultiLabel(values) | Self::Dense(values) | Self::Value(values) => {
                values.iter().filter(|value| !value.is_nan()).count()
            }
            Self::Mask(pixels) => pixels.iter().filter(|&&pixel| pixel != Self::NO_PIXEL).count(),
        }
    }

    /// The labels of the images `range` of a batch of `batch`.
    ///
    /// # Panics
    /// If the range leaves the batch: a programming error.
    pub fn slice(&self, range: std::ops::Range<usize>, batch: usize) -> Self {
        fn part<T: Clone>(values: &[T], range: std::ops::Range<usize>, batch: usize) -> Vec<T> {
            let each = values.len() / batch.max(1);
            values[range.start * each..range.end * each].to_vec()
        }
        match self {
            Self::Class(labels) => Self::Class(part(labels, range, batch)),
            Self::MultiLabel(values) => Self::MultiLabel(part(values, range, batch)),
            Self::Mask(pixels) => Self::Mask(part(pixels, range, batch)),
            Self::Dense(values) => Self::Dense(part(values, range, batch)),
            Self::Value(values) => Self::Value(part(values, range, batch)),
        }
    }

    /// Appends the labels of another batch of the same task.
    ///
    /// # Panics
    /// If the two are of different kinds: a programming error, because targets of one task are always of one kind.
    pub fn extend(&mut self, other: &Target) {
        match (self, other) {
            (Self::Class(a), Self::Class(b)) => a.extend_from_slice(b),
            (Self::MultiLabel(a), Self::MultiLabel(b))
            | (Self::Dense(a), Self::Dense(b))
            | (Self::Value(a), Self::Value(b)) => a.extend_from_slice(b),
            (Self::Mask(a), Self::Mask(b)) => a.extend_from_slice(b),
            (a, b) => panic!("targets of two kinds: {a:?} and {b:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_concatenate_to_the_batch() {
        let whole = Target::Mask((0..24).collect());
        let mut halves = whole.slice(0..1, 4);
        assert_eq!(halves, Target::Mask((0..6).collect()));
        halves.extend(&whole.slice(1..4, 4));
        assert_eq!(halves, whole);
    }

    #[test]
    fn missing_targets_have_nothing_present_and_the_right_size() {
        let names = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        for (kind, size) in [
            (TaskKind::Classification { classes: names(3) }, 2),
            (TaskKind::MultiLabel { labels: names(3) }, 6),
            (TaskKind::Segmentation { classes: names(3) }, 40),
            (TaskKind::Dense { unit: "m".into() }, 40),
            (TaskKind::Regression { unit: "kg".into() }, 2),
        ] {
            let target = kind.missing(2, 4, 5);
            assert_eq!(target.present(), 0);
            let len = match &target {
                Target::Class(v) => v.len(),
                Target::MultiLabel(v) | Target::Dense(v) | Target::Value(v) => v.len(),
                Target::Mask(v) => v.len(),
            };
            assert_eq!(len, size, "{kind:?}");
        }
    }

    #[test]
    fn values_that_32_bits_cannot_tell_apart_are_constant() {
        let found = ValueStatistics::of([1.0, 3.0, 5.0, 7.0].into_iter()).unwrap();
        assert_eq!(found, ValueStatistics { images: 4, mean: 4.0, std: 5_f64.sqrt(), min: 1.0, max: 7.0 });
        assert_eq!(ValueStatistics::of([].into_iter()), None);
        let of = |mean, std, min, max| ValueStatistics { images: 3, mean, std, min, max };
        assert!(!of(2.0, 0.5, 1.0, 3.0).constant() && !of(1e6, 1.0, 999_999.0, 1_000_001.0).constant());
        assert!(of(2.0, 0.0, 2.0, 2.0).constant() && of(1e9, 1.0, 1e9, 1.000_000_1e9).constant());
    }
}
