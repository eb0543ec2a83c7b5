//! The folder of a run: created once, locked by one process at a time, never overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use super::atomic::write_atomically;
use super::checkpoint::sweep;
use super::environment;
use crate::error::{Error, Remedy, Result};

/// Longest name of a run, in characters. A system takes 255 bytes, and a character has up to 3 in most scripts.
const LONGEST_NAME: usize = 80;

fn is_usable(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.starts_with('.') && name.chars().all(is_usable)
}

/// The name of a run on a data set, whose name may hold any character: a series of others than letters, digits, `-`, `_` and
/// `.` becomes one `-`.
pub(crate) fn name_of(data: &str) -> String {
    if is_name(data) {
        return data.to_owned();
    }
    let mut name = String::new();
    for c in data.nfc() {
        match is_usable(c) {
            true => name.push(c),
            false if name.ends_with('-') => {}
            false => name.push('-'),
        }
    }
    let name: String = name.trim_matches(['-', '.']).chars().take(LONGEST_NAME).collect();
    if name.is_empty() { "data".to_owned() } else { name }
}

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
        if !is_name(name) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_folder_name_gives_a_name_of_a_run() {
        for (folder, expected) in [
            ("photos", "photos"),
            ("my photos (1)", "my-photos-1"),
            ("Bla\u{308}tter 2024", "Bl\u{e4}tter-2024"),
            ("\u{8449}", "\u{8449}"),
            (".hidden", "hidden"),
            ("...", "data"),
            ("a_b.c-d", "a_b.c-d"),
            ("a--b-", "a--b-"),
        ] {
            assert_eq!(name_of(folder), expected);
            let dir = tempfile::tempdir().unwrap();
            let made = RunDir::create(dir.path(), &name_of(folder)).unwrap();
            assert!(made.path().ends_with(format!("{expected}-0001")));
        }
        assert_eq!(name_of(&"x".repeat(200)).len(), LONGEST_NAME);
    }
}
