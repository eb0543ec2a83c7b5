//! Looking into folders: in sorted order, without hidden files and what other programs leave behind.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::names;
use super::wildcard::Wildcard;
use crate::error::Error;
use crate::image::foreign::{FOREIGN, Foreign};
use crate::reading::Reading;

const READ: &[&str] =
    &["png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "gif", "tif", "tiff", "pgm", "ppm", "pbm", "pnm", "pam"];

thread_local! {
    /// The data's folder and the patterns of files in it that are not looked at, while a data set is opened. All readers look
    /// into folders on the thread that opens; in their arguments, the patterns would pass through every one of them unused.
    static IGNORED: RefCell<(PathBuf, Vec<Wildcard>)> = const { RefCell::new((PathBuf::new(), Vec::new())) };
}

/// Runs `open` without looking at files and folders below `root` that match one of `patterns`.
pub(super) fn ignoring<T>(root: &Path, patterns: Vec<Wildcard>, open: impl FnOnce() -> T) -> T {
    struct Reset((PathBuf, Vec<Wildcard>));
    impl Drop for Reset {
        fn drop(&mut self) {
            IGNORED.set(std::mem::take(&mut self.0));
        }
    }
    let _reset = Reset(IGNORED.replace((root.to_owned(), patterns)));
    open()
}

fn is_ignored(path: &Path) -> bool {
    IGNORED.with_borrow(|(root, patterns)| {
        let own = relative(path, root);
        patterns.iter().any(|pattern| pattern.covers(&own))
    })
}

/// Everything in a folder, sorted by name, without hidden files, what other programs leave behind, runs of mtl and what is to
/// be ignored.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let seen = |path: &PathBuf| !names::is_junk(&name(path)) && !is_run(path) && !is_ignored(path);
    Ok(everything(folder)?.into_iter().filter(seen).collect())
}

fn everything(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let paths = std::fs::read_dir(folder).map_err(io)?.map(|entry| Ok(entry.map_err(io)?.path()));
    let mut paths = paths.collect::<Result<Vec<_>, Error>>()?;
    paths.sort();
    Ok(paths)
}

/// Whether a folder is a run: its pictures are no data.
fn is_run(path: &Path) -> bool {
    path.join("checkpoints").is_dir() && path.join("config.toml").is_file()
}

/// The folders in a folder, without links to a folder that holds it.
pub(super) fn folders(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(entries(folder)?.into_iter().filter(|path| path.is_dir() && !is_circle(path)).collect())
}

/// Whether a path is a link to a folder that it lies in: following it would never end.
fn is_circle(path: &Path) -> bool {
    path.is_symlink()
        && match (path.canonicalize(), path.parent().map(Path::canonicalize)) {
            (Ok(target), Some(Ok(folder))) => folder.starts_with(target),
            _ => false,
        }
}

/// The image files in a folder, by their extension; without one, by their content.
pub(super) fn images(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(entries(folder)?.into_iter().filter(|path| is_image(path)).collect())
}

/// Folders deeper than this are not looked into: links may go round in circles.
const MAX_DEPTH: usize = 16;

/// The image files in a folder and the folders below it.
pub(crate) fn images_below(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    collect(folder, MAX_DEPTH, &mut found)?;
    Ok(found)
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    found.extend(images(folder)?);
    if depth > 0 {
        folders(folder)?.iter().try_for_each(|inner| collect(inner, depth - 1, found))?;
    }
    Ok(())
}

/// Whether there is an image file in a folder or below it.
pub(super) fn any_image(folder: &Path) -> bool {
    fn look(folder: &Path, depth: usize) -> bool {
        let entries = entries(folder).unwrap_or_default();
        entries.iter().any(|path| is_image(path))
            || (depth > 0 && entries.iter().any(|path| path.is_dir() && !is_circle(path) && look(path, depth - 1)))
    }
    look(folder, MAX_DEPTH)
}

pub(super) fn is_image(path: &Path) -> bool {
    match path.extension() {
        Some(_) => is_image_name(path) && path.is_file(),
        None => path.is_file() && is_image_content(path),
    }
}

/// Whether the first bytes are those of an image.
fn is_image_content(path: &Path) -> bool {
    let mut start = [0; 132];
    let read = std::fs::File::open(path).and_then(|mut file| file.read(&mut start));
    let is_dicom = |start: &[u8]| cfg!(feature = "dicom") && start.ends_with(b"DICM") && start.len() == 132;
    read.is_ok_and(|count| image::guess_format(&start[..count]).is_ok() || is_dicom(&start[..count]))
}

pub(super) fn is_image_name(path: &Path) -> bool {
    has_extension(path, READ) || (cfg!(feature = "dicom") && has_extension(path, &["dcm", "dicom"]))
}

/// The reason why a file of another kind is not read.
pub(super) const NO_IMAGE: &str = "no image";

/// Counts every file below `root` that is not `used`, by reason.
pub(super) fn leave_rest(root: &Path, used: &BTreeSet<PathBuf>, reading: &mut Reading) -> Result<(), Error> {
    fn all(folder: &Path, junk: bool, depth: usize, found: &mut dyn FnMut(PathBuf, bool)) -> Result<(), Error> {
        for path in everything(folder)? {
            let junk = junk || names::is_junk(&name(&path));
            match path.is_dir() {
                true if is_run(&path) => found(path, junk),
                true if is_circle(&path) || depth == 0 => found(path, junk),
                true => all(&path, junk, depth - 1, found)?,
                false => found(path, junk),
            }
        }
        Ok(())
    }
    let mut leave = |path: PathBuf, junk: bool| {
        let foreign = not_read(&path);
        let reason = match &path {
            path if used.contains(path) => return,
            path if is_ignored(path) => "matched by data.open.ignore",
            _ if junk => "hidden, or left behind by a file manager or an archive",
            path if path.is_dir() && is_run(path) => "a run of mtl",
            path if path.is_dir() => "a folder that is too deep, or a link to a folder around it",
            _ if foreign.is_some() => foreign.as_deref().unwrap_or_default(),
            path if is_image(path) => "an image outside of the layout",
            path if has_extension(path, &["xml"]) => {
                "XML annotations, which are not read; export masks, or a table of labels"
            }
            path if has_extension(path, &["json", "jsonl"]) => {
                "JSON that is neither COCO nor a table of images, which is not read; export masks, COCO or a table of labels"
            }
            path if has_extension(path, &["csv", "tsv"]) => {
                "a table that is not read: not UTF-8, or no column of known name holds images; data.open.labels = \"FILE\" tells more"
            }
            path if has_extension(path, &["txt", "lst"]) && names_subset(path) => {
                "a list of a subset, which is not read; write a manifest.csv with the columns image and split"
            }
            path if has_extension(path, &["xlsx", "xls", "ods"]) => "a spreadsheet, which is not read; save it as CSV",
            path if has_extension(path, &["zip", "tar", "tgz", "7z", "rar", "gz", "bz2", "xz", "zst"]) => {
                "an archive or a compressed file, which is not read; unpack it"
            }
            path if is_pickle(path) => "a Python pickle, which is not read; convert its images to PNG files",
            path if has_extension(path, &["mp4", "avi", "mov", "mkv", "webm", "m4v"]) => {
                "a video, which is not read; cut it into images, as with `ffmpeg -i x.mp4 x_%04d.png`"
            }
            path if path.is_symlink() && !path.exists() => "a link to a file that does not exist",
            _ => NO_IMAGE,
        };
        reading.leave(reason, &path);
    };
    all(root, false, MAX_DEPTH, &mut leave)
}

/// Whether a file is a pickle, by its name; without an extension, by its first bytes (those of CIFAR-10 for Python have none).
fn is_pickle(path: &Path) -> bool {
    let starts_so = || {
        let mut start = [0; 2];
        let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
        read.is_ok() && matches!(start, [0x80, 2..=5])
    };
    has_extension(path, &["pkl", "pickle"]) || (path.extension().is_none() && path.is_file() && starts_so())
}

/// Whether a word of the stem is the name of a subset: `train.txt`, `test_list.txt`.
fn names_subset(path: &Path) -> bool {
    stem(path).split(['_', '-', '.', ' ']).any(|word| names::subset_named(word).is_some())
}

/// What a file is, by its name, if it is an image of a type that is not read.
fn not_read(path: &Path) -> Option<String> {
    let Foreign { kind, remedy, .. } = FOREIGN.iter().find(|format| has_extension(path, format.ends))?;
    Some(format!("{kind}, which are not read; {remedy}"))
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    let name = name(path).to_ascii_lowercase();
    known.iter().any(|end| name.strip_suffix(end).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')))
}

/// File name without folders.
pub(super) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// File name without folders and extension.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// `path` as seen from `root`, with forward slashes.
pub(super) fn relative(path: &Path, root: &Path) -> String {
    let parts: Vec<_> = path.strip_prefix(root).unwrap_or(path).iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

/// A data set's name: that of its folder.
pub(super) fn dataset_name(root: &Path) -> String {
    let full = std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    full.file_name().map_or_else(|| "data".to_owned(), |name| name.to_string_lossy().into_owned())
}
