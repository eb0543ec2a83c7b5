//! The training loop: one loop for all stages.
//!
//! Per step: a batch from the loader, the stage's own step, the weight average, the event. In between: validation, pictures,
//! checkpoints, early stopping, and the stop flag of the user.

use mtl_tensor::optim::Ema;
use tracing::debug_span;

use super::session::Session;
use super::stage::{Stage, StepAt};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::record::{Best, Measured};

/// Validations in a row, none of them the best one, after which collapsed samples end a stage.
const COLLAPSED_VALIDATIONS: u64 = 2;

/// Runs a stage until its budget is spent, validation stops improving, or the user interrupts; then saves it as finished.
///
/// # Errors
/// Anything in [`Error`]; the last checkpoint stays readable.
pub(super) fn run(s: &mut Session<'_, '_>, stage: &mut dyn Stage) -> Result<()> {
    run_steps(s, stage).map_err(|error| match error {
        Error::Model(mtl_model::Error::NonFinite { what }) => s.diverged(what),
        Error::NonFinitePrediction { task } => s.diverged(format!("the prediction of task `{task}`")),
        other => other,
    })
}

fn run_steps(s: &mut Session<'_, '_>, stage: &mut dyn Stage) -> Result<()> {
    let settings = stage.settings(&s.run);
    let name = stage.name().to_owned();
    let _span = tracing::info_span!("stage", name).entered();
    let plan = &s.run.plan;
    let train = plan.training_loader(&name, settings.batch, &name)?;
    let validation = match settings.validations {
        0 => None,
        _ => Some(plan.loader(&plan.split.validation, settings.batch, "validation")?),
    };
    let (steps, seconds) = s.budget(&name);
    let fresh = s.restored.is_none();
    s.begin(&name, steps);
    let messages = stage.begin(&s.run, fresh)?;
    messages.notes.into_iter().for_each(|message| s.send(&Event::Note { message }));
    s.warn(messages.warnings);
    let mut ema = Ema::new(settings.averaging, &stage.averaged(&s.run))?;
    if let Some(checkpoint) = s.restored.take() {
        stage.restore(&checkpoint.optimizers)?;
        ema.restore(&checkpoint.averages, checkpoint.state.ema_updates)?;
    }
    let mut batches = train.stream(s.state.epoch, s.state.batch as usize)?;
    let waited_before = s.state.waited_s;
    let patient = |s: &Session<'_, '_>| settings.patience == 0 || s.state.since_best < settings.patience;
    while s.state.step < s.state.steps && patient(s) {
        let next = batches.next();
        let (epoch, batch, loaded) =
            next.ok_or_else(|| Error::DataMismatch("the training images ran out".into()))??;
        let at = StepAt { step: s.state.step, steps: s.state.steps, epoch, batch };
        let report = {
            let _span = debug_span!("step", step = at.step).entered();
            stage.before_step(&s.run, at, &ema)?;
            stage.step(&s.run, &s.run.plan.to_device(&loaded, &s.run.device)?, at)?
        };
        ema.update()?;

        s.state.step += 1;
        s.state.epoch = epoch;
        s.state.batch = batch as u64 + 1;
        s.state.waited_s = waited_before + train.waited().as_secs_f64();
        s.update_eta(seconds);
        let (done, steps) = (s.state.step, s.state.steps);
        s.send(&Event::Step {
            stage: name.clone(),
            step: done,
            steps,
            losses: report.losses,
            weights: report.weights,
            updates: report.updates,
            left_s: s.left_s(),
        });
        if let Some(comparison) = report.comparison {
            s.send(&Event::Compared(comparison));
        }

        let due = |every: u64| done % every.max(1) == 0;
        let (mut best, mut collapsed) = (false, false);
        if let Some(validation) = &validation
            && (due(steps.div_ceil(settings.validations)) || done == steps)
            && let Some(mut found) = ema.with_averages(|| stage.validate(&s.run, validation))??
        {
            let value = found.value();
            best = s.state.best.as_ref().is_none_or(|before| value.better_than(before.value));
            let stalls = !best && s.state.best.as_ref().is_some_and(|before| value.stalls(before.value));
            s.state.since_best = if stalls { s.state.since_best + 1 } else { 0 };
            if best {
                s.state.best = Some(Best { step: done, value });
            }
            s.warn(found.take_warnings());
            // In the last resort: samples that have collapsed and did not recover.
            s.state.collapsed = if found.collapsed() && !best { s.state.collapsed + 1 } else { 0 };
            collapsed = s.state.collapsed >= COLLAPSED_VALIDATIONS;
            s.send(&found.event(&name, done, best));
        }
        if settings.pictures > 0 && due(steps.div_ceil(settings.pictures)) && done < steps {
            let path = s.run.dir.join(format!("samples/{name}-{done:06}.png"));
            let drawn = ema.with_averages(|| stage.draw(&s.run, &path, false))?;
            s.report_picture(path, drawn)?;
        }
        let stopping = s.stopping();
        if best || stopping || due(s.checkpoint_every()) || done == steps {
            s.save(Some(&ema), Some(&*stage), best)?;
        }
        if stopping {
            return Err(s.interrupted());
        }
        if collapsed {
            let best = s.state.best.as_ref().map_or(0, |best| best.step);
            s.warn([format!("samples have collapsed to few images: training stops at step {done}; the weights of step {best} are kept")]);
            break;
        }
    }
    drop(batches);
    if !patient(s) {
        let (step, patience) = (s.state.step, settings.patience);
        let found = match s.state.best {
            Some(Best { step: best, value: Measured::Loss(loss) }) => format!(
                "the loss on validation images has risen above {loss:.4}, its value at step {best}, for {patience} validations: \
                 further training would copy training images; the weights of step {best} are kept"
            ),
            _ => format!("validation has not improved for {patience} validations"),
        };
        s.warn([format!("{found}: training stops at step {step}")]);
    }
    let warnings = stage.finish(&s.run, &ema)?;
    s.warn(warnings);
    s.finish();
    s.state.stage_finished = true;
    s.save(None, None, true)?;
    if settings.pictures > 0 {
        let path = s.run.dir.join(format!("samples/{name}.png"));
        let drawn = stage.draw(&s.run, &path, true);
        s.report_picture(path, drawn)?;
    }
    Ok(())
}
