//! Logging: `tracing` events of the program and its libraries, on standard error and in a run's `log.txt`.
//!
//! Standard error shows warnings and errors; `-v` adds information, `-vv` details, `-vvv` everything, `-q` leaves errors only.
//! `RUST_LOG` replaces these levels (`RUST_LOG=mtl_train=debug,warn`). `log.txt` has information and above, or more where more
//! is shown. A run's own events (progress, warnings, scores) are shown by [`crate::screen`]; of these only stages and checkpoints
//! are logged.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use mtl_train::event::{Event, Observer};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::args::{Display, LogFormat};
use crate::failure::Failure;
use crate::screen::Console;

/// Every crate of this project begins like this.
const OURS: &str = "mtl";

/// Installs the subscriber, and returns its `log.txt`: an observer of the run that will have one.
///
/// # Errors
/// `RUST_LOG` that cannot be parsed.
pub fn start(display: Display, console: &Console) -> Result<RunLog, Failure> {
    let levels = levels(display, std::env::var("RUST_LOG").ok().as_deref()).map_err(Failure::Usage)?;
    let run_log = RunLog::default();
    let screen = fmt::layer().with_writer(Screen(console.clone())).with_ansi(false);
    let screen = match display.log_format {
        LogFormat::Text => screen.without_time().with_filter(levels.screen).boxed(),
        LogFormat::Json => screen.json().flatten_event(true).with_filter(levels.screen).boxed(),
    };
    let file = fmt::layer().with_writer(run_log.clone()).with_ansi(false).with_filter(levels.file);
    // A second subscriber in one process: only tests have that, and the first one stays.
    let _ = registry().with(screen).with(file).try_init();
    Ok(run_log)
}

struct Levels {
    screen: Targets,
    file: Targets,
}

fn levels(display: Display, variable: Option<&str>) -> Result<Levels, String> {
    if let Some(text) = variable.filter(|text| !text.trim().is_empty()) {
        let targets: Targets = text.parse().map_err(|error| {
            format!("RUST_LOG={text}: {error}; expected a level (error, warn, info, debug, trace) or TARGET=LEVEL, separated by commas")
        })?;
        return Ok(Levels { screen: targets.clone(), file: targets });
    }
    let shown = match (display.quiet, display.verbose) {
        (true, _) => Level::ERROR,
        (_, 0) => Level::WARN,
        (_, 1) => Level::INFO,
        (_, 2) => Level::DEBUG,
        _ => Level::TRACE,
    };
    // Other people's crates speak up only where something is wrong.
    let targets = |level: Level| {
        let others = LevelFilter::from_level(level).min(LevelFilter::WARN);
        Targets::new().with_default(others).with_target(OURS, level)
    };
    Ok(Levels { screen: targets(shown), file: targets(shown.max(Level::INFO)) })
}

/// Standard error.
struct Screen(Console);

impl<'a> MakeWriter<'a> for Screen {
    type Writer = ScreenWriter<'a>;

    fn make_writer(&'a self) -> ScreenWriter<'a> {
        ScreenWriter(&self.0)
    }
}

struct ScreenWriter<'a>(&'a Console);

impl Write for ScreenWriter<'_> {
    // A formatted event comes in one piece.
    fn write(&mut self, lines: &[u8]) -> std::io::Result<usize> {
        self.0.log(lines).map(|()| lines.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The `log.txt` of a run, once there is a run; lines before that are kept.
#[derive(Clone, Default)]
pub struct RunLog(Arc<Mutex<Target>>);

enum Target {
    Memory(Vec<u8>),
    File(File),
}

impl Default for Target {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

/// Bytes kept while there is no run folder.
const KEPT: usize = 64 << 10;

impl RunLog {
    /// Appends the lines so far, and all later ones, to the `log.txt` of this run folder.
    fn open(&self, run: &Path) {
        let path = run.join("log.txt");
        match OpenOptions::new().create(true).append(true).open(&path) {
            Ok(mut file) => {
                let mut target = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if let Target::Memory(lines) = &*target {
                    // A full disk must not stop a run for the sake of its log.
                    let _ = file.write_all(lines);
                }
                *target = Target::File(file);
            }
            Err(error) => tracing::warn!(path = %path.display(), %error, "the run's log cannot be opened"),
        }
    }
}

impl<'a> MakeWriter<'a> for RunLog {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Write for &RunLog {
    fn write(&mut self, lines: &[u8]) -> std::io::Result<usize> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Target::Memory(kept) if kept.len() + lines.len() <= KEPT => kept.extend(lines),
            Target::Memory(_) => {}
            Target::File(file) => file.write_all(lines)?,
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The run folder is known with its first event. Progress, warnings and results are written by the run and the screen.
impl Observer for RunLog {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Started { run, data, size, parameters, resumed, .. } => {
                self.open(run);
                let (height, width) = size;
                tracing::info!(run = %run.display(), data, height, width, parameters, resumed, "run started");
            }
            Event::StageStarted { stage, step, steps } => {
                tracing::info!(stage, step, steps, "stage started");
            }
            Event::Saved { path } => tracing::debug!(path = %path.display(), "checkpoint saved"),
            Event::StageFinished { stage, step, took, waiting } => {
                tracing::info!(stage, step, seconds = took.as_secs_f64(), waiting, "stage finished");
            }
            _ => {}
        }
    }
}

/// Each run of a comparison has its own log.
impl mtl_experiment::Observer for RunLog {
    fn event(&mut self, event: &mtl_experiment::Event<'_>) {
        if let mtl_experiment::Event::Run(event) = event {
            Observer::event(self, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(display: Display, variable: Option<&str>, target: &str) -> [bool; 10] {
        let levels = levels(display, variable).unwrap();
        let all = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
        let mut shown = [false; 10];
        for (at, level) in all.iter().enumerate() {
            shown[at] = levels.screen.would_enable(target, level);
            shown[5 + at] = levels.file.would_enable(target, level);
        }
        shown
    }

    /// How many of the five levels, on the screen and in the file.
    fn count(display: Display, variable: Option<&str>, target: &str) -> (usize, usize) {
        let shown = shown(display, variable, target);
        (shown[..5].iter().filter(|shown| **shown).count(), shown[5..].iter().filter(|shown| **shown).count())
    }

    #[test]
    fn flags_choose_the_levels_and_the_variable_replaces_them() {
        let verbose = |verbose| Display { verbose, ..Display::default() };
        let quiet = Display { quiet: true, ..Display::default() };
        for (display, expected) in
            [(quiet, (1, 3)), (verbose(0), (2, 3)), (verbose(1), (3, 3)), (verbose(2), (4, 4)), (verbose(9), (5, 5))]
        {
            assert_eq!(count(display, None, "mtl_train::run"), expected, "{display:?}");
        }
        assert_eq!(count(verbose(3), None, "candle_core"), (2, 2));
        assert_eq!(count(verbose(0), Some("mtl_train=debug,error"), "mtl_train::run"), (4, 4));
        assert_eq!(count(verbose(3), Some("mtl_train=debug,error"), "mtl_data"), (1, 1));
        assert_eq!(count(quiet, Some(" "), "mtl_data"), (1, 3));
        let error = levels(verbose(0), Some("mtl=loud")).err().unwrap();
        assert!(error.contains("RUST_LOG=mtl=loud") && error.contains("TARGET=LEVEL"), "{error}");
    }

    #[test]
    fn lines_before_the_run_folder_are_kept_for_its_log() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("log.txt"), "first\n").unwrap();
        let log = RunLog::default();
        (&log).write_all(b"second\n").unwrap();
        log.open(dir.path());
        (&log).write_all(b"third\n").unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("log.txt")).unwrap(), "first\nsecond\nthird\n");
    }
}
