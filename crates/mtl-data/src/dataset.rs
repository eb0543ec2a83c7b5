//! The [`Dataset`] trait: a [`Schema`], a number of rows, and one decoded [`Sample`] per row.

use std::path::Path;

use mtl_task::{Target, Task};

use crate::error::{Error, Skipped};
use crate::facts::{FileFacts, LabelFacts, RowFacts, Wanted};
use crate::image::fingerprint::{Fingerprint, SMALL};
use crate::reading::Reading;
use crate::row_notes::RowNotes;
use crate::size::Size;

/// Name, channels and tasks of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Short name for tables and run folders ("busi").
    pub name: String,
    /// 1 for grey images, 3 for colour.
    pub channels: usize,
    /// The tasks that have labels, in the order of [`Sample::targets`].
    pub tasks: Vec<Task>,
}

/// Image-level label of one row for one task, known without decoding: for stratification and label counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// The class index.
    Class(usize),
    /// One value per label: yes, no or missing.
    MultiLabel(Vec<Option<bool>>),
    /// The number.
    Value(f32),
    /// A mask or dense map exists for this row (its pixels are known only after decoding).
    Pixels,
    /// No label.
    Missing,
}

/// A subset of the rows, where the data set itself assigns them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subset {
    /// Training: used for gradients.
    Train,
    /// Used for early stopping and model selection.
    Validation,
    /// Used once, for the reported scores.
    Test,
}

impl Subset {
    /// As in tables and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// One decoded row at the requested size.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// `[C, H, W]` bytes, 0 to 255.
    pub image: Vec<u8>,
    /// One target per task in schema order, each for a batch of 1 (`[1]`, `[1, labels]`, `[1, H, W]`); a mask
    /// pixel is the class of most of the area it covers, a dense pixel the mean of its known values ([`crate::image::area`]).
    pub targets: Vec<Target>,
}

/// A source of labelled images. Rows are `0..len()`, in an order that never changes.
pub trait Dataset: Send + Sync {
    /// Channels and tasks.
    fn schema(&self) -> &Schema;
    /// Number of rows.
    fn len(&self) -> usize;
    /// Whether the data set has no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The row's name in messages and reports, usually its path relative to the folder.
    fn row_name(&self, row: usize) -> String;
    /// Image-level labels in schema order, without decoding anything.
    fn labels(&self, row: usize) -> Vec<Labels>;
    /// The subset that the data set's authors assigned the row to, if they did.
    fn subset(&self, _row: usize) -> Option<Subset> {
        None
    }
    /// Decodes one row and resizes it to `size`.
    ///
    /// # Errors
    /// A file that cannot be read or decoded, a mask of another size than its image or with unknown values.
    fn sample(&self, row: usize, size: Size) -> Result<Sample, Error>;
    /// A hash of the image's stored content; equal for byte-identical images. `None` if the source cannot repeat itself.
    ///
    /// # Errors
    /// A file that cannot be read.
    fn content_hash(&self, _row: usize) -> Result<Option<u64>, Error> {
        Ok(None)
    }
    /// Facts about a row for an [`crate::Inventory`]. By default the row is decoded at its native size, or at 32 x 32 if it has
    /// none, where a wanted fact needs it; data sets with known facts return those.
    ///
    /// # Errors
    /// A file that cannot be read or decoded.
    fn facts(&self, row: usize, wanted: Wanted) -> Result<RowFacts, Error> {
        decoded_facts(self, row, wanted)
    }
    /// Facts about the files behind the rows: kept with an inventory so that the next opening need not read them.
    fn files(&self) -> Vec<(&Path, &FileFacts)> {
        Vec::new()
    }
    /// The size the row's image is stored in, if known without decoding.
    fn native_size(&self, _row: usize) -> Option<Size> {
        None
    }
    /// End of the range of images of more than 8 bits: their numbers are divided by it ([`crate::image::range::eight_bits`]).
    /// `None` if no image has more than 8 bits.
    fn largest_value(&self) -> Option<f32> {
        None
    }
    /// Files that are missing or broken, whose rows were therefore left out: to be reported when a run starts.
    fn skipped(&self) -> &[Skipped] {
        &[]
    }
    /// Names of the data sets that the rows come from: one, itself, unless several were concatenated
    /// ([`crate::ConcatDataset`]). Each is split on its own, and drawn from by a [`crate::sampling`] strategy.
    fn origins(&self) -> Vec<String> {
        vec![self.schema().name.clone()]
    }
    /// Which of [`Dataset::origins`] the row belongs to.
    fn origin(&self, _row: usize) -> usize {
        0
    }
    /// What a table says about the row besides its labels: groups, and whether it was generated.
    fn row_notes(&self, _row: usize) -> Option<&RowNotes> {
        None
    }
    /// Whether the row's image was generated: it is for training only.
    fn is_generated(&self, row: usize) -> bool {
        self.row_notes(row).is_some_and(|notes| notes.generated)
    }
    /// How the data was read: reader, guesses, warnings, files that are not part of it.
    fn reading(&self) -> Reading {
        Reading::default()
    }
    /// The same, for [`crate::open`] to complete; `None` for data that is not read from files.
    fn reading_mut(&mut self) -> Option<&mut Reading> {
        None
    }
}

/// [`Dataset::facts`] by decoding.
fn decoded_facts<D: Dataset + ?Sized>(dataset: &D, row: usize, wanted: Wanted) -> Result<RowFacts, Error> {
    let content = if wanted.content { dataset.content_hash(row)? } else { None };
    let labels = dataset.labels(row);
    let decode_labels = wanted.labels && labels.contains(&Labels::Pixels);
    let size = dataset.native_size(row).unwrap_or(SMALL);
    let sample = (wanted.fingerprint || decode_labels).then(|| dataset.sample(row, size)).transpose()?;
    let schema = dataset.schema();
    let print = |sample: &Sample| Fingerprint::from_planes(&sample.image, schema.channels, size, content);
    let statistics = |(at, (task, label)): (usize, (&Task, &Labels))| match (label, &sample) {
        (Labels::Missing, _) | (Labels::Pixels, None) => LabelFacts::Missing,
        (Labels::Class(class), _) => LabelFacts::Class(*class),
        (Labels::MultiLabel(cells), _) => LabelFacts::MultiLabel(cells.clone()),
        (Labels::Value(value), _) => LabelFacts::Value(*value),
        (Labels::Pixels, Some(sample)) => {
            sample.targets.get(at).map_or(LabelFacts::Missing, |target| LabelFacts::of(target, &task.kind))
        }
    };
    Ok(RowFacts {
        content,
        fingerprint: sample.as_ref().filter(|_| wanted.fingerprint).map(print),
        labels: if wanted.labels {
            schema.tasks.iter().zip(&labels).enumerate().map(statistics).collect()
        } else {
            Vec::new()
        },
    })
}
