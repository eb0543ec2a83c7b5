//! Failures: message, hint and exit code.

use mtl_train::{Error, ErrorKind, Origin, Remedy};

use crate::output::{program, say};
use crate::paths::{quoted, quoted_text};

/// Exit code of an interrupted run, as a shell's for SIGINT.
pub const INTERRUPTED: u8 = 130;

/// The reason why the program did not do its work.
#[derive(Debug)]
pub enum Failure {
    /// An error of the library.
    Run(Box<Error>),
    /// An error of a comparison.
    Experiment(Box<mtl_experiment::Error>),
    /// A wrong argument.
    Usage(String),
    /// Images or labels that cannot be used.
    Data(String),
    /// Standard output could not be written.
    Output(std::io::Error),
    /// Any other reason.
    Other(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Run(Box::new(error))
    }
}

impl From<mtl_experiment::Error> for Failure {
    fn from(error: mtl_experiment::Error) -> Self {
        Self::Experiment(Box::new(error))
    }
}

/// Only [`crate::output`] returns these; other I/O errors name their file.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// A failure of no particular kind.
    pub fn other(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }

    /// As in the help: 1 failure, 2 usage or configuration, 3 data, 4 diverged, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Run(error) => exit_code(error.kind()),
            Self::Experiment(error) => exit_code(error.kind()),
            Self::Usage(_) => 2,
            Self::Data(_) => 3,
            Self::Output(_) | Self::Other(_) => 1,
        }
    }

    /// Writes message, causes and hint to standard error.
    pub fn report(&self) {
        match self {
            Self::Run(error) => match &**error {
                Error::Interrupted { stage, step, run } => say(format_args!(
                    "interrupted at {stage} step {step}; the run is saved: continue with `{} resume {}`",
                    program(),
                    quoted(run)
                )),
                Error::Config { origin: Origin::Override(text), problem } => {
                    say(format_args!("error: --set {text}: {problem}"));
                }
                error => say_with_causes(error),
            },
            Self::Experiment(error) => match &**error {
                mtl_experiment::Error::Interrupted { .. } => say(error),
                error => say_with_causes(error),
            },
            Self::Output(error) => say(format_args!(
                "error: the result cannot be written to standard output ({error}); a run keeps its own: `mtl eval RUN` shows it"
            )),
            Self::Usage(message) | Self::Data(message) | Self::Other(message) => say(format_args!("error: {message}")),
        }
        if let Some(hint) = self.hint() {
            say(format_args!("hint: {hint}"));
        }
    }

    /// The command that helps.
    fn hint(&self) -> Option<String> {
        let cause = match self {
            Self::Run(error) => Some(&**error),
            Self::Experiment(error) => match &**error {
                mtl_experiment::Error::Base(source)
                | mtl_experiment::Error::Arm { source, .. }
                | mtl_experiment::Error::Run { source, .. } => Some(&**source),
                _ => None,
            },
            _ => None,
        };
        if let Some(hint) = cause.and_then(remedy) {
            return Some(hint);
        }
        // The program's own data errors are about one argument, and need no report on the whole folder.
        let code = if matches!(self, Self::Data(_)) { 0 } else { self.exit_code() };
        match code {
            2 => Some("`mtl --help` lists verbs and flags, `mtl list` names, the config.toml of a run all keys".into()),
            3 => Some("`mtl data check DIR` lists all problems of a folder".into()),
            _ => None,
        }
    }
}

/// The command for an error with a remedy of its own.
fn remedy(error: &Error) -> Option<String> {
    match error {
        Error::Io { remedy: Some(Remedy::OtherRunsFolder), .. } => {
            Some("`--set output.dir=DIR` chooses another folder".into())
        }
        Error::Io { remedy: Some(Remedy::OtherOutput), .. } | Error::OutputNotEmpty { .. } => {
            Some("`--out DIR` chooses another folder".into())
        }
        Error::Io { remedy: Some(Remedy::Resume { run, .. }), .. } => {
            Some(format!("`{} resume {}` continues the run", program(), quoted(run)))
        }
        Error::DataGone { folders: 1, .. } => Some("`--data NEW` names the new place of the folder".into()),
        Error::DataGone { run, .. } => Some(format!(
            "`{} resume {} --data A --data B` names the new places of the run's folders, in their order",
            program(),
            quoted(run)
        )),
        Error::Setting { key, .. } if key == "output.name" => Some("`--name NAME` names the run".into()),
        Error::Untrained { .. } => Some(format!("`{} resume RUN` continues a run", program())),
        Error::BatchNormOverSources { settings, .. } => {
            Some(format!("`--set {}`", settings.iter().map(|text| quoted_text(text)).collect::<Vec<_>>().join(" ")))
        }
        _ => None,
    }
}

fn say_with_causes(error: &dyn std::error::Error) {
    let mut shown = error.to_string();
    say(format_args!("error: {shown}"));
    let mut source = error.source();
    while let Some(cause) = source {
        // Most messages already hold their cause.
        let words = cause.to_string();
        if !shown.contains(&words) {
            say(format_args!("  because {words}"));
            shown = words;
        }
        source = cause.source();
    }
}

fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Configuration => 2,
        ErrorKind::Data => 3,
        ErrorKind::Diverged => 4,
        ErrorKind::Interrupted => INTERRUPTED,
        // `Failure`, and kinds that this program does not know.
        _ => 1,
    }
}
