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
        /// The unit of the number, for tables ("m", "relative" ...).
        unit: String,
    },
}

impl TaskKind {
    /// The kind's name in configuration files and tables; also the name of the head that serves it by default.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Classification { .. } => "classification",
            Self::MultiLabel { .. } => "multi_label",
            Self::Segmentation { .. } => "segmentation",
            Self::Dense { .. } => "dense",
        }
    }

    /// Output channels a head needs: classes, labels, or 1.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classification { classes } | Self::Segmentation { classes } => classes.len(),
            Self::MultiLabel { labels } => labels.len(),
            Self::Dense { .. } => 1,
        }
    }

    /// Class or label names; empty for dense tasks.
    pub fn classes(&self) -> &[String] {
        match self {
            Self::Classification { classes } | Self::Segmentation { classes } => classes,
            Self::MultiLabel { labels } => labels,
            Self::Dense { .. } => &[],
        }
    }

    /// A target of this kind without any label, for `batch` images of `height` x `width` pixels.
    pub fn missing(&self, batch: usize, height: usize, width: usize) -> Target {
        match self {
            Self::Classification { .. } => Target::Class(vec![Target::NO_CLASS; batch]),
            Self::MultiLabel { labels } => Target::MultiLabel(vec![f32::NAN; batch * labels.len()]),
            Self::Segmentation { .. } => Target::Mask(vec![Target::NO_PIXEL; batch * height * width]),
            Self::Dense { .. } => Target::Dense(vec![f32::NAN; batch * height * width]),
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
            Self::MultiLabel(values) | Self::Dense(values) => values.iter().filter(|value| !value.is_nan()).count(),
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
        }
    }

    /// Appends the labels of another batch of the same task.
    ///
    /// # Panics
    /// If the two are of different kinds: a programming error, because targets of one task are always of one kind.
    pub fn extend(&mut self, other: &Target) {
        match (self, other) {
            (Self::Class(a), Self::Class(b)) => a.extend_from_slice(b),
            (Self::MultiLabel(a), Self::MultiLabel(b)) | (Self::Dense(a), Self::Dense(b)) => a.extend_from_slice(b),
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
        ] {
            let target = kind.missing(2, 4, 5);
            assert_eq!(target.present(), 0);
            let len = match &target {
                Target::Class(v) => v.len(),
                Target::MultiLabel(v) | Target::Dense(v) => v.len(),
                Target::Mask(v) => v.len(),
            };
            assert_eq!(len, size, "{kind:?}");
        }
    }
}
