//! The joint stage: encoder, heads and unlabelled objectives are trained together.

use std::collections::BTreeMap;

use mtl_balance::{Balancer, Feedback, LossKind, check_losses};
use mtl_data::loader::{BatchStream, Loader};
use mtl_model::step::conflict::Comparison;
use mtl_model::step::{Lookahead, lookahead, losses_after, step};
use mtl_model::{DeviceBatch, StepInput};
use mtl_tensor::optim::{Averaging, Ema, Optimizer};
use mtl_tensor::{Ctx, Device, Tensor, Var};

use super::generator::fit_prior;
use super::stage::{
    LoopSettings, Messages, OptimizerStep, RunContext, Stage, StepAt, StepReport, Validation, below, named_state,
    optimize,
};
use crate::config::{JOINT, Joint};
use crate::error::{Error, Result};
use crate::eval::score::score;
use crate::store::checkpoint::Checkpoint;

/// Prefix of the balancer's state in a checkpoint.
const BALANCER: &str = "balancer";

/// See the module.
struct JointStage {
    config: Joint,
    tasks: Vec<String>,
    balancer: Box<dyn Balancer>,
    /// Everything the stage trains.
    params: BTreeMap<String, Var>,
    optimizer: Optimizer,
    /// Look-ahead batches of a bilevel balancer: the training images in an order of their own.
    ahead: Option<BatchStream>,
}

/// Builds the stage.
pub(super) fn build(_: &str, run: &mut RunContext) -> Result<Box<dyn Stage>> {
    let config = run.plan.config.stages.joint.clone();
    let balancer = run.plan.balancer.take().ok_or_else(|| Error::setting("stages.run", "\"joint\" runs once"))?;
    let params = run.model.trainable(&run.model.joint_prefixes());
    let optimizer = Optimizer::new(config.optimizer, &params, |_| 1.0)?;
    let tasks = run.model.objective_names();
    Ok(Box::new(JointStage { config, tasks, balancer, params, optimizer, ahead: None }))
}

impl JointStage {
    /// The next look-ahead batch.
    fn next_ahead(&mut self, run: &RunContext, at: StepAt) -> Result<DeviceBatch> {
        if self.ahead.is_none() {
            let loader = run.plan.training_loader(JOINT, self.config.batch, "lookahead")?;
            self.ahead = Some(loader.stream(at.epoch, at.batch)?);
        }
        let next = self.ahead.as_mut().and_then(Iterator::next);
        let (_, _, batch) = next.ok_or_else(|| Error::DataMismatch("the training images ran out".into()))??;
        run.plan.to_device(&batch, &run.device)
    }
}

impl Stage for JointStage {
    fn name(&self) -> &str {
        JOINT
    }

    fn settings(&self, _: &RunContext) -> LoopSettings {
        LoopSettings {
            batch: self.config.batch,
            averaging: Averaging::Decay(self.config.ema_decay),
            validations: self.config.validations.max(1),
            patience: self.config.patience,
            pictures: 0,
        }
    }

    fn begin(&mut self, run: &RunContext, _: bool) -> Result<Messages> {
        let kind = |least: f64| if least < 0.0 { LossKind::Signed } else { LossKind::NonNegative };
        let kinds =
            run.model.objectives.iter().map(|objective| (objective.name().to_owned(), kind(objective.min_loss())));
        let kinds: Vec<_> = kinds.collect();
        let warning = check_losses(run.plan.config.balancer.name(), &*self.balancer, &kinds)?;
        Ok(Messages { warnings: warning.into_iter().collect(), ..Messages::default() })
    }

    fn averaged(&self, run: &RunContext) -> BTreeMap<String, Var> {
        run.model.everything(&run.model.joint_prefixes())
    }

    fn step(&mut self, run: &RunContext, batch: &DeviceBatch, at: StepAt) -> Result<StepReport> {
        let every = self.config.gradient_stats_every;
        let compare = every > 0 && at.step.is_multiple_of(every) && self.tasks.len() > 1;
        let input = StepInput { batch, step: at.step, epoch: at.epoch, compare };
        let cx = Ctx::train(run.plan.seed.child(JOINT, 0), at.step);
        let mut output = step(&run.model, &mut *self.balancer, &input, &cx, &mut cx.stream(BALANCER))?;
        let lr = self.config.schedule.at(at.progress());
        let feedback = self.balancer.requirements().feedback.clone();
        if let Feedback::Lookahead(primary) = &feedback {
            let other = self.next_ahead(run, at)?;
            let ahead = Lookahead { other: &other, lr, primary };
            if let Some(slopes) = lookahead(&run.model, &input, &output, ahead, &cx)? {
                self.balancer.feedback(&slopes)?;
            }
        }
        let update = {
            let step = OptimizerStep { lr, clip_grad_norm: self.config.clip_grad_norm };
            let grads = std::mem::take(&mut output.grads);
            optimize(JOINT, &mut self.optimizer, grads, &self.params, step, &*run.collective)?
        };
        if feedback == Feedback::LossesAfter {
            self.balancer.feedback(&losses_after(&run.model, &input, &output, &cx)?)?;
        }
        let weights = output.losses.iter().zip(&output.weights).map(|((task, _), &w)| (task.clone(), w)).collect();
        let names = if compare { output.losses.iter().map(|(task, _)| task.clone()).collect() } else { Vec::new() };
        let comparison = Comparison::of(at.step + 1, names, &output.stages);
        Ok(StepReport { losses: output.losses, weights, updates: vec![update], comparison })
    }

    fn validate(&mut self, run: &RunContext, validation: &Loader) -> Result<Option<Validation>> {
        let columns: Vec<Option<usize>> = run.plan.columns.iter().copied().map(Some).collect();
        let baselines = Some(&run.baselines[..]);
        let scores = score(&run.model, validation, &columns, baselines, self.config.flip_tta, &run.device)?;
        Ok(Some(Validation::Tasks(scores)))
    }

    fn finish(&mut self, run: &RunContext, _: &Ema) -> Result<Vec<String>> {
        // From now on the best averages are the model's weights.
        let (best, _, warning) = Checkpoint::load_named(&run.dir.join("checkpoints"), "best")?;
        // A run stopped between the two links of its last save finds the finished stage here: weights without averages.
        run.model.overwrite(if best.state.stage_finished { &best.weights } else { &best.averages })?;
        for name in run.model.objectives.iter().filter_map(|objective| objective.generator()) {
            fit_prior(run, &*run.model.generators[name], true)?;
        }
        Ok(warning.into_iter().collect())
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = named_state(JOINT, &self.optimizer)?;
        for (key, row) in self.balancer.state() {
            let length = row.len();
            state.insert(format!("{BALANCER}/{key}"), Tensor::from_vec(row, length, &Device::Cpu)?);
        }
        Ok(state)
    }

    fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        self.optimizer.restore(&below(state, JOINT))?;
        let rows = below(state, BALANCER);
        let rows = rows.iter().map(|(key, row)| Ok((key.clone(), mtl_tensor::to_f64(row)?)));
        Ok(self.balancer.restore(rows.collect::<Result<_>>()?)?)
    }
}
