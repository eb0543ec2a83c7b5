//! Errors of a run, grouped by the remedy.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Every message names the place of the problem and a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that cannot be read.
    #[error("{origin}: {problem}")]
    Config {
        /// Where it was written.
        origin: Origin,
        /// The problem.
        problem: String,
    },
    /// A configuration key with a value that cannot be used.
    #[error("{key}: {problem}")]
    Setting {
        /// The key, as in a configuration file.
        key: String,
        /// The value, the problem, and the possible values.
        problem: String,
    },
    /// Batch normalisation in a run on several sources of data.
    #[error(
        "batch normalisation cannot be trained on {} sources ({}): its statistics are those of a whole batch, so each image would \
         be normalised by images of other sources, and the averages it keeps for later would be those of none. Group \
         normalisation takes its statistics from each image alone: set {}",
        sources.len(), sources.join(", "), settings.join(" and ")
    )]
    BatchNormOverSources {
        /// Names of the sources that are trained on.
        sources: Vec<String>,
        /// The settings `key=value` that use group normalisation instead.
        settings: Vec<String>,
    },
    /// A folder for results that holds files already.
    #[error("{} is not empty; name a new folder, so that nothing is overwritten", path.display())]
    OutputNotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A path that leads to no image.
    #[error("{}: {reason}", path.display())]
    NoImage {
        /// The path.
        path: PathBuf,
        /// What is there instead.
        reason: String,
    },
    /// Folders of a run's data that do not exist any more.
    #[error(
        "{}: its data is gone: {}; it was moved, renamed or deleted: name its new place, it is recognised by its content",
        run.display(), missing.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    DataGone {
        /// The run's folder.
        run: PathBuf,
        /// The folders that do not exist.
        missing: Vec<PathBuf>,
        /// How many folders the run has in all.
        folders: usize,
    },
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
    /// Impossible settings of the built-in scenes.
    #[error(transparent)]
    Scenes(#[from] mtl_data::scenes::Error),
    /// A generator that the run has not trained, or not yet.
    #[error("the run has not trained its generator `{generator}` (yet); resume the run, if stages.run names it")]
    Untrained {
        /// The generator.
        generator: String,
    },
    /// A run without a trained generator.
    #[error("the run has no trained generator (yet): training has not passed a stage of one, or stages.run names none")]
    NoGenerator,
    /// Data and model or data and settings do not fit together.
    #[error("{0}")]
    DataMismatch(String),
    /// Scores of labels that do not fit.
    #[error(transparent)]
    Metrics(#[from] mtl_metrics::Error),
    /// A loss that is NaN or infinite; a stage adds its name and step.
    #[error(transparent)]
    Model(mtl_model::Error),
    /// A prediction that is NaN or infinite, where scores are taken.
    #[error("the prediction of task `{task}` is not finite: its weights are those of a run that has diverged")]
    NonFinitePrediction {
        /// The task.
        task: String,
    },
    /// A loss or gradient that is NaN or infinite: training cannot continue.
    #[error("{what} is not finite at {stage} step {step}{advice}")]
    Diverged {
        /// The task's loss or the parameter's gradient.
        what: String,
        /// The stage's name.
        stage: String,
        /// Step of the stage.
        step: u64,
        /// Advice.
        advice: String,
    },
    /// Interrupted by the user; everything is saved.
    #[error("interrupted at {stage} step {step}; everything is saved in {}: resume it", run.display())]
    Interrupted {
        /// The stage's name.
        stage: String,
        /// Step of the stage.
        step: u64,
        /// The run's folder.
        run: PathBuf,
    },
    /// A file or folder.
    #[error("{action} {}: {source}{advice}{}", path.display(), shown(remedy.as_ref()))]
    Io {
        /// The failed action: "cannot write" ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
        /// Advice that follows from the system's reason, empty if there is none.
        advice: String,
        /// What the caller can do about it.
        remedy: Option<Remedy>,
    },
    /// A run folder that is not one, or is in use.
    #[error("{}: {problem}", path.display())]
    Run {
        /// The folder.
        path: PathBuf,
        /// The problem and a remedy.
        problem: String,
    },
    /// A checkpoint that is damaged or belongs to another model.
    #[error("checkpoint {}: {problem}", path.display())]
    Checkpoint {
        /// The checkpoint's folder or file.
        path: PathBuf,
        /// The problem and a remedy.
        problem: String,
    },
    /// A tensor operation failed.
    #[error("{0}")]
    Tensor(#[from] mtl_tensor::Error),
}

/// Where a part of the configuration was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A preset, by name.
    Preset(String),
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// Line and column, from 1, if known.
        at: Option<(usize, usize)>,
    },
    /// An override `key.path=value`.
    Override(String),
    /// Preset, file and overrides together.
    Merged,
}

impl Origin {
    /// A file as a whole.
    pub(crate) fn file(path: &Path) -> Self {
        Self::File { path: path.to_owned(), at: None }
    }

    /// An [`Error::Config`] for a problem here.
    pub(crate) fn error(self) -> impl FnOnce(String) -> Error {
        |problem| Error::Config { origin: self, problem }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preset(name) => write!(f, "preset {name}"),
            Self::File { path, at: Some((line, column)) } => write!(f, "{}:{line}:{column}", path.display()),
            Self::File { path, at: None } => write!(f, "{}", path.display()),
            Self::Override(text) => f.write_str(text),
            Self::Merged => f.write_str("the configuration"),
        }
    }
}

/// What the caller can do about an [`Error::Io`]. A program names its own flags and commands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Set `output.dir` to another folder.
    OtherRunsFolder,
    /// Write results to another folder.
    OtherOutput,
    /// Make the run's folder writable.
    WritableRun,
    /// Resume the run.
    Resume {
        /// Its folder.
        run: PathBuf,
        /// Whether there is a checkpoint to continue from.
        saved: bool,
    },
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherRunsFolder => "set output.dir to another folder",
            Self::OtherOutput => "name another folder for the results",
            Self::WritableRun => "a run continues in its own folder, which must be writable",
            Self::Resume { saved: true, .. } => {
                "saved checkpoints are unchanged: the run can be resumed from the last one"
            }
            Self::Resume { saved: false, .. } => "nothing had been saved yet: resuming the run starts again",
        })
    }
}

fn shown(remedy: Option<&Remedy>) -> String {
    remedy.map_or_else(String::new, |remedy| format!("; {remedy}"))
}

/// Groups of errors, by their remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Change the configuration.
    Configuration,
    /// Change the images or labels.
    Data,
    /// Change learning rates or clipping: training produced values that are not finite.
    Diverged,
    /// Resume the run.
    Interrupted,
    /// Files, devices, and everything else.
    Failure,
}

/// `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The group of the error, by its remedy.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Generator(mtl_gen::Error::NonFinite { .. }) => ErrorKind::Diverged,
            Self::Generator(mtl_gen::Error::Tensor(_)) => ErrorKind::Failure,
            Self::Balance(mtl_balance::Error::NonFiniteLoss { .. } | mtl_balance::Error::NonFiniteGradient { .. }) => {
                ErrorKind::Diverged
            }
            Self::Config { .. }
            | Self::BatchNormOverSources { .. }
            | Self::OutputNotEmpty { .. }
            | Self::Setting { .. }
            | Self::Untrained { .. }
            | Self::NoGenerator
            | Self::UnknownName(_)
            | Self::Balance(_)
            | Self::Head(_)
            | Self::Generator(_)
            | Self::Scenes(_) => ErrorKind::Configuration,
            Self::Data(
                mtl_data::Error::UnknownReader(_)
                | mtl_data::Error::Option { .. }
                | mtl_data::Error::Concat { .. }
                | mtl_data::Error::NoSuchTask { .. },
            )
            | Self::Loader(mtl_data::loader::Error::Sampling(_)) => ErrorKind::Configuration,
            Self::Data(_)
            | Self::Loader(_)
            | Self::DataMismatch(_)
            | Self::DataGone { .. }
            | Self::NoImage { .. }
            | Self::Metrics(_) => ErrorKind::Data,
            Self::Diverged { .. } | Self::NonFinitePrediction { .. } | Self::Model(_) => ErrorKind::Diverged,
            Self::Interrupted { .. } => ErrorKind::Interrupted,
            Self::Io { .. } | Self::Run { .. } | Self::Checkpoint { .. } | Self::Tensor(_) => ErrorKind::Failure,
        }
    }

    /// An [`Error::Setting`].
    pub(crate) fn setting(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Setting { key: key.into(), problem: problem.into() }
    }

    /// An [`Error::Io`], with advice for some of the system's reasons.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| {
            let advice = match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space".to_owned(),
                io::ErrorKind::FileTooLarge => "; raise the limit on the size of a file (`ulimit -f`)".to_owned(),
                _ => String::new(),
            };
            Self::Io { action, path, source, advice, remedy: None }
        }
    }

    /// The same for a file of `bytes` bytes; if the disk is full, with the free space.
    pub(crate) fn io_of(bytes: usize, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| match (source.kind(), path.parent().and_then(free_bytes)) {
            (io::ErrorKind::StorageFull, Some(free)) => {
                let advice = format!("; it needs {bytes} bytes and {free} are free: free some space");
                Self::Io { action: "cannot write", path, source, advice, remedy: None }
            }
            _ => Self::io("cannot write", path)(source),
        }
    }

    /// Adds a remedy to an error of writing that has none; other errors are unchanged.
    pub(crate) fn advise(mut self, what_to_do: Remedy) -> Self {
        if let Self::Io { action, remedy: remedy @ None, .. } = &mut self
            && *action != "cannot read"
        {
            *remedy = Some(what_to_do);
        }
        self
    }
}

impl From<mtl_model::Error> for Error {
    fn from(error: mtl_model::Error) -> Self {
        use mtl_model::Error as Model;
        match error {
            Model::Setting { key, problem } => Self::Setting { key, problem },
            Model::UnknownName(error) => error.into(),
            Model::Balance(error) => error.into(),
            Model::Head(error) => error.into(),
            Model::Generator(error) => error.into(),
            Model::Metrics(error) => error.into(),
            Model::NonFinitePrediction { task } => Self::NonFinitePrediction { task },
            Model::Tensor(error) => error.into(),
            other => Self::Model(other),
        }
    }
}

/// A tensor library's message without the backtrace that `RUST_BACKTRACE=1` adds to it.
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
