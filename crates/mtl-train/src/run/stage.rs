//! The trait of a stage: a part of a run that the training loop drives.

use std::collections::BTreeMap;
use std::path::Path;

use mtl_data::loader::Loader;
use mtl_metrics::Baseline;
use mtl_metrics::generation::GenerationScore;
use mtl_model::step::conflict::Comparison;
use mtl_model::{DeviceBatch, Model};
use mtl_tensor::collective::Collective;
use mtl_tensor::optim::{Averaging, Ema, Grads, Optimizer, first_non_finite, global_norm};
use mtl_tensor::{Device, Tensor, Var};

use super::collapse;
use crate::data::Plan;
use crate::error::{Error, Result};
use crate::eval::score::mean_skill;
use crate::event::{Event, Update};
use crate::record::{Measured, Signs, TaskScores};
use crate::store::run_dir::RunDir;

/// Everything that a stage works with.
pub struct RunContext {
    /// Configuration, data, split.
    pub plan: Plan,
    /// The networks.
    pub model: Model,
    /// Baselines of the labelled tasks.
    pub baselines: Vec<Baseline>,
    /// The run folder.
    pub dir: RunDir,
    /// The device of the networks.
    pub device: Device,
    /// The processes that train together; gradients are averaged over them.
    pub collective: Box<dyn Collective>,
}

/// Settings of a stage that the training loop needs.
#[derive(Clone, Copy, Debug)]
pub struct LoopSettings {
    /// Images per step.
    pub batch: usize,
    /// Weight average.
    pub averaging: Averaging,
    /// Validations over the stage; 0: the stage does not validate.
    pub validations: u64,
    /// Validations without a better score until the stage ends; 0: it never ends early.
    pub patience: u64,
    /// Pictures over the stage; 0: none.
    pub pictures: u64,
}

/// Position of a step in its stage.
#[derive(Clone, Copy, Debug)]
pub struct StepAt {
    /// Steps done before.
    pub step: u64,
    /// Steps planned.
    pub steps: u64,
    /// Epoch of the batch.
    pub epoch: u64,
    /// Index of the batch in its epoch.
    pub batch: usize,
}

impl StepAt {
    /// Share of the stage that is done, 0 to 1.
    pub fn progress(&self) -> f64 {
        self.step as f64 / self.steps as f64
    }
}

/// Results of a step, for logs and progress bars.
#[derive(Debug, Default)]
pub struct StepReport {
    /// Losses by name, before weighting.
    pub losses: Vec<(String, f64)>,
    /// The balancer's weights by task.
    pub weights: Vec<(String, f64)>,
    /// The optimizer steps.
    pub updates: Vec<Update>,
    /// Comparison of the tasks' gradients, in steps that compare them.
    pub comparison: Option<Comparison>,
}

/// Outcome of a validation.
#[derive(Debug)]
pub enum Validation {
    /// Scores of the tasks.
    Tasks(Vec<TaskScores>),
    /// Samples of a generator.
    Samples {
        /// KID.
        kid: GenerationScore,
        /// Loss on the validation images, if the generator has one.
        loss: Option<f64>,
        /// Signs of failure, and what follows from them.
        signs: Signs,
        /// Warnings.
        warnings: Vec<String>,
    },
}

impl Validation {
    /// The value that the best weights are chosen by.
    pub(super) fn value(&self) -> Measured {
        match self {
            Self::Tasks(scores) => Measured::Skill(mean_skill(scores)),
            Self::Samples { loss: Some(loss), .. } => Measured::Loss(*loss),
            Self::Samples { kid, loss: None, .. } => Measured::Kid(kid.value),
        }
    }

    /// Takes its warnings.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        match self {
            Self::Tasks(_) => Vec::new(),
            Self::Samples { warnings, .. } => std::mem::take(warnings),
        }
    }

    /// Whether samples have collapsed to few images.
    pub(super) fn collapsed(&self) -> bool {
        matches!(self, Self::Samples { signs, .. } if collapse::collapsed(signs))
    }

    /// Its event.
    pub(super) fn event(self, stage: &str, step: u64, best: bool) -> Event {
        match self {
            Self::Tasks(scores) => Event::Validated { step, skill: mean_skill(&scores), best, scores },
            Self::Samples { kid, loss, signs, .. } => {
                Event::SamplesValidated { stage: stage.to_owned(), step, kid, loss, signs, best }
            }
        }
    }
}

/// Messages of a stage for the user.
#[derive(Debug, Default)]
pub struct Messages {
    /// Information.
    pub notes: Vec<String>,
    /// Problems that do not stop the run.
    pub warnings: Vec<String>,
}

/// One stage of a run. The training loop owns data loading, the weight average, checkpoints, validation and pictures; the stage
/// owns its optimizers and what one step does.
pub trait Stage {
    /// Its name, as in `stages.run`.
    fn name(&self) -> &str;

    /// Settings for the training loop.
    fn settings(&self, run: &RunContext) -> LoopSettings;

    /// Prepares the stage before its first step; `fresh`: not resumed from a checkpoint.
    ///
    /// # Errors
    /// Settings that do not fit the model.
    fn begin(&mut self, run: &RunContext, fresh: bool) -> Result<Messages>;

    /// The parameters that the weight average is taken over.
    fn averaged(&self, run: &RunContext) -> BTreeMap<String, Var>;

    /// Called before each step with the averages of the weights so far: where one part of the stage ends, its weights become
    /// their averages. Default: nothing.
    ///
    /// # Errors
    /// Images that cannot be read, values that are not finite.
    fn before_step(&mut self, _run: &RunContext, _at: StepAt, _averages: &Ema) -> Result<()> {
        Ok(())
    }

    /// Forward and backward pass, optimizer step.
    ///
    /// # Errors
    /// A loss or gradient that is not finite.
    fn step(&mut self, run: &RunContext, batch: &DeviceBatch, at: StepAt) -> Result<StepReport>;

    /// Scores on the validation images, called with the averaged weights in place. The best weights are chosen by it. `None`: the
    /// part of the model that is scored is not trained yet.
    ///
    /// # Errors
    /// Images that cannot be read, predictions that are not finite.
    fn validate(&mut self, run: &RunContext, validation: &Loader) -> Result<Option<Validation>>;

    /// Draws a picture of progress, called with the averaged weights in place; `last` after the end of the stage. Returns whether
    /// there was something to draw.
    ///
    /// # Errors
    /// A file that cannot be written.
    fn draw(&mut self, _run: &RunContext, _path: &Path, _last: bool) -> Result<bool> {
        Ok(false)
    }

    /// Ends the stage: sets the model to its final weights. Returns warnings for the user.
    ///
    /// # Errors
    /// A checkpoint that cannot be read.
    fn finish(&mut self, run: &RunContext, averages: &Ema) -> Result<Vec<String>>;

    /// State of optimizers and balancer, by `optimizer/parameter/moment`, for a checkpoint.
    ///
    /// # Errors
    /// Out of memory.
    fn state(&self) -> Result<BTreeMap<String, Tensor>>;

    /// Restores what [`Stage::state`] gave.
    ///
    /// # Errors
    /// The state of another stage.
    fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()>;
}

/// Part of a saved state below `name/`.
pub(super) fn below(state: &BTreeMap<String, Tensor>, name: &str) -> BTreeMap<String, Tensor> {
    let prefix = format!("{name}/");
    let own = state.iter().filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())));
    own.collect()
}

/// State of an optimizer, each key below `name/`.
pub(super) fn named_state(name: &str, optimizer: &Optimizer) -> Result<BTreeMap<String, Tensor>> {
    Ok(optimizer.state()?.into_iter().map(|(key, value)| (format!("{name}/{key}"), value)).collect())
}

/// Learning rate and clipping of one optimizer step.
#[derive(Clone, Copy, Debug)]
pub(super) struct OptimizerStep {
    /// The learning rate.
    pub lr: f64,
    /// Largest norm of the gradient of all parameters together; 0 disables clipping.
    pub clip_grad_norm: f64,
}

/// One step of the optimizer `name` on the gradients of `params`, averaged over all processes.
///
/// # Errors
/// [`mtl_model::Error::NonFinite`] naming the first gradient that is not finite; nothing has been changed then.
pub(super) fn optimize(
    name: &str,
    optimizer: &mut Optimizer,
    mut grads: Grads,
    params: &BTreeMap<String, Var>,
    step: OptimizerStep,
    collective: &dyn Collective,
) -> Result<Update> {
    average(&mut grads, params, collective)?;
    let OptimizerStep { lr, clip_grad_norm } = step;
    let grad_norm = global_norm(&grads)?;
    if !grad_norm.is_finite() {
        let name = first_non_finite(&grads).unwrap_or("the sum of all squares");
        return Err(Error::Model(mtl_model::Error::NonFinite { what: format!("the gradient of `{name}`") }));
    }
    let scale = if clip_grad_norm > 0.0 && grad_norm > clip_grad_norm { clip_grad_norm / grad_norm } else { 1.0 };
    optimizer.step(&grads, lr, scale)?;
    Ok(Update { optimizer: name.to_owned(), lr, grad_norm })
}

/// Averages gradients over all processes. A parameter without a gradient in this process (no label of its task in this part of the
/// batch) counts as zero, so that all processes exchange the same tensors. Costs nothing in a run of one process.
fn average(grads: &mut Grads, params: &BTreeMap<String, Var>, collective: &dyn Collective) -> Result<()> {
    if collective.size() == 1 {
        return Ok(());
    }
    let own = |(name, var): (&String, &Var)| match grads.get(name) {
        Some(grad) => Ok(grad.clone()),
        None => var.as_tensor().zeros_like(),
    };
    let mut tensors = params.iter().map(own).collect::<mtl_tensor::Result<Vec<_>>>()?;
    collective.all_reduce_mean(&mut tensors)?;
    grads.extend(params.keys().cloned().zip(tensors));
    Ok(())
}

#[cfg(test)]
mod tests {
    use mtl_tensor::collective::SingleProcess;
    use mtl_tensor::{Device, to_f64};

    use super::*;

    /// Two processes, of which the other one has a gradient of 4 for every number.
    #[derive(Debug)]
    struct WithFour;

    impl Collective for WithFour {
        fn rank(&self) -> usize {
            0
        }
        fn size(&self) -> usize {
            2
        }
        fn all_reduce_mean(&self, tensors: &mut [Tensor]) -> mtl_tensor::Result<()> {
            tensors.iter_mut().try_for_each(|tensor| {
                *tensor = ((&*tensor + 4.0)? * 0.5)?;
                Ok(())
            })
        }
        fn broadcast(&self, _: &mut [Tensor], _: usize) -> mtl_tensor::Result<()> {
            Ok(())
        }
        fn barrier(&self) -> mtl_tensor::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn gradients_are_averaged_over_processes_and_a_missing_one_counts_as_zero() {
        let var = || Var::new(&[0.0f32, 0.0], &Device::Cpu).unwrap();
        let params = BTreeMap::from([("a".to_owned(), var()), ("b".to_owned(), var())]);
        let grads: Grads = [("a".to_owned(), Tensor::new(&[2.0f32, 6.0], &Device::Cpu).unwrap())].into();
        let mut alone = grads.clone();
        average(&mut alone, &params, &SingleProcess).unwrap();
        assert_eq!(alone.keys().collect::<Vec<_>>(), ["a"]);
        let mut both = grads;
        average(&mut both, &params, &WithFour).unwrap();
        let values = |name: &str| to_f64(&both[name]).unwrap();
        assert_eq!((values("a"), values("b")), (vec![3.0, 5.0], vec![2.0, 2.0]));
    }
}
