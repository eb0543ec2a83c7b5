//! The joint stage: trunk, heads and reconstruction learn together.

use mtl_balance::{Feedback, LossKind, suit};
use mtl_data::loader::{Batch, Feed};
use mtl_task::Target;
use mtl_tensor::optim::{Ema, Optimizer};
use mtl_tensor::{Ctx, Tensor};

use crate::checkpoint::Checkpoint;
use crate::config::Stage;
use crate::conflict::Comparison;
use crate::error::{Error, Result};
use crate::evaluate::{score, skill};
use crate::event::Event;
use crate::model::ImageTask;
use crate::session::Session;
use crate::step::{StepInput, balanced_tasks, lookahead, losses_after, step};

/// A batch on the device.
struct Material {
    images: Tensor,
    targets: Vec<Target>,
    classes: Vec<i32>,
}

impl Material {
    fn of(s: &Session<'_, '_>, batch: &Batch) -> Result<Self> {
        let targets = s.plan.targets(batch);
        let classes = s.classes(&targets, batch.rows.len());
        Ok(Self { images: Tensor::from_slice(&batch.images, batch.shape.to_vec(), &s.device)?, targets, classes })
    }

    fn input(&self, s: &Session<'_, '_>, (step, epoch): (u64, u64), compare: bool) -> StepInput<'_> {
        StepInput {
            images: &self.images,
            targets: &self.targets,
            classes: &self.classes,
            reconstruction_weight: s.plan.config.model.reconstruction_weight,
            reconstruction_images: s.plan.config.model.reconstruction_images,
            step,
            epoch,
            compare,
        }
    }
}

/// What is known of the tasks' losses; the image task's (`vae`, `autoencoder`) are distances.
fn loss_kinds(s: &Session<'_, '_>, tasks: &[String]) -> Vec<(String, LossKind)> {
    let kind = |at: usize| match s.model.heads.get(at) {
        Some((_, head)) if head.least_loss() < 0.0 => LossKind::Signed,
        _ => LossKind::Distance,
    };
    tasks.iter().enumerate().map(|(at, task)| (task.clone(), kind(at))).collect()
}

fn next(feed: &mut Feed) -> Result<(u64, usize, Batch)> {
    Ok(feed.next().ok_or_else(|| Error::DataMismatch("the training images ran out".into()))??)
}

/// Trains until the budget is spent, validation stops improving, or the user asks to stop; then makes the best averages
/// the model's weights.
pub(crate) fn run(s: &mut Session<'_, '_>) -> Result<()> {
    let config = s.plan.config.joint.clone();
    let train = s.plan.loader(&s.plan.split.train, config.batch, true, "joint")?;
    let validation = s.plan.loader(&s.plan.split.validation, config.batch, false, "validation")?;
    let (steps, seconds) = s.budget(Stage::Joint, train.batches());
    let prefixes = s.model.joint_prefixes();
    let tasks = balanced_tasks(&s.model);
    let mut balancer = s.plan.balancer(&tasks)?;
    for message in suit(s.plan.config.balancer.name(), &*balancer, &loss_kinds(s, &tasks))? {
        s.tell(&Event::Warning { message });
    }
    let feedback = balancer.feedback();
    let mut optimizer = Optimizer::new(config.optimizer, &s.model.trained(&prefixes), |_| 1.0)?;
    let mut ema = Ema::new(config.ema, &s.model.everything(&prefixes))?;
    s.begin(Stage::Joint, steps);
    if let Some(moments) = s.moments("joint") {
        optimizer.restore(&moments)?;
    }
    if s.restored.is_some() {
        balancer.restore(s.balancer_memory()?)?;
    }
    if let Some(restored) = s.restored.take() {
        ema.restore(&restored.averages, restored.state.ema_updates)?;
    }
    let columns: Vec<Option<usize>> = s.plan.columns.iter().copied().map(Some).collect();
    let waited_before = s.state.waited_s;
    let mut feed = train.stream(s.state.epoch, s.state.batch as usize)?;
    // The images a bilevel balancer looks ahead on: the same ones in an order of their own.
    let ahead = match &feedback {
        Feedback::Lookahead(_) => Some(s.plan.loader(&s.plan.split.train, config.batch, true, "lookahead")?),
        _ => None,
    };
    let mut ahead = ahead.map(|loader| loader.stream(s.state.epoch, s.state.batch as usize)).transpose()?;
    let patient = |s: &Session<'_, '_>| config.patience == 0 || s.state.since_best < config.patience;
    while s.state.step < s.state.steps && patient(s) {
        let (epoch, index, batch) = next(&mut feed)?;
        let now = s.state.step;
        let material = Material::of(s, &batch)?;
        let compare = config.compare_every > 0 && now.is_multiple_of(config.compare_every) && tasks.len() > 1;
        let input = material.input(s, (now, epoch), compare);
        let cx = Ctx::train(s.plan.seed.child("joint", 0), now);
        let output = step(&s.model, &mut *balancer, &tasks, &input, &cx, &mut cx.stream("balancer"))?;
        let lr = config.schedule.at(now as f64 / s.state.steps as f64);
        if let (Feedback::Lookahead(primary), Some(ahead)) = (&feedback, &mut ahead) {
            let other = Material::of(s, &next(ahead)?.2)?;
            let both = (&input, &other.input(s, (now, epoch), false));
            if let Some(slopes) = lookahead(&s.model, &tasks, both, &output, (lr, primary), &cx)? {
                balancer.learn(&slopes)?;
            }
        }
        let update = s.apply(("joint", &mut optimizer), &output.grads, lr, config.clip)?;
        if feedback == Feedback::LossesAfter {
            balancer.learn(&losses_after(&s.model, &tasks, &input, &output, &cx)?)?;
        }
        let weights = output.losses.iter().zip(&output.weights).map(|((task, _), &w)| (task.clone(), w)).collect();
        ema.update()?;
        let names = if compare { output.losses.iter().map(|(task, _)| task.clone()).collect() } else { Vec::new() };
        let compared = Comparison::of(now + 1, names, &output.stages);

        s.state.step += 1;
        s.state.epoch = epoch;
        s.state.batch = index as u64 + 1;
        s.state.waited_s = waited_before + train.waited().as_secs_f64();
        s.pace(seconds);
        let (done, steps) = (s.state.step, s.state.steps);
        s.tell(&Event::Step {
            stage: Stage::Joint,
            step: done,
            steps,
            losses: output.losses,
            weights,
            updates: vec![update],
            left_s: s.left_s(),
        });

        if let Some(comparison) = compared {
            s.tell(&Event::Compared(comparison));
        }

        let due = |every: u64| done % every.max(1) == 0;
        let mut best = false;
        if due(steps.div_ceil(config.evaluations.max(1))) || done == steps {
            let scored = ema.with_averages(|| {
                score(&s.model, &validation, &columns, Some(&s.baselines), config.mirrored, &s.device)
            })??;
            let found = skill(&scored);
            best = s.state.best_skill.is_none_or(|before| found > before);
            s.state.since_best = if best { 0 } else { s.state.since_best + 1 };
            s.state.best_skill = if best { Some(found) } else { s.state.best_skill };
            s.tell(&Event::Validated { step: done, skill: found, best, scores: scored });
        }
        let stopping = s.stopping();
        if best || stopping || due(s.checkpoint_every()) || done == steps {
            s.balancer = balancer.state();
            s.save(Some(&ema), &[("joint", &optimizer)], best)?;
        }
        if stopping {
            return Err(s.interrupted());
        }
    }
    drop(feed);
    if !patient(s) {
        let (step, patience) = (s.state.step, config.patience);
        let message = format!("validation has not improved for {patience} evaluations: training stops at step {step}");
        s.tell(&Event::Warning { message });
    }
    s.finish();
    s.balancer.clear();
    // From here on the best averages are the weights.
    let (best, _, warning) = Checkpoint::load_named(&s.dir.join("checkpoints"), "best")?;
    if let Some(message) = warning {
        s.tell(&Event::Warning { message });
    }
    // A run that was stopped between the two links of its last save finds its finished self here: weights, no averages.
    s.model.overwrite(if best.state.stage_finished { &best.weights } else { &best.averages })?;
    if matches!(s.model.image_task, Some(ImageTask::Vae)) {
        crate::generation::fit_all(s)?;
    }
    s.state.stage_finished = true;
    s.save(None, &[], true)
}
