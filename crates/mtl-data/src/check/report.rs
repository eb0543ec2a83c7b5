//! The findings of a check.

use mtl_task::ValueStatistics;
use serde::Serialize;

use crate::error::Skipped;
use crate::reading::Reading;
use crate::split::duplicates::Likeness;

/// The findings of [`super::check`]. `Display` writes them as tables.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The data set's name.
    pub name: String,
    /// Usable rows.
    pub rows: usize,
    /// 1 grey, 3 colour.
    pub channels: usize,
    /// Why training on it would be refused, if it would.
    pub refused: Option<String>,
    /// Rows of the data set's own subsets, if it has them.
    pub splits: Option<Splits>,
    /// One entry a task.
    pub tasks: Vec<TaskReport>,
    /// Stored sizes, if known.
    pub sizes: Option<Sizes>,
    /// Mean of each channel, 0 to 1, over all pixels.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel, 0 to 1.
    pub std: Vec<f64>,
    /// Missing and broken files.
    pub broken: Vec<Skipped>,
    /// Classes with too few images: a sentence each.
    pub small_classes: Vec<String>,
    /// Pairs of rows with the same image.
    pub exact_pairs: usize,
    /// Pairs of rows with nearly the same image.
    pub near_pairs: usize,
    /// Those pairs that have different classes or are in different subsets.
    pub crossing: Vec<Crossing>,
    /// How the data was read.
    #[serde(flatten)]
    pub reading: Reading,
}

/// Rows of the data set's own subsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Splits {
    /// For training.
    pub train: usize,
    /// For validation.
    pub validation: usize,
    /// For the reported scores.
    pub test: usize,
    /// Rows without any label, in whichever subset.
    pub unlabelled: usize,
}

/// Labels of one task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskReport {
    /// The task.
    pub name: String,
    /// "classification" ...
    pub kind: &'static str,
    /// Rows with no label at all.
    pub missing: usize,
    /// Classes or labels.
    pub classes: Vec<ClassReport>,
    /// Segmentation: rows whose mask holds nothing but background.
    pub empty_masks: usize,
    /// Segmentation and dense: share of the pixels of labelled rows without a label.
    pub unlabelled_pixels: f64,
    /// Dense and regression: the unit of the numbers; empty where it is not known.
    pub unit: String,
    /// Dense: smallest and largest value.
    pub range: Option<[f32; 2]>,
    /// Regression: statistics of the labels.
    pub values: Option<ValueStatistics>,
}

/// One class or label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassReport {
    /// Its name.
    pub name: String,
    /// Rows of it; for masks, rows with at least one pixel of it; for labels, rows with "yes".
    pub rows: usize,
    /// Rows with "no" (labels only).
    pub no: usize,
    /// Share of labelled pixels (masks only).
    pub pixels: Option<f64>,
}

/// Stored image sizes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sizes {
    /// How many different ones.
    pub distinct: usize,
    /// Smallest, median and largest height.
    pub height: [usize; 3],
    /// Smallest, median and largest width.
    pub width: [usize; 3],
}

/// A pair of like images that should not be apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Crossing {
    /// Names of the two rows.
    pub rows: [String; 2],
    /// Exact or near.
    pub likeness: Likeness,
    /// Classification tasks in which the two have different labels, with both labels.
    pub classes: Vec<String>,
    /// The two subsets, if they differ.
    pub parts: Option<String>,
}

impl Report {
    /// How many things need repair: broken files, a refusal, classes too small to split, exact duplicates that cross
    /// classes or subsets. Near duplicates are only suspects and do not count.
    pub fn problems(&self) -> usize {
        let crossing = self.crossing.iter().filter(|pair| pair.likeness == Likeness::Exact).count();
        self.broken.len() + usize::from(self.refused.is_some()) + self.small_classes.len() + crossing
    }
}
