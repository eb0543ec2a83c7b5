//! What every source of labelled images offers: a [`Schema`], a number of rows, and one decoded [`Sample`] a row.

use std::path::PathBuf;

use mtl_task::{Target, Task};

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
}
