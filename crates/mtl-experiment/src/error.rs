//! Errors of an experiment.

use std::path::PathBuf;

use mtl_train::ErrorKind;

/// Every message names the arm, and the run where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Settings or data of all runs that cannot be used.
    #[error(transparent)]
    Base(Box<mtl_train::Error>),
    /// An experiment that cannot be made as asked.
    #[error("{0}")]
    Settings(String),
    /// Settings of one arm that cannot be used; nothing has been trained.
    #[error("{arm}: {source}")]
    Arm {
        /// Name of the arm.
        arm: String,
        /// The reason.
        source: Box<mtl_train::Error>,
    },
    /// A run that failed.
    #[error("{arm}, seed {seed}: {source}")]
    Run {
        /// Name of the arm.
        arm: String,
        /// Seed of the run.
        seed: u64,
        /// The reason.
        source: Box<mtl_train::Error>,
    },
    /// A run without the values that the comparison needs.
    #[error("{}: {problem}; delete the folder to train again", run.display())]
    Incomplete {
        /// The run folder.
        run: PathBuf,
        /// The missing value.
        problem: &'static str,
    },
    /// A file or folder that cannot be read or removed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The stop flag was set; the present run has saved a checkpoint.
    #[error("interrupted after {finished} of {planned} runs; the same experiment continues from here")]
    Interrupted {
        /// Runs that are complete.
        finished: usize,
        /// Runs of the whole experiment.
        planned: usize,
    },
}

/// `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The group of the error, by its remedy.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Base(source) | Self::Arm { source, .. } | Self::Run { source, .. } => source.kind(),
            Self::Settings(_) => ErrorKind::Configuration,
            Self::Incomplete { .. } | Self::Io { .. } => ErrorKind::Failure,
            Self::Interrupted { .. } => ErrorKind::Interrupted,
        }
    }
}
