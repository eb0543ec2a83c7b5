//! The folder of a run: made once, owned by one process at a time, never overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use crate::checkpoint::{sweep, write_atomically};
use crate::environment;
use crate::error::{Error, Result};

/// An open run folder; the lock is given back when it is dropped, however the process ends.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Makes `parent/name-0001`, or the next number that is free.
    ///
    /// # Errors
    /// A name that could leave `parent`; a parent that cannot be written to.
    pub fn create(parent: &Path, name: &str) -> Result<Self> {
        let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 80 || name.starts_with('.') || !name.chars().all(usable) {
            let allowed = "a run's name is made of 1 to 80 letters, digits, `-`, `_` and `.`, not beginning with `.`";
            return Err(Error::Config(format!("output.name = \"{name}\": {allowed}")));
        }
        let elsewhere = || "choose another folder with `--set output.dir=DIR`".to_owned();
        fs::create_dir_all(parent).map_err(|error| Error::io("cannot create", parent)(error).advise(elsewhere))?;
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
                Err(error) => return Err(Error::io("cannot create", path)(error).advise(elsewhere)),
            }
        }
        Err(Error::Run {
            path: parent.to_owned(),
            problem: format!("holds 99,999 runs called {name}; choose another name"),
        })
    }

    /// Opens an existing run to go on with it, and clears away what a process that was killed has left half written.
    ///
    /// # Errors
    /// Not a run folder, or another process is working in it.
    pub fn open(path: &Path) -> Result<Self> {
        check(path)?;
        let writable = || "a run goes on in its own folder, which must be writable".to_owned();
        let dir = Self::own(path.to_owned()).map_err(|error| error.advise(writable))?;
        for half in ["config.tmp", "env.tmp", "schema.tmp"] {
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

/// That `path` is a run folder.
///
/// # Errors
/// [`Error::Run`] saying what is missing.
pub fn check(path: &Path) -> Result<()> {
    let problem = if path.is_file() {
        "is a file; name the run's folder"
    } else if !path.is_dir() {
        "there is no such run folder; `ls runs` shows those there are"
    } else if !path.join("config.toml").is_file() {
        "is no run folder: it has no config.toml (one that was stopped while it was made has none either: train again)"
    } else {
        return Ok(());
    };
    Err(Error::Run { path: path.to_owned(), problem: problem.into() })
}
