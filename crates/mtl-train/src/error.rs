//! Everything that can end a run, sorted by what the user has to do about it.

use std::path::PathBuf;

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
    /// A loss or gradient that is not a number: training cannot go on.
    #[error("{what} is not finite at {stage} step {step}; the last good checkpoint is kept{advice}")]
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
        advice: &'static str,
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
            Self::Config(_)
            | Self::UnknownName(_)
            | Self::Balance(_)
            | Self::Head(_)
            | Self::Generator(_)
            | Self::Scenes(_) => 2,
            Self::Data(mtl_data::Error::UnknownReader(_) | mtl_data::Error::Option { .. }) => 2,
            Self::Data(_) | Self::Loader(_) | Self::DataMismatch(_) | Self::Metrics(_) => 3,
            Self::Diverged { .. } => 4,
            Self::Interrupted { .. } => 130,
            Self::Io { .. } | Self::Run { .. } | Self::Checkpoint { .. } | Self::Tensor(_) => 1,
        }
    }

    /// An [`Error::Io`], with advice where the reason is a full disk.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| {
            let advice = match source.kind() {
                std::io::ErrorKind::StorageFull => {
                    "; free some space, then `mtl resume` goes on from the last checkpoint"
                }
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    "; choose another folder with `--set output.dir=DIR`"
                }
                _ => "",
            };
            Self::Io { action, path, source, advice }
        }
    }
}
