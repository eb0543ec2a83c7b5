//! What every source of labelled images offers: a [`Schema`], a number of rows, and one decoded [`Sample`] a row.

use std::path::PathBuf;

use mtl_registry::UnknownName;
use mtl_task::{Target, Task};

use crate::decode::Problem;

/// Height and width in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// What a data set contains, before any image is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Short name for tables and run folders ("busi").
    pub name: String,
    /// 1 for grey images, 3 for colour.
    pub channels: usize,
    /// The tasks that have labels, in the order of [`Sample::targets`].
    pub tasks: Vec<Task>,
}

/// Image-level labels of one row, known without decoding: what splits are stratified by and tables count.
/// One entry a task, in schema order.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// The class index.
    Class(usize),
    /// One value a label: yes, no or missing.
    MultiLabel(Vec<Option<bool>>),
    /// A mask or dense map exists for this row (its pixels are known only after decoding).
    Pixels,
    /// Nobody labelled this row for this task.
    Missing,
}

/// The side of the split a data set itself assigns to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Used for gradients.
    Train,
    /// Used for early stopping and choices.
    Validation,
    /// Used for the reported scores, once.
    Test,
}

/// One decoded row at the asked size.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// `[C, H, W]` bytes, 0 to 255.
    pub image: Vec<u8>,
    /// One target a task in schema order, each for a batch of 1 (`[1]`, `[1, labels]`, `[1, H, W]`); masks are resized
    /// by nearest neighbour so that no value is invented.
    pub targets: Vec<Target>,
}

/// A source of labelled images. Rows are `0..len()`, in an order that never changes.
pub trait Dataset: Send + Sync {
    /// Channels and tasks.
    fn schema(&self) -> &Schema;
    /// Number of rows.
    fn len(&self) -> usize;
    /// True if there is no row.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The row's name in messages and reports, usually its path relative to the folder.
    fn row_name(&self, row: usize) -> String;
    /// Image-level labels in schema order, without decoding anything.
    fn labels(&self, row: usize) -> Vec<Labels>;
    /// The side the data set's authors put this row on, if they did.
    fn part(&self, _row: usize) -> Option<Part> {
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
    /// The size the row's image is stored in, if known without decoding.
    fn native_size(&self, _row: usize) -> Option<Size> {
        None
    }
    /// Rows that are no rows because a file of theirs is missing or broken: to be reported when a run starts.
    fn skipped(&self) -> &[Skipped] {
        &[]
    }
    /// Names of the sources the rows come from. One, the data set itself, unless several were put together
    /// ([`crate::Sources`]): then each is split on its own, and [`crate::mixing`] says how often it is seen.
    fn sources(&self) -> Vec<String> {
        vec![self.schema().name.clone()]
    }
    /// Which of [`Dataset::sources`] the row belongs to.
    fn source(&self, _row: usize) -> usize {
        0
    }
    /// What a reader saw and did not use (a column with too many values, files of unknown type), a sentence each.
    fn notes(&self) -> &[String] {
        &[]
    }
}

/// A file that made its row unusable.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Everything that can be wrong with data. Each variant says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// No reader of that name.
    #[error(transparent)]
    UnknownReader(#[from] UnknownName),
    /// A folder no reader understands.
    #[error("no data set is recognised in {}: {reason}; understood are:\n{layouts}", path.display())]
    NoReader {
        /// The folder.
        path: PathBuf,
        /// What was found instead.
        reason: String,
        /// One line a layout.
        layouts: String,
    },
    /// A folder that is not laid out as its reader expects.
    #[error("{}: {reason}", path.display())]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A wrong line in a text table.
    #[error("{}:{line}: {reason}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A file that is not a usable image.
    #[error("{}: {problem}", path.display())]
    Image {
        /// The file (and the row in it, for packed files).
        path: PathBuf,
        /// Why.
        problem: Problem,
    },
    /// A mask or depth map that does not fit its image or its palette.
    #[error("{}: {reason}", path.display())]
    Mask {
        /// The mask file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// More broken files than may be skipped.
    #[error(
        "{}: {} of {rows} rows have missing or broken files, more than the {allowed} that may be skipped; repair or remove them:{}",
        path.display(), broken_rows, list_words(broken)
    )]
    TooManyBroken {
        /// The data set.
        path: PathBuf,
        /// Every file.
        broken: Vec<Skipped>,
        /// Rows they belong to.
        broken_rows: usize,
        /// Rows there would have been.
        rows: usize,
        /// How many may be skipped.
        allowed: usize,
    },
    /// A data set without a usable image.
    #[error("{}: no images ({reason})", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
        /// What was looked for.
        reason: String,
    },
    /// A packed file (CIFAR-10, idx, parquet) that is not what its name says.
    #[error("{}: {reason}", path.display())]
    Packed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An option with an impossible value.
    #[error("{key} = {value}: {reason}")]
    Option {
        /// The option's name.
        key: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        reason: String,
    },
    /// Sources that cannot be put together.
    #[error("{problem}")]
    Sources {
        /// Which, why not, and what to do.
        problem: String,
    },
    /// A task that a source was asked for and does not have.
    #[error("source `{source_name}`: {unknown}")]
    NoSuchTask {
        /// The source.
        source_name: String,
        /// The name, and those there are.
        unknown: UnknownName,
    },
    /// A class that cannot be on every side of a split.
    #[error(
        "class `{class}` of task `{task}` has one image only ({row}): it cannot be both learnt and tested; add images of \
         it, remove it, or give the split yourself (a `split` column in manifest.csv, or train/ and test/ folders)"
    )]
    LonelyClass {
        /// The task that is stratified by.
        task: String,
        /// The class.
        class: String,
        /// The image.
        row: String,
    },
    /// Too few rows to have a training, a validation and a test side.
    #[error("`{name}` has {rows} different images; at least {needed} are needed for its sides of the split")]
    TooFewRows {
        /// The data set.
        name: String,
        /// Different images in it.
        rows: usize,
        /// What is needed.
        needed: usize,
    },
}

fn list_words(broken: &[Skipped]) -> String {
    const SHOWN: usize = 10;
    let mut words: String = broken
        .iter()
        .take(SHOWN)
        .map(|skipped| format!("\n  {}: {}", skipped.path.display(), skipped.reason))
        .collect();
    if broken.len() > SHOWN {
        words += &format!("\n  ... and {} more (a data check lists all)", broken.len() - SHOWN);
    }
    words
}
