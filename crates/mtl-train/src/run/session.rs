//! A run in progress: its context, state, observers and checkpoints.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mtl_tensor::optim::{Ema, square_norm};
use tracing::debug;

use super::stage::{RunContext, Stage};
use crate::config::JOINT;
use crate::error::{Error, Result};
use crate::event::{self, Event, Observer};
use crate::record::StageRecord;
use crate::store::checkpoint::{Checkpoint, State};
use crate::store::log::Recorder;

/// Checkpoints that are kept besides those that `last` and `best` name.
const KEEP: usize = 2;

/// See the module.
pub(super) struct Session<'a, 'b> {
    pub run: RunContext,
    pub state: State,
    /// The checkpoint that the present stage resumes from, until it has restored it.
    pub restored: Option<Checkpoint>,
    pub recorder: Recorder,
    pub observers: &'a mut [&'b mut dyn Observer],
    pub stop: &'a AtomicBool,
    /// Start of the present stage in this process, and the stage's seconds in earlier processes.
    pub clock: (Instant, f64),
}

impl Session<'_, '_> {
    /// Writes an event to the run's log and sends it to all observers.
    pub fn send(&mut self, event: &Event) {
        if let Some(message) = self.recorder.write(event) {
            event::send(self.observers, &Event::Warning { message });
        }
        event::send(self.observers, event);
    }

    /// Sends warnings.
    pub fn warn(&mut self, messages: impl IntoIterator<Item = String>) {
        for message in messages {
            self.send(&Event::Warning { message });
        }
    }

    /// Seconds of the present stage, over all processes.
    pub fn stage_s(&self) -> f64 {
        self.clock.1 + self.clock.0.elapsed().as_secs_f64()
    }

    /// Starts `stage`, or resumes it from the checkpoint.
    pub fn begin(&mut self, stage: &str, steps: u64) {
        if self.restored.is_none() {
            let (finished, metrics_bytes) = (self.state.finished.clone(), self.state.metrics_bytes);
            self.state = State { finished, metrics_bytes, steps, ..State::at_start(stage) };
        }
        self.clock = (Instant::now(), self.state.stage_s);
        let event = Event::StageStarted { stage: stage.to_owned(), step: self.state.step, steps: self.state.steps };
        self.send(&event);
    }

    /// Saves a checkpoint; `stage` gives the state of optimizers and balancer, `None` for a finished stage. After an error the
    /// previous checkpoint is still in place.
    pub fn save(&mut self, averages: Option<&Ema>, stage: Option<&dyn Stage>, best: bool) -> Result<()> {
        self.state.stage_s = self.stage_s();
        self.state.metrics_bytes = self.recorder.metrics_bytes();
        self.state.ema_updates = averages.map_or(0, Ema::updates);
        let weights = self.run.model.values()?;
        // An optimizer step can leave weights that no loss has been computed with yet; they must not become the last good
        // checkpoint.
        for (name, value) in &weights {
            if !square_norm(value)?.is_finite() {
                return Err(self.diverged(format!("the weight `{name}`")));
            }
        }
        let checkpoint = Checkpoint {
            weights,
            averages: averages.map_or_else(|| Ok(Default::default()), Ema::values)?,
            optimizers: stage.map_or_else(|| Ok(Default::default()), Stage::state)?,
            state: self.state.clone(),
        };
        let path = checkpoint.save(&self.run.dir.join("checkpoints"), best, KEEP)?;
        debug!(path = %path.display(), best, "checkpoint saved");
        self.send(&Event::Saved { path });
        Ok(())
    }

    /// Whether the user has interrupted the run.
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The error for an interrupted run.
    pub fn interrupted(&self) -> Error {
        let (stage, step) = (self.state.stage.clone(), self.state.step);
        Error::Interrupted { stage, step, run: self.run.dir.path().to_owned() }
    }

    /// The error for a value that is not finite.
    pub fn diverged(&self, what: String) -> Error {
        let (stage, step) = (self.state.stage.clone(), self.state.step);
        let lr = if stage == JOINT { "schedule.lr" } else { "lr_scale" };
        let advice = format!(
            "; try a lower learning rate (stages.{stage}.{lr}) or stronger clipping (stages.{stage}.clip_grad_norm)"
        );
        Error::Diverged { what, stage, step, advice }
    }

    /// Planned steps of `stage`, and its seconds if the budget is in minutes.
    pub fn budget(&self, stage: &str) -> (u64, Option<f64>) {
        let config = &self.run.plan.config;
        let joint = config.joint_steps(self.run.plan.split.train.len());
        (config.steps(stage, joint), config.minutes(stage).map(|minutes| minutes * 60.0))
    }

    /// Sets the number of planned steps from the speed so far, if the budget is in minutes.
    pub fn update_eta(&mut self, seconds: Option<f64>) {
        let (Some(seconds), step) = (seconds, self.state.step) else { return };
        // The first steps fill caches; later the estimate is updated regularly, so that a machine that slows down does
        // not overrun. The new number is saved with every checkpoint.
        if step >= 4 && (step == 4 || step == 16 || step % 32 == 0) {
            let left = (seconds - self.stage_s()).max(0.0);
            let per_step = self.stage_s() / step as f64;
            self.state.steps = (step + (left / per_step) as u64).max(step);
        }
    }

    /// Estimated seconds until the end of the stage.
    pub fn left_s(&self) -> Option<f64> {
        let (step, steps) = (self.state.step, self.state.steps);
        (step >= 3).then(|| self.stage_s() / step as f64 * steps.saturating_sub(step) as f64)
    }

    /// Sends the event of a picture, if there was something to draw. A picture that cannot be written is a warning: it must not end a run.
    ///
    /// # Errors
    /// Anything but a file that cannot be written.
    pub fn report_picture(&mut self, path: std::path::PathBuf, drawn: Result<bool>) -> Result<()> {
        match drawn {
            Ok(true) => self.send(&Event::Picture { path }),
            Ok(false) => {}
            Err(error @ Error::Io { .. }) => self.warn([error.to_string()]),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Ends the stage: records its time and sends the event.
    pub fn finish(&mut self) {
        let seconds = self.stage_s();
        let (stage, step, waited_seconds) = (self.state.stage.clone(), self.state.step, self.state.waited_s);
        let best = self.state.best.clone();
        self.state.finished.push(StageRecord { name: stage.clone(), steps: step, seconds, waited_seconds, best });
        let waiting = (waited_seconds / seconds.max(1e-9)).min(1.0);
        self.send(&Event::StageFinished { stage, step, took: Duration::from_secs_f64(seconds), waiting });
    }

    /// Steps between checkpoints.
    pub fn checkpoint_every(&self) -> u64 {
        self.run.plan.config.output.checkpoint_every.unwrap_or(self.state.steps / 10).max(1)
    }
}
