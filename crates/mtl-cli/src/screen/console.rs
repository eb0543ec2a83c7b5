//! Standard error, shared by progress bars, messages and log lines.

use std::io::{IsTerminal, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use mtl_data::Progress;

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

    /// A bar that follows passes over data; nothing without bars.
    pub fn progress(&self) -> Progress {
        if self.mode != Mode::Bars {
            return Progress::default();
        }
        let style = ProgressStyle::with_template("{msg:16} {bar:30} {pos} of {len}  {eta} left");
        let bar = self.bars.add(ProgressBar::no_length());
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress::new(move |name, done, rows| {
            if done == 1 {
                bar.reset();
                bar.set_length(rows as u64);
                bar.set_message(name);
            }
            bar.set_position(bar.position().max(done as u64));
        })
    }

    /// A bar over the steps of one computation; nothing without bars.
    pub fn steps(&self, steps: usize) -> Option<ProgressBar> {
        if self.mode != Mode::Bars {
            return None;
        }
        let style = ProgressStyle::with_template("{prefix:16} {bar:24} {pos:>4}/{len:4} {eta} left  {wide_msg}");
        let bar = self.bars.add(ProgressBar::new(steps as u64));
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸ "));
        Some(bar)
    }

    /// Takes all bars away.
    pub fn clear(&self) {
        let _ = self.bars.clear();
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
