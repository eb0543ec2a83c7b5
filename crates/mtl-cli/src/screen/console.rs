//! Standard error, shared by progress bars, messages and log lines.

use std::io::{IsTerminal, Write};

use indicatif::MultiProgress;

use crate::args::Display;
use crate::output::say;

/// Display of a run's progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Progress bars.
    Bars,
    /// Plain lines, without a control character.
    Lines,
    /// Nothing.
    Quiet,
}

/// Standard error with the bars that are drawn there.
#[derive(Clone)]
pub struct Console {
    pub(super) mode: Mode,
    pub(super) bars: MultiProgress,
}

impl Console {
    /// Bars on a terminal, lines elsewhere or where `display` says so.
    pub fn new(display: Display) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let mode = if display.quiet {
            Mode::Quiet
        } else if display.plain || dumb || !std::io::stderr().is_terminal() {
            Mode::Lines
        } else {
            Mode::Bars
        };
        Self { mode, bars: MultiProgress::new() }
    }

    /// Writes a line above the bars; nothing in quiet mode.
    pub fn say(&self, line: impl std::fmt::Display) {
        match self.mode {
            Mode::Bars => {
                let _ = self.bars.println(line.to_string());
            }
            Mode::Lines => say(line),
            Mode::Quiet => {}
        }
    }

    /// Writes lines of the log, whatever the mode, with the bars out of the way.
    ///
    /// # Errors
    /// Standard error cannot be written to.
    pub fn log(&self, lines: &[u8]) -> std::io::Result<()> {
        match self.mode {
            Mode::Bars => self.bars.suspend(|| std::io::stderr().write_all(lines)),
            Mode::Lines | Mode::Quiet => std::io::stderr().write_all(lines),
        }
    }
}
