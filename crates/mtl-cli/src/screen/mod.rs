//! A run on the screen: data and model at the start, one progress bar per stage, one table at the end.
//!
//! Progress goes to standard error, results to standard output. Without a terminal, bars become plain lines every few
//! seconds, without a control character.

mod comparison;
mod console;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use mtl_train::RunRecord;
use mtl_train::config::JOINT;
use mtl_train::event::{Event, Observer};

pub use comparison::ComparisonScreen;
pub use console::Console;
use console::Mode;

use crate::failure::Failure;
use crate::output::{json, out, program, say};
use crate::paths::quoted;
use crate::render::number::{duration, short};
use crate::render::scores;

/// Without a terminal: at least this long between two lines ...
const LINE_EVERY: Duration = Duration::from_secs(5);
/// ... and at least this share of the stage, or a minute.
const LINE_SHARE: f64 = 0.02;

/// Shows the events of a run.
pub struct Screen {
    console: Console,
    json: bool,
    bar: Option<ProgressBar>,
    losses: String,
    skill: Option<f64>,
    /// The newest KID of the present stage, and the newest validation loss of a generator that has one.
    kid: Option<f64>,
    loss: Option<f64>,
    last_line: Option<(Instant, u64)>,
    generators: bool,
    built_in: bool,
    pictures: Vec<PathBuf>,
}

/// Pairs of tasks in the summary at the end; the JSON has all.
const PAIRS: usize = 6;

impl Screen {
    /// A screen for one run.
    pub fn new(console: Console, json: bool) -> Self {
        Self {
            console,
            json,
            bar: None,
            losses: String::new(),
            skill: None,
            kid: None,
            loss: None,
            last_line: None,
            generators: false,
            built_in: false,
            pictures: Vec::new(),
        }
    }

    /// Standard error, for messages that are no event of the run.
    pub fn console(&self) -> Console {
        self.console.clone()
    }

    /// Ends the display: prints scores, pictures and commands to try next, or returns the failure.
    pub fn close(self, result: mtl_train::Result<RunRecord>) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let record = result?;
        if self.json {
            return Ok(json(&record)?);
        }
        out(scores::scores(&record.scores))?;
        out("held-out images; baseline: the best constant prediction; \u{2191} higher is better, \u{2193} lower\n")?;
        if !record.conflicts.is_empty() {
            out("gradient conflicts in the shared trunk")?;
            for pair in record.conflicts.iter().take(PAIRS) {
                out(format_args!("  {pair}"))?;
            }
            out("")?;
        }
        if !self.pictures.is_empty() {
            out("pictures")?;
            for picture in &self.pictures {
                out(format_args!("  {}", picture.display()))?;
            }
            out("")?;
        }
        out("try next")?;
        for command in next(&record.run, self.built_in, self.generators) {
            out(format_args!("  {} {command}", program()))?;
        }
        Ok(())
    }

    fn started(&mut self, event: &Event) {
        let Event::Started { run, data, images, size, parameters, labels, notes, resumed } = event else { return };
        self.built_in = data == "scenes";
        let console = &self.console;
        console.say(format_args!("data    {data}: {images} images at {}x{}", size.0, size.1));
        for line in scores::labels(labels) {
            console.say(format_args!("        {line}"));
        }
        console.say(format_args!("model   {:.2} million parameters", *parameters as f64 / 1e6));
        console.say(format_args!("run     {}{}", run.display(), if *resumed { " (continued)" } else { "" }));
        for note in notes {
            console.say(format_args!("note    {note}"));
        }
    }

    fn stage_started(&mut self, stage: &str, step: u64, steps: u64) {
        self.generators |= stage != JOINT;
        self.losses.clear();
        (self.kid, self.loss) = (None, None);
        self.last_line = Some((Instant::now(), step));
        match self.console.mode {
            Mode::Bars => {
                let bar = self.console.bars.add(ProgressBar::new(steps.max(1)));
                // The template is fixed; if it were wrong, the default style would do.
                if let Ok(style) = ProgressStyle::with_template("{prefix:7} {bar:24} {pos:>4}/{len:4} {wide_msg}") {
                    bar.set_style(style.progress_chars("━╸ "));
                }
                bar.set_prefix(stage.to_owned());
                bar.set_position(step);
                self.bar = Some(bar);
            }
            Mode::Lines => {
                let from = if step > 0 { format!(" from step {step}") } else { String::new() };
                let planned = if steps > 0 { format!("{steps} steps") } else { "starts".to_owned() };
                say(format_args!("{stage:7} {planned}{from}"));
            }
            Mode::Quiet => {}
        }
    }

    fn step(&mut self, stage: &str, step: u64, steps: u64, losses: &[(String, f64)], left_s: Option<f64>) {
        self.losses =
            losses.iter().map(|(name, value)| format!("{name} {}", short(*value))).collect::<Vec<_>>().join("  ");
        let left = left_s.map_or(String::new(), |left| format!("{} left  ", duration(left)));
        let skill = self.skill.filter(|_| stage == JOINT).map_or(String::new(), |skill| format!("skill {skill:.3}  "));
        let kid = self.kid.filter(|_| stage != JOINT).map_or(String::new(), |kid| format!("kid {kid:.4}  "));
        let loss = self.loss.filter(|_| stage != JOINT).map_or(String::new(), |loss| format!("held-out {loss:.4}  "));
        let message = format!("{left}{skill}{kid}{loss}{}", self.losses);
        if let Some(bar) = &self.bar {
            bar.set_length(steps);
            bar.set_message(message);
            bar.set_position(step);
        } else if self.console.mode == Mode::Lines && self.line_is_due(step, steps) {
            self.last_line = Some((Instant::now(), step));
            say(format_args!("{stage:7} step {step} of {steps}  {message}"));
        }
    }

    fn line_is_due(&self, step: u64, steps: u64) -> bool {
        let Some((at, last)) = self.last_line else { return true };
        let share = step.saturating_sub(last) as f64 / steps.max(1) as f64;
        at.elapsed() >= LINE_EVERY && (share >= LINE_SHARE || at.elapsed() >= 12 * LINE_EVERY)
    }

    fn stage_finished(&mut self, stage: &str, step: u64, took: Duration, waiting: f64) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let took = duration(took.as_secs_f64());
        let waiting = format!("{:.0} % of it waiting for data", 100.0 * waiting);
        self.console.say(format_args!("{stage:7} {step} steps in {took}, {waiting}; last {}", self.losses));
    }
}

impl Observer for Screen {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Started { .. } => self.started(event),
            Event::StageStarted { stage, step, steps } => self.stage_started(stage, *step, *steps),
            Event::Step { stage, step, steps, losses, left_s, .. } => self.step(stage, *step, *steps, losses, *left_s),
            Event::Validated { skill, .. } => self.skill = Some(*skill),
            Event::SamplesValidated { kid, loss, .. } => (self.kid, self.loss) = (Some(kid.value), *loss),
            Event::Picture { path } => {
                // Of a series (gan-000100.png, gan-000200.png ... gan.png) the last one shows the result.
                self.pictures.retain(|other| series(other) != series(path));
                self.pictures.push(path.clone());
            }
            Event::StageFinished { stage, step, took, waiting } => self.stage_finished(stage, *step, *took, *waiting),
            Event::Note { message } => self.console.say(format_args!("note    {message}")),
            Event::Warning { message } => self.console.say(format_args!("warning {message}")),
            Event::Finished(record) => {
                self.console.say(format_args!("done    in {}", duration(record.seconds)));
            }
            _ => {}
        }
    }
}

/// A path without the number its file name ends in.
fn series(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(stem.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-'))
}

/// Three commands that work on this run.
fn next(run: &Path, built_in: bool, generators: bool) -> [String; 3] {
    let run = quoted(run);
    let first = if generators { format!("generate {run} -n 64 --seed 1") } else { format!("eval {run} --json") };
    if built_in {
        [first, format!("eval {run}"), "train --data FOLDER_OF_YOUR_IMAGES".to_owned()]
    } else {
        [first, format!("predict {run} IMAGE.png"), format!("eval {run}")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Display;

    #[test]
    fn the_next_commands_name_the_run() {
        let commands = next(Path::new("runs/my run-0001"), false, true);
        assert_eq!(commands[0], "generate 'runs/my run-0001' -n 64 --seed 1");
        assert!(commands.iter().all(|command| command.contains("'runs/my run-0001'")));
        assert!(!next(Path::new("runs/a-0001"), true, false).iter().any(|command| command.contains("generate")));
    }

    #[test]
    fn only_the_last_picture_of_a_series_is_named() {
        let console = Console::new(Display { quiet: true, ..Display::default() });
        let mut screen = Screen::new(console, false);
        for path in ["r/samples/gan-01.png", "r/samples/gan-02.png", "r/samples/vae-1.png", "r/samples/gan.png"] {
            screen.event(&Event::Picture { path: path.into() });
        }
        assert_eq!(screen.pictures, [PathBuf::from("r/samples/vae-1.png"), "r/samples/gan.png".into()]);
    }
}
