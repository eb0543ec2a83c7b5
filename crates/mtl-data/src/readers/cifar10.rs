//! CIFAR-10, binary version (Krizhevsky 2009): files of 3073-byte records, a class byte and 32 x 32 pixels in three
//! planes. `data_batch_*.bin` are the training subset, `test_batch.bin` the test subset; `batches.meta.txt` names the
//! classes. All 60,000 images take 184 MB of memory, a batch file alone is fine.

use std::path::{Path, PathBuf};

use super::packed::Packed;
use super::{OpenOptions, ReaderFns, walk};
use crate::dataset::{Dataset, Subset};
use crate::error::Error;
use crate::size::Size;

pub(super) const READER: ReaderFns = ReaderFns { detect, open };

const SIZE: Size = Size { height: 32, width: 32 };
const RECORD: usize = 1 + 3 * SIZE.height * SIZE.width;
/// The published order.
pub(super) const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

fn detect(root: &Path) -> bool {
    !batches(root).is_empty()
}

fn open(root: &Path, options: &OpenOptions) -> Result<Box<dyn Dataset>, Error> {
    let files = batches(root);
    let Some((first, _)) = files.first() else {
        return Err(Error::Layout {
            path: root.to_owned(),
            reason: "no data_batch_*.bin and no test_batch.bin here (the binary version is read, not the Python one)"
                .into(),
        });
    };
    let meta = first.with_file_name("batches.meta.txt");
    let text = std::fs::read_to_string(&meta).unwrap_or_default();
    let mut names: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if names.len() != CLASSES.len() {
        names = CLASSES.map(str::to_owned).to_vec();
    }
    let mut packed = Packed::new(walk::dataset_name(root), names, 3, SIZE, options)?;
    for (path, subset) in &files {
        let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.clone(), source })?;
        let fail = |reason: String| Error::Packed { path: path.clone(), reason };
        if bytes.is_empty() || bytes.len() % RECORD != 0 {
            return Err(fail(format!(
                "{} bytes are no whole number of {RECORD}-byte records: truncated?",
                bytes.len()
            )));
        }
        for (at, record) in bytes.chunks_exact(RECORD).enumerate() {
            if usize::from(record[0]) >= CLASSES.len() {
                return Err(fail(format!("record {at} is of class {}; the classes are 0 to 9", record[0])));
            }
            packed.push(&record[1..], record[0], *subset);
        }
    }
    Ok(packed.boxed())
}

/// Training files first, so that rows of one subset are together.
fn batches(root: &Path) -> Vec<(PathBuf, Subset)> {
    let inner = root.join("cifar-10-batches-bin");
    let folder = if inner.is_dir() { &inner } else { root };
    let files = walk::entries(folder).unwrap_or_default();
    let matching = |prefix: &'static str, subset: Subset| {
        files
            .iter()
            .filter(move |path| walk::name(path).starts_with(prefix) && walk::name(path).ends_with(".bin"))
            .map(move |path| (path.clone(), subset))
    };
    matching("data_batch_", Subset::Train).chain(matching("test_batch", Subset::Test)).collect()
}
