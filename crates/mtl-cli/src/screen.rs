//! A run on the screen: what is known at the start, one progress bar a stage, one table at the end.
//!
//! Progress goes to standard error, results to standard output. Without a terminal, bars become plain lines every few
//! seconds, without a single control character.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use mtl_train::config::Stage;
use mtl_train::conflict::Pair;
use mtl_train::event::{Event, Observer, TaskScores};
use serde::Serialize;

use crate::args::Display;
use crate::failure::Failure;
use crate::output::{json, out, program, say, typed};
use crate::table;

/// Without a terminal: at least this long between two lines ...
const LINE_EVERY: Duration = Duration::from_secs(5);
/// ... and at least this share of the stage, or a minute.
const LINE_SHARE: f64 = 0.02;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Bars,
    Lines,
    Quiet,
}

/// Standard error, shared with the bars that are drawn there.
#[derive(Clone)]
pub struct Console {
    mode: Mode,
    bars: MultiProgress,
}

impl Console {
    /// A line above the bars.
    pub fn say(&self, line: impl std::fmt::Display) {
        match self.mode {
            Mode::Bars => {
                let _ = self.bars.println(line.to_string());
            }
            Mode::Lines => say(line),
            Mode::Quiet => {}
        }
    }
}

/// Shows the events of a run.
pub struct Screen {
    console: Console,
    json: bool,
    bar: Option<ProgressBar>,
    losses: String,
    skill: Option<f64>,
    last_line: Option<(Instant, u64)>,
    generators: bool,
    built_in: bool,
    pictures: Vec<PathBuf>,
    conflicts: Vec<Pair>,
    finished: Option<Finished>,
}

/// Pairs of tasks that are spoken of at the end; all are in the JSON.
const PAIRS: usize = 6;

/// The result, as `--json` prints it.
#[derive(Serialize)]
struct Finished {
    run: PathBuf,
    seconds: f64,
    scores: Vec<TaskScores>,
    conflicts: Vec<Pair>,
}

impl Screen {
    /// A screen for one run.
    pub fn new(display: Display, json: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let mode = if display.quiet {
            Mode::Quiet
        } else if display.plain || dumb || !std::io::stderr().is_terminal() {
            Mode::Lines
        } else {
            Mode::Bars
        };
        Self {
            console: Console { mode, bars: MultiProgress::new() },
            json,
            bar: None,
            losses: String::new(),
            skill: None,
            last_line: None,
            generators: false,
            built_in: false,
            pictures: Vec::new(),
            conflicts: Vec::new(),
            finished: None,
        }
    }

    /// Where else lines for the user can be said.
    pub fn console(&self) -> Console {
        self.console.clone()
    }

    /// Ends the display: the table, where the pictures are, what to try next; or why not.
    pub fn close(self, result: mtl_train::Result<PathBuf>) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let run = result?;
        let Some(finished) = self.finished else {
            return Err(Failure::other(format!("the run {} ended without scores", run.display())));
        };
        if self.json {
            return json(&finished);
        }
        out(table::scores(&finished.scores));
        out("held-out images; trivial: the best constant answer; \u{2191} higher is better, \u{2193} lower\n");
        if !finished.conflicts.is_empty() {
            out("gradients of the tasks in the shared trunk");
            for pair in finished.conflicts.iter().take(PAIRS) {
                out(format_args!("  {}", pair.words()));
            }
            out("");
        }
        out("pictures");
        if self.pictures.is_empty() {
            out(format_args!("  {}", run.join("samples").display()));
        }
        for picture in &self.pictures {
            out(format_args!("  {}", picture.display()));
        }
        out("\ntry next");
        for command in next(&run, self.built_in, self.generators) {
            out(format_args!("  {} {command}", program()));
        }
        Ok(())
    }

    fn started(&mut self, event: &Event) {
        let Event::Started { run, data, size, parameters, labels, notes, resumed } = event else { return };
        self.built_in = data == "scenes";
        let images: usize = labels.iter().map(|task| task.images.iter().sum()).max().unwrap_or(0);
        let console = &self.console;
        console.say(format_args!("data    {data}: {images} images at {}x{}", size.0, size.1));
        for line in table::labels(labels) {
            console.say(format_args!("        {line}"));
        }
        console.say(format_args!("model   {:.2} million parameters", *parameters as f64 / 1e6));
        console.say(format_args!("run     {}{}", run.display(), if *resumed { " (continued)" } else { "" }));
        for note in notes {
            console.say(format_args!("note    {note}"));
        }
    }

    fn stage_started(&mut self, stage: Stage, step: u64, steps: u64) {
        self.generators |= stage != Stage::Joint;
        self.losses.clear();
        self.last_line = Some((Instant::now(), step));
        match self.console.mode {
            Mode::Bars => {
                let bar = self.console.bars.add(ProgressBar::new(steps.max(1)));
                // The template is fixed; if it were wrong, the default style would do.
                if let Ok(style) = ProgressStyle::with_template("{prefix:7} {bar:24} {pos:>4}/{len:4} {wide_msg}") {
                    bar.set_style(style.progress_chars("━╸ "));
                }
                bar.set_prefix(stage.name());
                bar.set_position(step);
                self.bar = Some(bar);
            }
            Mode::Lines => {
                let from = if step > 0 { format!(" from step {step}") } else { String::new() };
                let planned = if steps > 0 { format!("{steps} steps") } else { "starts".to_owned() };
                say(format_args!("{:7} {planned}{from}", stage.name()));
            }
            Mode::Quiet => {}
        }
    }

    fn step(&mut self, stage: Stage, step: u64, steps: u64, losses: &[(String, f64)], left_s: Option<f64>) {
        self.losses =
            losses.iter().map(|(name, value)| format!("{name} {}", short(*value))).collect::<Vec<_>>().join("  ");
        let left = left_s.map_or(String::new(), |left| format!("{} left  ", duration(left)));
        let skill =
            self.skill.filter(|_| stage == Stage::Joint).map_or(String::new(), |skill| format!("skill {skill:.3}  "));
        let message = format!("{left}{skill}{}", self.losses);
        if let Some(bar) = &self.bar {
            bar.set_length(steps);
            bar.set_message(message);
            bar.set_position(step);
        } else if self.console.mode == Mode::Lines && self.line_is_due(step, steps) {
            self.last_line = Some((Instant::now(), step));
            say(format_args!("{:7} step {step} of {steps}  {message}", stage.name()));
        }
    }

    fn line_is_due(&self, step: u64, steps: u64) -> bool {
        let Some((at, last)) = self.last_line else { return true };
        let share = step.saturating_sub(last) as f64 / steps.max(1) as f64;
        at.elapsed() >= LINE_EVERY && (share >= LINE_SHARE || at.elapsed() >= 12 * LINE_EVERY)
    }

    fn stage_finished(&mut self, stage: Stage, step: u64, took: Duration, waiting: f64) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let took = duration(took.as_secs_f64());
        let waiting = format!("{:.0} % of it waiting for data", 100.0 * waiting);
        self.console.say(format_args!("{:7} {step} steps in {took}, {waiting}; last {}", stage.name(), self.losses));
    }
}

impl Observer for Screen {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Started { .. } => self.started(event),
            Event::StageStarted { stage, step, steps } => self.stage_started(*stage, *step, *steps),
            Event::Step { stage, step, steps, losses, left_s, .. } => self.step(*stage, *step, *steps, losses, *left_s),
            Event::Validated { skill, .. } => self.skill = Some(*skill),
            Event::Picture { path } => {
                // Of a series (gan-000100.png, gan-000200.png ... gan.png) the last one is the one to look at.
                self.pictures.retain(|other| series(other) != series(path));
                self.pictures.push(path.clone());
            }
            Event::StageFinished { stage, step, took, waiting } => self.stage_finished(*stage, *step, *took, *waiting),
            Event::Warning { message } => self.console.say(format_args!("warning {message}")),
            Event::Conflicts { pairs } => self.conflicts.clone_from(pairs),
            Event::Finished { run, scores, took } => {
                self.finished = Some(Finished {
                    run: run.clone(),
                    seconds: took.as_secs_f64(),
                    scores: scores.clone(),
                    conflicts: std::mem::take(&mut self.conflicts),
                });
                self.console.say(format_args!("done    in {}", duration(took.as_secs_f64())));
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
    let run = typed(run);
    let first = if generators { format!("generate {run} -n 64 --seed 1") } else { format!("eval {run} --json") };
    if built_in {
        [first, format!("eval {run}"), "train --data FOLDER_OF_YOUR_IMAGES".to_owned()]
    } else {
        [first, format!("predict {run} IMAGE.png"), format!("eval {run}")]
    }
}

/// Three significant digits.
fn short(value: f64) -> String {
    match value.abs() {
        x if x >= 100.0 => format!("{value:.0}"),
        x if x >= 10.0 => format!("{value:.1}"),
        x if x >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Seconds as people say them.
fn duration(seconds: f64) -> String {
    let s = seconds.round().max(0.0) as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!(
            ["1234", "12.3", "1.23", "0.012"],
            [1234.0, 12.34, 1.234, 0.01234].map(short).each_ref().map(String::as_str)
        );
        assert_eq!(
            ["59 s", "1 min 0 s", "2 h 5 min"],
            [59.4, 59.6, 7500.0].map(duration).each_ref().map(String::as_str)
        );
    }

    #[test]
    fn the_next_commands_name_the_run() {
        let commands = next(Path::new("runs/my run-0001"), false, true);
        assert_eq!(commands[0], "generate 'runs/my run-0001' -n 64 --seed 1");
        assert!(commands.iter().all(|command| command.contains("'runs/my run-0001'")));
        assert!(!next(Path::new("runs/a-0001"), true, false).iter().any(|command| command.contains("generate")));
    }

    #[test]
    fn only_the_last_picture_of_a_series_is_named() {
        let mut screen = Screen::new(Display { plain: false, quiet: true }, false);
        for path in ["r/samples/gan-01.png", "r/samples/gan-02.png", "r/samples/vae-1.png", "r/samples/gan.png"] {
            screen.event(&Event::Picture { path: path.into() });
        }
        assert_eq!(screen.pictures, [PathBuf::from("r/samples/vae-1.png"), "r/samples/gan.png".into()]);
    }
}
