//! Everything that can end a run, sorted by what the user has to do about it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What went wrong; each message says where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A wrong setting, with file and line where there is one.
    #[error("{0}")]
    Config(String),
    /// A name that is not registered.
    #[error(transparent)]
    UnknownName(#[from] mtl_registry::UnknownName),
    /// A wrong setting of a balancer, or signals it cannot use.
    #[error("balancer: {0}")]
    Balance(#[from] mtl_balance::Error),
    /// A wrong setting of a head.
    #[error(transparent)]
    Head(#[from] mtl_heads::Error),
    /// A wrong setting of a generator, or data it cannot use.
    #[error(transparent)]
    Generator(#[from] mtl_gen::Error),
    /// Images or labels that cannot be used.
    #[error(transparent)]
    Data(#[from] mtl_data::Error),
    /// A batch that could not be made.
    #[error(transparent)]
    Loader(#[from] mtl_data::loader::Error),
    /// Built-in scenes asked for with impossible settings.
    #[error(transparent)]
    Scenes(#[from] mtl_data::scenes::Error),
    /// Data and model or data and settings do not fit together.
    #[error("{0}")]
    DataMismatch(String),
    /// Scores of labels that do not fit.
    #[error(transparent)]
    Metrics(#[from] mtl_metrics::Error),
    /// A prediction that is not a number, where scores are taken.
    #[error("the prediction of task `{task}` is not finite: its weights are those of a run that has diverged")]
    NotFinite {
        /// The task.
        task: String,
    },
    /// A loss or gradient that is not a number: training cannot go on.
    #[error("{what} is not finite at {stage} step {step}{advice}")]
    Diverged {
        /// The task's loss or the parameter's gradient.
        what: String,
        /// The stage's name.
        stage: &'static str,
        /// Step of the stage.
        step: u64,
        /// What to try.
        advice: String,
    },
    /// The user asked to stop; everything is saved.
    #[error("interrupted at {stage} step {step}; everything is saved: continue with `mtl resume {}`", run.display())]
    Interrupted {
        /// The stage's name.
        stage: &'static str,
        /// Step of the stage.
        step: u64,
        /// The run's folder.
        run: PathBuf,
    },
    /// A file or folder.
    #[error("{action} {}: {source}{advice}", path.display())]
    Io {
        /// What was tried: "cannot write" ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
        /// What to do, where that is known.
        advice: String,
    },
    /// A run folder that is not one, or is in use.
    #[error("{}: {problem}", path.display())]
    Run {
        /// The folder.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A checkpoint that is damaged or belongs to another model.
    #[error("checkpoint {}: {problem}", path.display())]
    Checkpoint {
        /// The checkpoint's folder or file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A tensor operation failed.
    #[error("{0}")]
    Tensor(#[from] mtl_tensor::Error),
}

/// `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The program's exit code: 1 failure, 2 usage or configuration, 3 data, 4 diverged, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Balance(mtl_balance::Error::NonFiniteLoss { .. } | mtl_balance::Error::NonFiniteGradient { .. }) => 4,
            Self::Config(_)
            | Self::UnknownName(_)
            | Self::Balance(_)
            | Self::Head(_)
            | Self::Generator(_)
            | Self::Scenes(_) => 2,
            Self::Data(
                mtl_data::Error::UnknownReader(_)
                | mtl_data::Error::Option { .. }
                | mtl_data::Error::Sources { .. }
                | mtl_data::Error::NoSuchTask { .. },
            )
            | Self::Loader(mtl_data::loader::Error::Mixing(_)) => 2,
            Self::Data(_) | Self::Loader(_) | Self::DataMismatch(_) | Self::Metrics(_) => 3,
            Self::Diverged { .. } | Self::NotFinite { .. } => 4,
            Self::Interrupted { .. } => 130,
            Self::Io { .. } | Self::Run { .. } | Self::Checkpoint { .. } | Self::Tensor(_) => 1,
        }
    }

    /// An [`Error::Io`], with what the system's reason means where that is not plain.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| {
            let advice = match source.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; free some space".to_owned(),
                ErrorKind::FileTooLarge => "; raise the limit on the size of a file (`ulimit -f`)".to_owned(),
                _ => String::new(),
            };
            Self::Io { action, path, source, advice }
        }
    }

    /// The same for a file of `bytes` bytes; where they do not fit, says how many would.
    pub(crate) fn io_of(bytes: usize, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| match (source.kind(), path.parent().and_then(free_bytes)) {
            (ErrorKind::StorageFull, Some(free)) => {
                let advice = format!("; it needs {bytes} bytes and {free} are free: free some space");
                Self::Io { action: "cannot write", path, source, advice }
            }
            _ => Self::io("cannot write", path)(source),
        }
    }

    /// A wrong setting that the tensor library has found, without the backtrace it may add to its words.
    pub(crate) fn setting(name: &str, error: &mtl_tensor::Error) -> Self {
        Self::Config(format!("{name}: {}", words(error)))
    }

    /// Adds what to do about a file or folder that cannot be written; other errors stay as they are.
    pub(crate) fn advise(self, what_to_do: impl FnOnce() -> String) -> Self {
        match self {
            Self::Io { action, path, source, advice } if action != "cannot read" => {
                Self::Io { action, path, source, advice: format!("{advice}; {}", what_to_do()) }
            }
            other => other,
        }
    }
}

/// What the tensor library says, without the backtrace that `RUST_BACKTRACE=1` adds to it.
pub(crate) fn words(error: &mtl_tensor::Error) -> String {
    let text = error.to_string();
    text.split("\n   0: ").next().unwrap_or_default().trim_end().to_owned()
}

/// Bytes that can still be written to the file system a folder is on.
fn free_bytes(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    return rustix::fs::statvfs(folder).ok().map(|found| found.f_bavail.saturating_mul(found.f_frsize));
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}
