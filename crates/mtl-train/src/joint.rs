//! The joint stage: trunk, heads and reconstruction learn together.

use mtl_tensor::optim::{Ema, Optimizer};
use mtl_tensor::{Ctx, Tensor};

use crate::checkpoint::Checkpoint;
use crate::config::Stage;
use crate::error::{Error, Result};
use crate::evaluate::{score, skill};
use crate::event::Event;
use crate::model::ImageTask;
use crate::session::Session;
use crate::step::{StepInput, balanced_tasks, step};

/// Trains until the budget is spent, validation stops improving, or the user asks to stop; then makes the best averages
/// the model's weights.
pub(crate) fn run(s: &mut Session<'_, '_>) -> Result<()> {
    let config = s.plan.config.joint.clone();
    let train = s.plan.loader(&s.plan.split.train, config.batch, true, "joint")?;
    let validation = s.plan.loader(&s.plan.split.validation, config.batch, false, "validation")?;
    let (steps, seconds) = s.budget(Stage::Joint, train.batches());
    let prefixes = s.model.joint_prefixes();
    let tasks = balanced_tasks(&s.model);
    let mut balancer = s.plan.config.balancer.build(&tasks)?;
    let mut optimizer = Optimizer::new(config.optimizer, &s.model.trained(&prefixes), |_| 1.0)?;
    let mut ema = Ema::new(config.ema, &s.model.everything(&prefixes))?;
    s.begin(Stage::Joint, steps);
    if let Some(moments) = s.moments("joint") {
        optimizer.restore(&moments)?;
    }
    if let Some(restored) = s.restored.take() {
        ema.restore(&restored.averages, restored.state.ema_updates)?;
        balancer.restore(restored.state.balancer)?;
    }
    let columns: Vec<Option<usize>> = s.plan.columns.iter().copied().map(Some).collect();
    let waited_before = s.state.waited_s;
    let mut feed = train.stream(s.state.epoch, s.state.batch as usize)?;
    let patient = |s: &Session<'_, '_>| config.patience == 0 || s.state.since_best < config.patience;
    while s.state.step < s.state.steps && patient(s) {
        let (epoch, index, batch) =
            feed.next().ok_or_else(|| Error::DataMismatch("the training images ran out".into()))??;
        let images = Tensor::from_slice(&batch.images, batch.shape.to_vec(), &s.device)?;
        let targets = s.plan.targets(&batch);
        let classes = s.classes(&targets, batch.rows.len());
        let now = s.state.step;
        let input = StepInput {
            images: &images,
            targets: &targets,
            classes: &classes,
            reconstruction_weight: s.plan.config.model.reconstruction_weight,
            reconstruction_images: s.plan.config.model.reconstruction_images,
            step: now,
            epoch,
        };
        let cx = Ctx::train(s.plan.seed.child("joint", 0), now);
        let output = step(&s.model, &mut *balancer, &tasks, &input, &cx, &mut cx.stream("balancer"))?;
        let lr = config.schedule.at(now as f64 / s.state.steps as f64);
        let update = s.apply(("joint", &mut optimizer), &output.grads, lr, config.clip)?;
        let weights = output.losses.iter().zip(&output.weights).map(|((task, _), &w)| (task.clone(), w)).collect();
        ema.update()?;

        s.state.step += 1;
        s.state.epoch = epoch;
        s.state.batch = index as u64 + 1;
        s.state.balancer = balancer.state();
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
