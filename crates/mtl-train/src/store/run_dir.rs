//! The folder of a run: created once, locked by one process at a time, never overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use super::atomic::write_atomically;
use super::checkpoint::sweep;
use super::environment;
use crate::error::{Error, Remedy, Result};

/// An open run folder. The lock is released on drop, and by the system when the process ends.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Creates `parent/name-0001`, or the next free number.
    ///
    /// # Errors
    /// A name that could leave `parent`; a parent that cannot be written to.
    pub fn create(parent: &Path, name: &str) -> Result<Self> {
        let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 80 || name.starts_with('.') || !name.chars().all(usable) {
            let allowed = "a run's name is made of 1 to 80 letters, digits, `-`, `_` and `.`, not beginning with `.`";
            return Err(Error::setting("output.name", format!("{allowed}; it is \"{name}\"")));
        }
        let failed = |path: &Path, error| Error::io("cannot create", path)(error).advise(Remedy::OtherRunsFolder);
        fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        for number in 1..100_000 {
            let path = parent.join(format!("{name}-{number:04}"));
            match fs::create_dir(&path) {
                Ok(()) => {
                    for folder in ["samples", "predictions", "checkpoints"] {
                        let folder = path.join(folder);
                        fs::create_dir(&folder).map_err(Error::io("cannot create", folder))?;
                    }
                    return Self::own(path);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&path, error)),
            }
        }
        Err(Error::Run {
            path: parent.to_owned(),
            problem: format!("holds 99,999 runs called {name}; choose another name"),
        })
    }

    /// Opens an existing run to continue it, and removes incomplete files of a killed process.
    ///
    /// # Errors
    /// Not a run folder, or another process is working in it.
    pub fn open(path: &Path) -> Result<Self> {
        check(path)?;
        let dir = Self::own(path.to_owned()).map_err(|error| error.advise(Remedy::WritableRun))?;
        for half in ["config.tmp", "env.tmp", "schema.tmp", "result.tmp"] {
            let half = path.join(half);
            match fs::remove_file(&half) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("cannot remove", half)(error));
                }
                _ => {}
            }
        }
        sweep(&path.join("checkpoints"))?;
        Ok(dir)
    }

    fn own(path: PathBuf) -> Result<Self> {
        let file = path.join("lock");
        let mut lock = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&file)
            .map_err(Error::io("cannot write", &file))?;
        if lock.try_lock().is_err() {
            let owner = fs::read_to_string(&file).unwrap_or_default();
            let problem = format!("is in use by process {}; wait for it or stop it first", owner.trim());
            return Err(Error::Run { path, problem });
        }
        let claim = |lock: &mut File| {
            lock.set_len(0)?;
            lock.rewind()?;
            write!(lock, "{}", std::process::id())
        };
        claim(&mut lock).map_err(Error::io("cannot write", &file))?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Writes `config.toml` and `env.json`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn describe(&self, config: &str) -> Result<()> {
        environment::began(&self.path)?;
        write_atomically(&self.join("config.toml"), config.as_bytes())
    }
}

/// Checks that `path` is a run folder.
///
/// # Errors
/// [`Error::Run`] naming the missing file.
pub fn check(path: &Path) -> Result<()> {
    let problem = if path.is_file() {
        "is a file; name the run's folder"
    } else if !path.is_dir() {
        "does not exist; `ls runs` lists the run folders"
    } else if !path.join("config.toml").is_file() {
        "is not a run folder: it has no config.toml (a run stopped during its creation has none either: train again)"
    } else {
        return Ok(());
    };
    Err(Error::Run { path: path.to_owned(), problem: problem.into() })
}
