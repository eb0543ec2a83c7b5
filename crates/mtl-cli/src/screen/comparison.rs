//! A comparison on the screen: one bar over all runs, and one line per run.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use mtl_experiment::{Event, Observer};
use mtl_train::event::Event as RunEvent;

use super::console::{Console, Mode};
use crate::render::number::{duration, short};

/// Shows the events of a comparison.
pub struct ComparisonScreen {
    console: Console,
    bar: Option<ProgressBar>,
    /// Arm and seed of the present run.
    run: String,
    /// Start of the present run.
    began: Instant,
}

impl ComparisonScreen {
    /// A screen for one comparison.
    pub fn new(console: Console) -> Self {
        Self { console, bar: None, run: String::new(), began: Instant::now() }
    }

    /// Removes the bar.
    pub fn close(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn message(&self, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(text);
        }
    }
}

impl Observer for ComparisonScreen {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Planned { runs, tasks } => {
                self.console.say(format_args!("compare {runs} runs; tasks: {}", tasks.join(", ")));
                if self.console.mode == Mode::Bars {
                    let bar = self.console.bars.add(ProgressBar::new(*runs as u64));
                    // The template is fixed; if it were wrong, the default style would do.
                    if let Ok(style) = ProgressStyle::with_template("{prefix:7} {bar:24} {pos:>4}/{len:4} {wide_msg}") {
                        bar.set_style(style.progress_chars("━╸ "));
                    }
                    bar.set_prefix("runs");
                    self.bar = Some(bar);
                }
            }
            Event::RunStarted { arm, seed, resumed } => {
                self.began = Instant::now();
                self.run = format!("{arm}, seed {seed}{}", if *resumed { " (continued)" } else { "" });
                self.message(self.run.clone());
            }
            Event::Run(RunEvent::Step { step, steps, .. }) => {
                self.message(format!("{}: step {step} of {steps}", self.run));
            }
            Event::Run(RunEvent::Warning { message }) => {
                self.console.say(format_args!("warning {}: {message}", self.run));
            }
            Event::RunFinished { arm, outcome, reused, finished, planned } => {
                let took = if *reused { "kept".to_owned() } else { duration(self.began.elapsed().as_secs_f64()) };
                let (seed, skill, step) = (outcome.seed, outcome.skill, short(1e3 * outcome.step_seconds));
                self.console.say(format_args!(
                    "run     {finished} of {planned}  {arm}, seed {seed}: validation skill {skill:.3}, {step} ms per step, {took}"
                ));
                if let Some(bar) = &self.bar {
                    bar.set_position(*finished as u64);
                }
            }
            _ => {}
        }
    }
}
