//! Inventory: hashes, fingerprints and label statistics of all rows of a data set, collected in one pass.
//!
//! Opening a folder of image files already decodes each of them once; the inventory takes its facts from there and decodes
//! nothing again. Missing facts are computed in parallel when they are requested, and only those: hashes alone need
//! no decoding. Equal files give equal inventories at any number of threads.
//!
//! An inventory is serialisable. Saved (as JSON, in the folder of a run) and passed to the next opening
//! ([`crate::OpenOptions::known`]), it replaces reading for every file whose size and time of last change are unchanged.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use mtl_task::{Target, Task, TaskKind, ValueStatistics};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
pub use crate::differences::Differences;
use crate::error::Error;
pub use crate::facts::{DenseFacts, FileFacts, GROUPS, LabelFacts, RowFacts, STATISTICS_PIXELS, Wanted};

/// Version of the facts: it changes whenever hashes, fingerprints or statistics are computed differently.
const VERSION: u32 = 2;

/// The facts; see the module's documentation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    version: u32,
    tasks: Vec<Task>,
    /// Names of the rows; empty in files of earlier versions.
    #[serde(default)]
    names: Vec<String>,
    rows: Vec<RowFacts>,
    files: BTreeMap<PathBuf, FileFacts>,
}

impl Inventory {
    /// Collects the wanted facts of every row, in parallel.
    ///
    /// # Errors
    /// A file that cannot be read or decoded: the one of the first such row.
    pub fn new(dataset: &dyn Dataset, wanted: Wanted) -> Result<Self, Error> {
        let rows: Vec<Result<RowFacts, Error>> =
            (0..dataset.len()).into_par_iter().map(|row| dataset.facts(row, wanted)).collect();
        Ok(Self {
            version: VERSION,
            tasks: dataset.schema().tasks.clone(),
            names: (0..dataset.len()).map(|row| dataset.row_name(row)).collect(),
            rows: rows.into_iter().collect::<Result<_, _>>()?,
            files: dataset.files().into_iter().map(|(path, facts)| (path.to_owned(), facts.clone())).collect(),
        })
    }

    /// One entry per row of the data set.
    pub fn rows(&self) -> &[RowFacts] {
        &self.rows
    }

    /// Names of the rows; none if the inventory is from an earlier version.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What differs in `now`, by the names, hashes and label statistics of the rows; `None` if nothing does, or if this
    /// inventory is from an earlier version without names. Two masks with as many pixels of each class are not told apart.
    pub fn differences(&self, now: &Self) -> Option<Differences> {
        Differences::between((&self.names, &self.rows), (&now.names, &now.rows))
    }

    /// The facts of a file of the data set, if it has not changed since.
    pub(crate) fn unchanged(&self, path: &Path) -> Option<&FileFacts> {
        let facts = self.files.get(path)?;
        (crate::facts::Stamp::of(path) == Some(facts.stamp)).then_some(facts)
    }

    /// Labels per class of task number `column` of the schema among `rows`: images (classification), images with "yes"
    /// (multi-label) or pixels (segmentation, each image counting [`STATISTICS_PIXELS`] at any size); empty for
    /// tasks of numbers. Needs [`Wanted::labels`].
    pub fn class_counts(&self, column: usize, rows: &[usize]) -> Vec<u64> {
        let classes = self.tasks[column].kind.classes().len();
        let mut counts = vec![0.0; classes];
        for label in rows.iter().filter_map(|&row| self.rows[row].labels.get(column)) {
            match label {
                LabelFacts::Class(class) => counts[*class] += 1.0,
                LabelFacts::MultiLabel(cells) => {
                    counts.iter_mut().zip(cells).for_each(|(count, cell)| *count += f64::from(*cell == Some(true)));
                }
                LabelFacts::Mask { pixels, unlabelled } => {
                    let all = (pixels.iter().sum::<u64>() + unlabelled).max(1) as f64;
                    let scale = STATISTICS_PIXELS as f64 / all;
                    counts.iter_mut().zip(pixels).for_each(|(count, &pixels)| *count += pixels as f64 * scale);
                }
                LabelFacts::Dense(_) | LabelFacts::Value(_) | LabelFacts::Missing => {}
            }
        }
        // The count of a class that occurs is at least 1.
        counts.into_iter().map(|count: f64| if count > 0.0 { count.round().max(1.0) as u64 } else { 0 }).collect()
    }

    /// Statistics of the numbers of task number `column` of the schema among `rows`; `None` without any, and for tasks of classes.
    /// Needs [`Wanted::labels`].
    pub fn value_statistics(&self, column: usize, rows: &[usize]) -> Option<ValueStatistics> {
        // Of each image: its weight, the sums of its values and of their squares divided by their number, and the ends.
        let of_row = |&row: &usize| match self.rows[row].labels.get(column)? {
            LabelFacts::Value(value) => Some((1.0, f64::from(*value), f64::from(*value).powi(2), [*value; 2])),
            LabelFacts::Dense(facts) => {
                let known = facts.known as f64;
                Some((known / facts.pixels as f64, facts.sum / known, facts.square / known, facts.range?))
            }
            _ => None,
        };
        let labelled: Vec<(f64, f64, f64, [f32; 2])> = rows.iter().filter_map(of_row).collect();
        let total: f64 = labelled.iter().map(|(weight, ..)| weight).sum();
        let mean = labelled.iter().map(|(weight, mean, ..)| weight * mean).sum::<f64>() / total;
        // The spread within the images and the spread of their means: no difference of large numbers for single values.
        let spread = |(weight, own, square, _): &(f64, f64, f64, [f32; 2])| {
            weight * ((square - own * own).max(0.0) + (own - mean) * (own - mean))
        };
        let std = (labelled.iter().map(spread).sum::<f64>() / total).sqrt();
        let [min, max] = labelled.iter().map(|(.., ends)| *ends).reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])])?;
        Some(ValueStatistics { images: labelled.len() as u64, mean, std, min, max })
    }

    /// The number of `rows` with a label for task number `column`. Needs [`Wanted::labels`].
    pub fn labelled(&self, column: usize, rows: &[usize]) -> usize {
        let label = |row: &&usize| self.rows[**row].labels.get(column).is_some_and(LabelFacts::is_labelled);
        rows.iter().filter(label).count()
    }

    /// A small target with the statistics of a row's label ([`LabelFacts::target`]). Needs [`Wanted::labels`].
    pub fn target(&self, row: usize, column: usize) -> Target {
        let kind: &TaskKind = &self.tasks[column].kind;
        self.rows[row].labels.get(column).map_or_else(|| kind.missing(1, 1, 1), |label| label.target(kind))
    }

    /// Reads a file of [`Inventory::write`].
    ///
    /// # Errors
    /// The system's; invalid text is [`std::io::ErrorKind::InvalidData`]. In both cases open without it.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let read: Self = serde_json::from_slice(&std::fs::read(path)?)?;
        if read.version != VERSION {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "an inventory of another version"));
        }
        Ok(read)
    }

    /// Writes JSON to `path`, through a temporary file in the same folder. About 1 kB per row.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let temporary = path.with_extension("partial");
        let mut file = std::io::BufWriter::new(std::fs::File::create(&temporary)?);
        serde_json::to_writer(&mut file, self)?;
        file.flush()?;
        drop(file);
        std::fs::rename(&temporary, path)
    }
}
