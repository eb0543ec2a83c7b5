//! [`Download`]: one data set from its manifest to a folder that a reader opens.

use std::fs::{self, TryLockError};
use std::path::{Path, PathBuf};

use tracing::debug;

use crate::http::{Client, HttpOptions};
use crate::unpack::{Budget, unpack};
use crate::{Error, Manifest, Progress};

/// A data set and the folder it goes to.
///
/// ```no_run
/// let manifest = mtl_hub::dataset("mnist")?;
/// let outcome = mtl_hub::Download::new(&manifest, "data/downloads").run(&mut |event| eprintln!("{event}"))?;
/// println!("{} files in {}", outcome.files, outcome.folder.display());
/// # Ok::<(), mtl_hub::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Download<'a> {
    manifest: &'a Manifest,
    dir: PathBuf,
    archive: Option<PathBuf>,
    http: HttpOptions,
}

/// A finished download.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// `DIR/NAME`.
    pub folder: PathBuf,
    /// Files unpacked; 0 where the folder was there already.
    pub files: usize,
    /// True where the folder was there already; nothing was downloaded.
    pub already_there: bool,
}

impl<'a> Download<'a> {
    /// Downloads `manifest` to the new folder `dir/NAME`.
    pub fn new(manifest: &'a Manifest, dir: impl Into<PathBuf>) -> Self {
        Self { manifest, dir: dir.into(), archive: None, http: HttpOptions::default() }
    }

    /// Unpacks this archive, which was downloaded by hand, instead of downloading. Its SHA-256 is not checked.
    pub fn archive(mut self, path: impl Into<PathBuf>) -> Self {
        self.archive = Some(path.into());
        self
    }

    /// Timeouts and number of attempts.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// Downloads, checks and unpacks. The folder appears under its name only when it is complete.
    ///
    /// Interrupted downloads continue: files are kept in `DIR/NAME.archives` until everything is unpacked.
    ///
    /// # Errors
    /// Every variant of [`Error`] but `UnknownDataset`, `Manifest` and `Hub`. Nothing is left under the folder's name.
    pub fn run(&self, on_progress: &mut dyn FnMut(Progress<'_>)) -> Result<Outcome, Error> {
        let Self { manifest, dir, archive, .. } = self;
        let folder = dir.join(&manifest.name);
        let already_there = || Outcome { folder: folder.clone(), files: 0, already_there: true };
        if folder.is_dir() {
            return Ok(already_there());
        }
        if archive.is_none() && manifest.file.is_empty() {
            let instructions = manifest.by_hand.as_ref().unwrap_or(&manifest.page).trim().to_owned();
            return Err(Error::Manual { name: manifest.name.clone(), instructions });
        }
        let lock = Lock::take(dir, &manifest.name)?;
        if folder.is_dir() {
            return Ok(already_there());
        }
        let archives = dir.join(format!("{}.archives", manifest.name));
        let sources: Vec<(PathBuf, usize)> = match archive {
            Some(path) => vec![(path.clone(), manifest.file.first().map_or(manifest.strip, |file| file.strip))],
            None => {
                let client = Client::new(self.http);
                let fetch = |file| client.fetch(file, &archives, on_progress);
                let paths = manifest.file.iter().map(fetch).collect::<Result<Vec<_>, _>>()?;
                paths.into_iter().zip(manifest.file.iter().map(|file| file.strip)).collect()
            }
        };
        let unfinished = dir.join(format!("{}.unpacking", manifest.name));
        remove(&unfinished)?;
        let mut budget = Budget::new(manifest.max_unpacked_bytes);
        let mut files = 0;
        for (archive, strip) in &sources {
            debug!(archive = %archive.display(), "unpacking");
            on_progress(Progress::Unpacking { archive });
            match unpack(archive, &unfinished, *strip, &mut budget) {
                Ok(more) => files += more,
                Err(error) => {
                    remove(&unfinished)?;
                    return Err(error);
                }
            }
        }
        fs::rename(&unfinished, &folder).map_err(Error::io("rename", &unfinished))?;
        if archive.is_none() {
            remove(&archives)?;
        }
        lock.release()?;
        Ok(Outcome { folder, files, already_there: false })
    }
}

/// Removes a folder that may be absent.
pub(crate) fn remove(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", dir)(error)),
        _ => Ok(()),
    }
}

/// `DIR/NAME.lock`, locked by the process that downloads NAME.
pub(crate) struct Lock {
    file: fs::File,
    path: PathBuf,
}

impl Lock {
    /// Creates `dir`, then the lock in it.
    pub(crate) fn take(dir: &Path, name: &str) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let path = dir.join(format!("{name}.lock"));
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).write(true).truncate(false).open(&path).map_err(Error::io("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy { name: name.to_owned(), lock: path }),
            // A file system without locks: two downloads at the same time are then the user's to avoid.
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
                Ok(Self { file, path })
            }
            Err(TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
        }
    }

    /// Removes the file. A process that waits for it finds the finished folder.
    pub(crate) fn release(self) -> Result<(), Error> {
        drop(self.file);
        fs::remove_file(&self.path).map_err(Error::io("remove", &self.path))
    }
}

#[cfg(test)]
mod tests;
