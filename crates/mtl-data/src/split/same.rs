//! Rows with the same image, and contradictions between their labels.

use std::collections::BTreeMap;

use rayon::prelude::*;
use tracing::debug;

use super::config::Duplicates;
use super::duplicates;
use crate::dataset::{Dataset, Labels};
use crate::error::Error;
use crate::facts::{RowFacts, Wanted};
use crate::image::fingerprint::{Fingerprint, Likeness};

/// For each row the lowest row with the same image.
pub(super) struct Same {
    /// By the setting.
    pub groups: Vec<usize>,
    /// Equal bytes or equal pixels at 32 x 32, even if near duplicates count as well.
    exact: Vec<usize>,
}

/// Finds equal images.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn same_images(dataset: &dyn Dataset, kind: Duplicates) -> Result<Same, Error> {
    let rows = dataset.len();
    let mut stored = false;
    for first in (0..rows).filter(|&row| row == 0 || dataset.origin(row) != dataset.origin(row - 1)) {
        stored |= dataset.content_hash(first)?.is_some();
    }
    if !stored {
        // Drawn, not stored: such sources do not repeat themselves.
        return Ok(Same { groups: (0..rows).collect(), exact: (0..rows).collect() });
    }
    let wanted = if kind == Duplicates::Content { Wanted::CONTENT } else { Wanted::FINGERPRINT };
    let facts: Vec<RowFacts> =
        (0..rows).into_par_iter().map(|row| dataset.facts(row, wanted)).collect::<Result<_, _>>()?;
    let mut first: BTreeMap<u64, usize> = BTreeMap::new();
    let equal: Vec<(usize, usize)> = facts
        .iter()
        .enumerate()
        .filter_map(|(row, facts)| Some((*first.entry(facts.content?).or_insert(row), row)))
        .collect();
    let prints: Vec<Option<Fingerprint>> = facts.into_iter().map(|facts| facts.fingerprint).collect();
    let pairs = duplicates::pairs(&prints);
    let near_pairs = pairs.iter().filter(|pair| pair.2 == Likeness::Near).count();
    let with = |near: bool| {
        let same = pairs.iter().filter(|pair| pair.2 == Likeness::Exact || near);
        duplicates::groups(rows, equal.iter().copied().chain(same.map(|(first, second, _)| (*first, *second))))
    };
    let groups = with(kind == Duplicates::Near);
    let exact = if kind == Duplicates::Near { with(false) } else { groups.clone() };
    let duplicates = groups.iter().enumerate().filter(|(row, group)| row != *group).count();
    debug!(rows, duplicates, near_pairs, "duplicates searched");
    Ok(Same { groups, exact })
}

impl Same {
    /// Equal images with different labels: one sentence per task.
    pub(super) fn contradictions(&self, dataset: &dyn Dataset) -> Vec<String> {
        let mut rows_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (row, &image) in self.exact.iter().enumerate() {
            rows_of.entry(image).or_default().push(row);
        }
        rows_of.retain(|_, rows| rows.len() > 1);
        let labels: Vec<Vec<(usize, Vec<Labels>)>> = rows_of
            .into_values()
            .map(|rows| rows.into_iter().map(|row| (row, dataset.labels(row))).collect())
            .collect();
        let tasks = dataset.schema().tasks.iter().enumerate();
        tasks
            .filter_map(|(task, about)| {
                let mut all = labels.iter().filter_map(|rows| differing(rows, task));
                let [(first, a), (other, b)] = all.next()?;
                let images = match all.count() {
                    0 => "1 image is in the data more than once".to_owned(),
                    more => format!("{} images are in the data more than once", more + 1),
                };
                let name = |label: &Labels| match label {
                    Labels::Class(class) => format!(" ({})", about.kind.classes()[*class]),
                    _ => String::new(),
                };
                Some(format!(
                    "{images} with different labels of `{}`, such as {}{} and {}{}: correct the labels, or remove one of each",
                    about.name,
                    dataset.row_name(first),
                    name(a),
                    dataset.row_name(other),
                    name(b)
                ))
            })
            .collect()
    }
}

/// Two rows of one image whose labels for a task contradict each other.
fn differing(rows: &[(usize, Vec<Labels>)], task: usize) -> Option<[(usize, &Labels); 2]> {
    let (first, a) = rows.iter().find(|(_, labels)| labels[task] != Labels::Missing)?;
    let (other, b) = rows.iter().find(|(_, labels)| contradict(&a[task], &labels[task]))?;
    Some([(*first, &a[task]), (*other, &b[task])])
}

/// Whether two labels of one image cannot both be right.
fn contradict(a: &Labels, b: &Labels) -> bool {
    match (a, b) {
        (Labels::Class(a), Labels::Class(b)) => a != b,
        (Labels::MultiLabel(a), Labels::MultiLabel(b)) => {
            a.iter().zip(b).any(|pair| matches!(pair, (Some(a), Some(b)) if a != b))
        }
        _ => false,
    }
}
