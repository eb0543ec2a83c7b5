//! Looking into folders: in sorted order, without hidden files.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::reading::Reading;

const READ: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];
const NOT_READ: [&str; 8] = ["tif", "tiff", "heic", "avif", "jp2", "dcm", "npy", "svg"];

/// Everything visible in a folder, sorted by name.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let io = |source| Error::Io { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// The folders in a folder.
pub(super) fn folders(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(entries(folder)?.into_iter().filter(|path| path.is_dir()).collect())
}

/// The image files in a folder, by their extension.
pub(super) fn images(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(entries(folder)?.into_iter().filter(|path| is_image_name(path) && path.is_file()).collect())
}

/// Folders deeper than this are not looked into: links may go round in circles.
const MAX_DEPTH: usize = 6;

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

/// Whether a folder, up to three levels deep, has an image file.
pub(super) fn any_image(folder: &Path) -> bool {
    fn look(folder: &Path, depth: usize) -> bool {
        let entries = entries(folder).unwrap_or_default();
        entries.iter().any(|path| is_image_name(path) && path.is_file())
            || (depth > 0 && entries.iter().any(|path| path.is_dir() && look(path, depth - 1)))
    }
    look(folder, 3)
}

/// Counts the image files of formats that are not read.
pub(super) fn unread(folder: &Path, reading: &mut Reading) -> Result<(), Error> {
    let others = entries(folder)?.into_iter().filter(|path| has_extension(path, &NOT_READ));
    others.for_each(|path| reading.leave("a type that is not read; convert to PNG", &path));
    Ok(())
}

pub(super) fn is_image_name(path: &Path) -> bool {
    has_extension(path, &READ)
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    path.extension()
        .and_then(OsStr::to_str)
        .is_some_and(|end| known.iter().any(|known| end.eq_ignore_ascii_case(known)))
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
