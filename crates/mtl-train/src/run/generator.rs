//! The stage of a generator: it is trained on the trained encoder, which does not change.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use mtl_data::concat::spread;
use mtl_data::loader::Loader;
use mtl_gen::gan::matching::REFERENCE_IMAGES;
use mtl_gen::{Batch, Generator, Prepare, PriorFit, ReferenceFit, Sampling};
use mtl_model::DeviceBatch;
use mtl_model::step::task_loss::task_loss;
use mtl_registry::UnknownName;
use mtl_tensor::optim::{Averaging, Ema, Optimizer, Schedule, collect};
use mtl_tensor::{Ctx, Tensor, Var, backward, to_f64};
use mtl_trunk::Features;

use super::collapse::{self, Findings};
use super::samples::Validator;
use super::stage::{
    LoopSettings, Messages, OptimizerStep, RunContext, Stage, StepAt, StepReport, Validation, below, named_state,
    optimize,
};
use crate::config::StageSettings;
use crate::error::{Error, Result};
use crate::eval::pictures::{tiles, write_grid};
use crate::store::checkpoint::Checkpoint;

/// Images that a prior is fitted to, at the end of a stage and for pictures during it.
const PRIOR_IMAGES: usize = 2048;
const INTERIM_PRIOR_IMAGES: usize = 256;
/// Images that a generator is prepared on.
const PREPARE_IMAGES: usize = 64;
/// Pictures per class in a grid of samples.
const SAMPLES_PER_CLASS: usize = 8;

/// See the module.
struct GeneratorStage {
    name: String,
    config: StageSettings,
    generator: Arc<dyn Generator>,
    optimizers: Vec<Optimizer>,
    /// From the first validation on.
    validator: Option<Validator>,
}

/// Builds the stage of the generator `name`.
pub(super) fn build(name: &str, run: &mut RunContext) -> Result<Box<dyn Stage>> {
    let known = || run.model.generators.keys().map(String::as_str);
    let generator = run.model.generators.get(name).ok_or_else(|| UnknownName::new("stage", name, known()))?;
    let trainable = run.model.params.trainable();
    let optimizer = |phase: &mtl_gen::Phase| {
        Optimizer::new(phase.optimizer, &phase.of(&trainable), |parameter| phase.lr_scale(parameter))
    };
    Ok(Box::new(GeneratorStage {
        name: name.to_owned(),
        config: run.plan.config.stages.settings(name),
        generator: Arc::clone(generator),
        optimizers: generator.phases().iter().map(optimizer).collect::<mtl_tensor::Result<_>>()?,
        validator: None,
    }))
}

impl Stage for GeneratorStage {
    fn name(&self) -> &str {
        &self.name
    }

    fn settings(&self, run: &RunContext) -> LoopSettings {
        let (validations, patience) = run.plan.config.validations(&self.name);
        LoopSettings {
            batch: run.plan.config.batch(&self.name),
            averaging: Averaging::HalfLife(self.config.ema_half_life),
            validations: if Validator::supported(run) { validations } else { 0 },
            patience,
            pictures: run.plan.config.output.pictures.max(1),
        }
    }

    fn begin(&mut self, run: &RunContext, fresh: bool) -> Result<Messages> {
        if let Some(fit) = self.generator.reference_fit() {
            refer(run, fit)?;
        }
        if !fresh {
            return Ok(Messages::default());
        }
        let rows: Vec<usize> = real_training_rows(run).into_iter().take(PREPARE_IMAGES).collect();
        let batch = run.plan.batch_of(&rows, &run.device)?;
        let generators = &run.model.generators;
        let generator = |name: &str| generators.get(name).map(|generator| &**generator);
        let trunk_name = run.model.sharing.shared().first().map_or("trunk", String::as_str);
        let prepare = Prepare { trunk_name, trunk: run.model.trunk(), images: &batch.images, generator: &generator };
        Ok(Messages { notes: self.generator.prepare(&prepare)?, ..Messages::default() })
    }

    /// Parameters only: a prior is fitted, not trained, and an average of fits has no meaning.
    fn averaged(&self, run: &RunContext) -> BTreeMap<String, Var> {
        run.model.trainable(&[self.generator.sampled()])
    }

    fn before_step(&mut self, run: &RunContext, at: StepAt, averages: &Ema) -> Result<()> {
        if let Some(fit) = self.generator.due_fit(at.progress())? {
            run.model.overwrite(&averages.values()?)?;
            fit_to_training_images(run, fit, PRIOR_IMAGES)?;
        }
        Ok(())
    }

    fn step(&mut self, run: &RunContext, batch: &DeviceBatch, at: StepAt) -> Result<StepReport> {
        let cx = Ctx::train(run.plan.seed.child(&self.name, 0), at.step);
        let progress = at.progress();
        let trainable = run.model.params.trainable();
        let mut report = StepReport::default();
        let tasks = |features: &Features| {
            let failed = |error| mtl_gen::Error::Task { source: Box::new(error) };
            task_loss(&run.model, features, batch).map_err(failed)
        };
        let data = Batch {
            trunk: run.model.trunk(),
            images: &batch.images,
            classes: &batch.classes,
            progress,
            task_loss: Some(&tasks),
        };
        let mut step = self.generator.begin_step(&data, &cx)?;
        for (at, (phase, optimizer)) in self.generator.phases().iter().zip(&mut self.optimizers).enumerate() {
            let Some(progress) = self.generator.phase_progress(at, progress)? else { continue };
            let loss = step.loss(at).map_err(cause)?;
            let value = to_f64(&loss.total)?.first().copied().unwrap_or(f64::NAN);
            if !value.is_finite() {
                let what = format!("the loss of the {}", phase.name);
                return Err(Error::Model(mtl_model::Error::NonFinite { what }));
            }
            let params = phase.of(&trainable);
            let grads = collect(&backward(&loss.total)?, &params);
            let config = &self.config;
            let (lr, min_lr_ratio) = (phase.lr * config.lr_scale, config.min_lr_ratio);
            let lr = Schedule { lr, warmup: config.warmup, min_lr_ratio }.at(progress);
            let step = OptimizerStep { lr, clip_grad_norm: config.clip_grad_norm };
            report.updates.push(optimize(phase.name, optimizer, grads, &params, step, &*run.collective)?);
            report.losses.push((phase.name.to_owned(), value));
            report.losses.extend(loss.terms);
        }
        Ok(report)
    }

    fn validate(&mut self, run: &RunContext, _: &Loader) -> Result<Option<Validation>> {
        if !self.generator.can_sample()? {
            return Ok(None);
        }
        fit_prior(run, &*self.generator, false)?;
        let validator = match &self.validator {
            Some(validator) => validator,
            None => self.validator.insert(Validator::new(run)?),
        };
        let (kid, signs) = validator.compare(run, &*self.generator)?;
        let loss = validator.loss(run, &*self.generator)?;
        let Findings { mut warnings, raise } = collapse::findings(&signs, run.plan.schema.condition_classes());
        if raise {
            warnings.extend(collapse::raise_augmentation(&*self.generator)?);
        }
        Ok(Some(Validation::Samples { kid, loss, signs, warnings }))
    }

    fn draw(&mut self, run: &RunContext, path: &Path, last: bool) -> Result<bool> {
        if !self.generator.can_sample()? {
            return Ok(false);
        }
        if !last {
            fit_prior(run, &*self.generator, false)?;
        }
        let classes = run.plan.schema.condition_classes().len().min(16);
        let labels: Vec<i32> = if classes == 0 {
            vec![-1; SAMPLES_PER_CLASS * SAMPLES_PER_CLASS]
        } else {
            (0..classes).flat_map(|class| [class as i32; SAMPLES_PER_CLASS]).collect()
        };
        // The same latents in every picture, one row per class.
        let images = self.generator.sample(&labels, &Sampling::default(), &mut run.plan.seed.stream("samples", &[]))?;
        write_grid(path, &tiles(&images)?, SAMPLES_PER_CLASS).map(|()| true)
    }

    fn finish(&mut self, run: &RunContext, averages: &Ema) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        let mut values = averages.values()?;
        // A stage that ended before its sampling network was trained has no best step.
        if self.settings(run).validations > 0 && self.generator.can_sample()? {
            let (best, _, warning) = Checkpoint::load_named(&run.dir.join("checkpoints"), "best")?;
            warnings.extend(warning);
            // Without a readable one of this stage, the last weights are kept.
            if best.state.stage == self.name {
                // A run stopped between the two links of its last save finds the finished stage here.
                values = if best.state.stage_finished { best.weights } else { best.averages };
            }
        }
        run.model.overwrite(&values)?;
        fit_prior(run, &*self.generator, true)?;
        Ok(warnings)
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::new();
        for (phase, optimizer) in self.generator.phases().iter().zip(&self.optimizers) {
            state.extend(named_state(phase.name, optimizer)?);
        }
        Ok(state)
    }

    fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        for (phase, optimizer) in self.generator.phases().iter().zip(&mut self.optimizers) {
            optimizer.restore(&below(state, phase.name))?;
        }
        Ok(())
    }
}

/// The error of a task's loss inside a generator's phase as the error it was; other errors as they are.
fn cause(error: mtl_gen::Error) -> Error {
    match error {
        mtl_gen::Error::Task { source } => match source.downcast::<mtl_model::Error>() {
            Ok(cause) => (*cause).into(),
            Err(source) => mtl_gen::Error::Task { source }.into(),
        },
        other => other.into(),
    }
}

/// Rows of training images that are not generated ones, spread over the folders.
fn real_training_rows(run: &RunContext) -> Vec<usize> {
    spread(&*run.plan.dataset, &run.plan.real_training_rows().collect::<Vec<_>>())
}

/// Fits what a generator's loss needs of all training images, as far as it takes them in.
fn refer(run: &RunContext, mut fit: Box<dyn ReferenceFit + '_>) -> Result<()> {
    let rows = real_training_rows(run);
    for rows in rows[..rows.len().min(REFERENCE_IMAGES)].chunks(64) {
        let batch = run.plan.batch_of(rows, &run.device)?;
        fit.add(run.model.trunk(), &batch.images)?;
    }
    Ok(fit.finish()?)
}

/// Fits the prior of a generator, if it has one, to the features of training images: many at the end of a stage, fewer for a
/// picture during it.
pub(super) fn fit_prior(run: &RunContext, generator: &dyn Generator, last: bool) -> Result<()> {
    let images = if last { PRIOR_IMAGES } else { INTERIM_PRIOR_IMAGES };
    generator.prior_fit().map_or(Ok(()), |fit| fit_to_training_images(run, fit, images))
}

/// Fits to the features of at most `images` training images.
fn fit_to_training_images(run: &RunContext, mut fit: Box<dyn PriorFit + '_>, images: usize) -> Result<()> {
    let rows: Vec<usize> = real_training_rows(run).into_iter().take(images).collect();
    for rows in rows.chunks(64) {
        let batch = run.plan.batch_of(rows, &run.device)?;
        // Values only: with their graph, the features of all batches would keep every activation of the encoder alive.
        let features = run.model.trunk().forward(&batch.images, &Ctx::eval())?.detach();
        fit.add(&features, &batch.classes)?;
    }
    Ok(fit.finish()?)
}
