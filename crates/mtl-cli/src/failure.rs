//! What went wrong: words, a hint, and the exit code.

use std::error::Error as _;
use std::path::Path;

use mtl_registry::nearest;

use crate::output::{say, typed};

/// Why the program ends without having done what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The library says why.
    Run(mtl_train::Error),
    /// Something typed that cannot be right.
    Usage(String),
    /// Images or labels that cannot be used.
    Data(String),
    /// Nothing of these.
    Other(String),
}

impl From<mtl_train::Error> for Failure {
    fn from(error: mtl_train::Error) -> Self {
        Self::Run(error)
    }
}

impl Failure {
    /// A failure without a kind of its own.
    pub fn other(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }

    /// As the help says: 1 failure, 2 usage or configuration, 3 data, 4 diverged, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Run(error) => error.exit_code(),
            Self::Usage(_) => 2,
            Self::Data(_) => 3,
            Self::Other(_) => 1,
        }
    }

    /// Says it on standard error.
    pub fn report(&self) {
        match self {
            Self::Run(error @ mtl_train::Error::Interrupted { .. }) => say(error),
            Self::Run(error) => {
                let mut told = error.to_string();
                say(format_args!("error: {told}"));
                let mut source = error.source();
                while let Some(cause) = source {
                    // Most messages already hold their cause.
                    let words = cause.to_string();
                    if !told.contains(&words) {
                        say(format_args!("  because {words}"));
                        told = words;
                    }
                    source = cause.source();
                }
            }
            Self::Usage(message) | Self::Data(message) | Self::Other(message) => say(format_args!("error: {message}")),
        }
        if let Some(hint) = self.hint() {
            say(format_args!("hint: {hint}"));
        }
    }

    fn hint(&self) -> Option<&'static str> {
        // What the program says itself is about one thing typed, and needs no look at the whole folder.
        let code = if matches!(self, Self::Data(_)) { 0 } else { self.exit_code() };
        match code {
            2 => Some("`mtl --help` shows what can be typed, `mtl list` every name, a run's config.toml every key"),
            3 => Some("`mtl data check DIR` lists everything that is wrong with a folder"),
            _ => None,
        }
    }
}

/// That something typed as a path is there; if not, which neighbour was probably meant.
pub fn must_exist(path: &Path, what: &str) -> Result<(), String> {
    if path.exists() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut message = format!("there is no {what} {}", path.display());
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Err(format!("{message}: there is not even a folder {}", parent.display()));
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    let wrong = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some(name) = nearest(&wrong, names.iter().map(String::as_str)) {
        let meant = if path.parent() == Some(Path::new("")) { name.into() } else { parent.join(name) };
        message += &format!(": did you mean {}?", typed(&meant));
    }
    Err(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_path_names_its_neighbour() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("photos")).unwrap();
        assert!(must_exist(&dir.path().join("photos"), "folder").is_ok());
        let message = must_exist(&dir.path().join("fotos"), "folder").unwrap_err();
        assert!(message.ends_with("photos?") && message.contains("did you mean"), "{message}");
        let message = must_exist(&dir.path().join("a/b"), "folder").unwrap_err();
        assert!(message.contains("not even"), "{message}");
    }
}
