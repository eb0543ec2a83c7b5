//! Errors about data: the problem, its place, and the remedy.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mtl_registry::UnknownName;

use crate::size::{MAX_BYTES, MAX_SIDE};

/// Why bytes are not a usable image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No bytes.
    #[error("the file is empty (0 bytes)")]
    Empty,
    /// No known magic number.
    #[error("not an image (PNG, JPEG, WebP, BMP, GIF, TIFF and PNM are read)")]
    NotAnImage,
    /// The text that Git LFS stores in place of a file.
    #[error("a pointer of Git LFS and not the file itself: `git lfs pull` fetches the files")]
    GitLfs,
    /// An image format that is not read.
    #[error("{kind} are not read; {remedy}")]
    Unsupported {
        /// The kind of files, in the plural.
        kind: String,
        /// How to convert them.
        remedy: String,
    },
    /// The data ends too early.
    #[error("truncated: the data ends before the image does")]
    Truncated,
    /// A float that is no brightness: below 0, or not finite.
    #[error(
        "floats {0}; images need finite values from 0 up: shift and scale them, the same for all files, or save PNG files"
    )]
    Float(&'static str),
    /// Header beyond the limits.
    #[error("{width} x {height} pixels, beyond the limit of {MAX_SIDE} per side and {} MiB decoded", MAX_BYTES >> 20)]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// File beyond the limits.
    #[error("a file of {} MiB, beyond the limit of {} MiB", .0 >> 20, MAX_BYTES >> 20)]
    FileTooLarge(u64),
    /// Depths drawn in colours.
    #[error("a colour picture: its colours are no depths; store one number per pixel, as a grey PNG of 8 or 16 bits")]
    ColourDepth,
    /// Anything else the decoder says.
    #[error("damaged: {0}")]
    Damaged(String),
}

/// A file whose row is left out because it is missing or broken.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Its fault.
    pub reason: String,
}

impl Skipped {
    /// One line per reason, with the number of files and the first few.
    pub fn lines(skipped: &[Self]) -> Vec<String> {
        const NAMED: usize = 3;
        let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for Self { path, reason } in skipped {
            by_reason.entry(reason).or_default().push(path.display().to_string());
        }
        let line = |(reason, paths): (&str, Vec<String>)| match &paths[..] {
            [path] => format!("{path}: {reason}"),
            paths => {
                let more = if paths.len() > NAMED { " ..." } else { "" };
                format!("{} files: {reason}: {}{more}", paths.len(), paths[..paths.len().min(NAMED)].join(", "))
            }
        };
        by_reason.into_iter().map(line).collect()
    }
}

/// Everything that can be wrong with data. Each variant says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
        /// What is there instead.
        reason: String,
        /// One line a layout.
        layouts: String,
    },
    /// A folder that is not laid out as its reader expects.
    #[error("{}: {reason}", path.display())]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// The fault and the remedy.
        reason: String,
    },
    /// A wrong line in a text table.
    #[error("{}:{line}: {reason}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// The fault and the remedy.
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
        /// The fault.
        reason: String,
    },
    /// More broken files than may be skipped.
    #[error(
        "{}: {} of {rows} rows have missing or broken files, more than the {allowed} that may be skipped (data.open.max_broken); repair or remove them:{}",
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
        /// The files that were looked for.
        reason: String,
    },
    /// A packed file (CIFAR-10, idx, parquet) that is not what its name says.
    #[error("{}: {reason}", path.display())]
    Packed {
        /// The file.
        path: PathBuf,
        /// The fault.
        reason: String,
    },
    /// An option with an impossible value.
    #[error("{key} = {value}: {reason}")]
    Option {
        /// The option's name.
        key: &'static str,
        /// The value given.
        value: String,
        /// The allowed values.
        reason: String,
    },
    /// Data sets that cannot be concatenated.
    #[error("{problem}")]
    Concat {
        /// The data set, the reason and the remedy.
        problem: String,
    },
    /// Labels that a model's tasks cannot be scored on.
    #[error("{problem}")]
    Unmatched {
        /// The task or the tasks, the classes of both, and the remedy.
        problem: String,
    },
    /// A task that a source does not have.
    #[error("source `{origin}`: {unknown}")]
    NoSuchTask {
        /// The source.
        origin: String,
        /// The name, and those there are.
        unknown: Box<UnknownName>,
    },
    /// A class with a single image.
    #[error(
        "class `{class}` of task `{task}` has one image only ({row}): it cannot be in both training and test; add images of \
         it, remove it, or give the split yourself (a `split` column in manifest.csv, or train/ and test/ folders)"
    )]
    SingletonClass {
        /// The task that is stratified by.
        task: String,
        /// The class.
        class: String,
        /// The image.
        row: String,
    },
    /// Too few groups for a training, a validation and a test subset.
    #[error(
        "`{name}` has {groups} groups by the column `{column}` (rows without a group and their equal images are one each); at \
         least {needed} are needed for its subsets"
    )]
    TooFewGroups {
        /// The data set.
        name: String,
        /// The column of groups.
        column: String,
        /// Groups in it.
        groups: usize,
        /// Groups needed.
        needed: usize,
    },
    /// Generated images without others.
    #[error(
        "all {rows} images of `{name}` are generated: they are for training only; add a folder of real images, which validation \
         and test need"
    )]
    OnlyGenerated {
        /// The data set.
        name: String,
        /// Its rows.
        rows: usize,
    },
    /// Too few rows for a training, a validation and a test subset.
    #[error("`{name}` has {rows} different images; at least {needed} are needed for its subsets")]
    TooFewRows {
        /// The data set.
        name: String,
        /// Different images in it.
        rows: usize,
        /// Images needed.
        needed: usize,
    },
}

fn list_words(broken: &[Skipped]) -> String {
    const SHOWN: usize = 10;
    let lines = Skipped::lines(broken);
    let mut words: String = lines.iter().take(SHOWN).map(|line| format!("\n  {line}")).collect();
    if lines.len() > SHOWN {
        words += &format!("\n  ... and {} more reasons (a data check lists all)", lines.len() - SHOWN);
    }
    words
}
