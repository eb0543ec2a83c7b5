//! A run in progress: what every stage needs at hand, and saving.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mtl_metrics::Baseline;
use mtl_tensor::optim::{Ema, Grads, Optimizer, first_non_finite, global_norm, square_norm};
use mtl_tensor::{Device, Tensor};

use crate::checkpoint::{Checkpoint, State};
use crate::config::Stage;
use crate::error::{Error, Result};
use crate::event::{Event, Observer, Update};
use crate::model::Model;
use crate::plan::Plan;
use crate::record::Recorder;
use crate::run_dir::RunDir;
use crate::step::diverged;

/// Checkpoints that are kept beside those that `last` and `best` name.
const KEEP: usize = 2;
/// Steps of the joint stage where the configuration says nothing.
const DEFAULT_STEPS: u64 = 800;

/// Everything a stage works with.
pub(crate) struct Session<'a, 'b> {
    pub plan: Plan,
    pub model: Model,
    pub baselines: Vec<Baseline>,
    pub dir: RunDir,
    pub device: Device,
    pub state: State,
    /// The tensors of the checkpoint a stage goes on from, until it has taken them.
    pub restored: Option<Checkpoint>,
    pub recorder: Recorder,
    pub observers: &'a mut [&'b mut dyn Observer],
    pub stop: &'a AtomicBool,
    /// When this process began to work on the present stage, and the stage's seconds before that.
    pub clock: (Instant, f64),
    /// What the balancer remembers, for the next save.
    pub balancer: mtl_balance::State,
}

/// Prefix of the balancer's memory among a checkpoint's moments.
const BALANCER: &str = "balancer";

impl Session<'_, '_> {
    /// Tells everybody who listens.
    pub fn tell(&mut self, event: &Event) {
        if let Some(message) = self.recorder.write(event) {
            crate::event::tell(self.observers, &Event::Warning { message });
        }
        crate::event::tell(self.observers, event);
    }

    /// Seconds the present stage has run, over all processes.
    pub fn stage_s(&self) -> f64 {
        self.clock.1 + self.clock.0.elapsed().as_secs_f64()
    }

    /// Begins `stage`, or goes on with it where the checkpoint left it.
    pub fn begin(&mut self, stage: Stage, steps: u64) {
        if self.restored.is_none() {
            let earlier = self.state.earlier_s + self.state.stage_s;
            self.state =
                State { earlier_s: earlier, metrics_bytes: self.state.metrics_bytes, steps, ..State::at_start(stage) };
        }
        self.clock = (Instant::now(), self.state.stage_s);
        let event = Event::StageStarted { stage, step: self.state.step, steps: self.state.steps };
        self.tell(&event);
    }

    /// Saves the present moment. A failure is told, with what to do, and leaves the previous checkpoint in place.
    pub fn save(&mut self, averages: Option<&Ema>, optimizers: &[(&str, &Optimizer)], best: bool) -> Result<()> {
        self.state.stage_s = self.stage_s();
        self.state.metrics_bytes = self.recorder.metrics_bytes();
        self.state.ema_updates = averages.map_or(0, Ema::updates);
        let mut moments = BTreeMap::new();
        for (name, optimizer) in optimizers {
            moments.extend(optimizer.state()?.into_iter().map(|(key, value)| (format!("{name}/{key}"), value)));
        }
        let weights = self.model.values()?;
        // A step can leave weights that no loss has seen yet; such a moment must not become the last good one.
        for (name, value) in &weights {
            if !square_norm(value)?.is_finite() {
                return Err(diverged(format!("the weight `{name}`"), self.state.stage.name(), self.state.step));
            }
        }
        for (key, row) in &self.balancer {
            let row = Tensor::from_slice(row, row.len(), &Device::Cpu)?;
            moments.insert(format!("{BALANCER}/{key}"), row);
        }
        let checkpoint = Checkpoint {
            weights,
            averages: averages.map_or_else(|| Ok(BTreeMap::new()), Ema::values)?,
            optimizers: moments,
            state: self.state.clone(),
        };
        let path = checkpoint.save(&self.dir.join("checkpoints"), best, KEEP)?;
        self.tell(&Event::Saved { path });
        Ok(())
    }

    /// True once the user asked to stop.
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The error that says so.
    pub fn interrupted(&self) -> Error {
        Error::Interrupted { stage: self.state.stage.name(), step: self.state.step, run: self.dir.path().to_owned() }
    }

    /// Planned steps of `stage`, and the seconds it may take if the budget is in minutes.
    pub fn budget(&self, stage: Stage, joint_batches: usize) -> (u64, Option<f64>) {
        let budget = &self.plan.config.budget;
        let joint = budget
            .steps
            .or_else(|| budget.epochs.map(|epochs| (epochs * joint_batches as f64).ceil() as u64))
            .unwrap_or(DEFAULT_STEPS)
            .max(1);
        let steps = match stage {
            Stage::Joint => joint,
            Stage::Vae => budget.vae_steps.unwrap_or(joint.div_ceil(2)),
            Stage::Gan => budget.gan_steps.unwrap_or(joint),
        };
        let share = |stage: Stage| budget.shares[stage as usize];
        let all: f64 = self.plan.config.stages.iter().map(|&stage| share(stage)).sum();
        (steps, budget.minutes.map(|minutes| minutes * 60.0 * share(stage) / all))
    }

    /// Sets the number of planned steps from the speed so far, if the budget is in minutes.
    pub fn pace(&mut self, seconds: Option<f64>) {
        let (Some(seconds), step) = (seconds, self.state.step) else { return };
        // The first steps fill caches; later the estimate is renewed now and then, so that a machine that slows down
        // does not overrun. The new number is saved with every checkpoint.
        if step >= 4 && (step == 4 || step == 16 || step % 32 == 0) {
            let left = (seconds - self.stage_s()).max(0.0);
            let a_step = self.stage_s() / step as f64;
            self.state.steps = (step + (left / a_step) as u64).max(step);
        }
    }

    /// Seconds the stage still needs.
    pub fn left_s(&self) -> Option<f64> {
        let (step, steps) = (self.state.step, self.state.steps);
        (step >= 3).then(|| self.stage_s() / step as f64 * steps.saturating_sub(step) as f64)
    }

    /// Tells of a picture. One that cannot be written is a warning: nobody wants to lose a run to it.
    ///
    /// # Errors
    /// Anything but a file that cannot be written.
    pub fn told_picture(&mut self, path: std::path::PathBuf, drawn: Result<()>) -> Result<()> {
        match drawn {
            Ok(()) => self.tell(&Event::Picture { path }),
            Err(error @ Error::Io { .. }) => self.tell(&Event::Warning { message: error.to_string() }),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Ends the stage: tells how long it took.
    pub fn finish(&mut self) {
        let took = self.stage_s();
        let waiting = self.state.waited_s / took.max(1e-9);
        let event = Event::StageFinished {
            stage: self.state.stage,
            step: self.state.step,
            took: Duration::from_secs_f64(took),
            waiting: waiting.min(1.0),
        };
        self.tell(&event);
    }

    /// Applies gradients with their length limited to `clip` (0: not limited), by the optimizer called `name`.
    ///
    /// # Errors
    /// [`Error::Diverged`] naming the first gradient that is not finite; nothing has been changed then.
    pub fn apply(
        &self,
        (name, optimizer): (&'static str, &mut Optimizer),
        grads: &Grads,
        lr: f64,
        clip: f64,
    ) -> Result<Update> {
        let grad_norm = global_norm(grads)?;
        if !grad_norm.is_finite() {
            let name = first_non_finite(grads).unwrap_or("the sum of all squares");
            return Err(diverged(format!("the gradient of `{name}`"), self.state.stage.name(), self.state.step));
        }
        let scale = if clip > 0.0 && grad_norm > clip { clip / grad_norm } else { 1.0 };
        optimizer.step(grads, lr, scale)?;
        Ok(Update { optimizer: name, lr, grad_norm })
    }

    /// An optimizer's part of the restored moments.
    pub fn moments(&self, name: &str) -> Option<BTreeMap<String, Tensor>> {
        let restored = self.restored.as_ref()?;
        let prefix = format!("{name}/");
        let own = restored
            .optimizers
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())));
        Some(own.collect())
    }

    /// The balancer's part of them.
    pub fn balancer_memory(&self) -> Result<mtl_balance::State> {
        let rows = self.moments(BALANCER).unwrap_or_default();
        let mut memory: mtl_balance::State =
            rows.iter().map(|(key, row)| Ok((key.clone(), mtl_tensor::to_f64(row)?))).collect::<Result<_>>()?;
        memory.extend(self.restored.iter().flat_map(|restored| restored.state.balancer.clone()));
        Ok(memory)
    }

    /// Steps between checkpoints.
    pub fn checkpoint_every(&self) -> u64 {
        self.plan.config.output.checkpoint_every.unwrap_or(self.state.steps / 10).max(1)
    }

    /// The classes that condition generators, of a batch.
    pub fn classes(&self, targets: &[mtl_task::Target], count: usize) -> Vec<i32> {
        match self.plan.schema.condition.map(|at| &targets[at]) {
            Some(mtl_task::Target::Class(labels)) => labels.clone(),
            _ => vec![-1; count],
        }
    }
}

impl State {
    /// The first moment of a stage.
    pub(crate) fn at_start(stage: Stage) -> Self {
        Self {
            format_version: crate::checkpoint::FORMAT_VERSION,
            stage,
            stage_finished: false,
            step: 0,
            steps: 0,
            epoch: 0,
            batch: 0,
            stage_s: 0.0,
            waited_s: 0.0,
            earlier_s: 0.0,
            best_skill: None,
            since_best: 0,
            balancer: BTreeMap::new(),
            ema_updates: 0,
            metrics_bytes: 0,
        }
    }
}
