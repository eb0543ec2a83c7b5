//! Gradients of one joint step, by the route its balancer needs.
//!
//! Losses only: one backward pass of the weighted sum. Methods that look at gradients: the graph is cut at the features;
//! each task's head goes back to the features on its own (cheap), then either the trunk goes back once with the weighted
//! sum of feature gradients, or once a task, to have the tasks' gradients with respect to the trunk's parameters; once a
//! task and half of the batch where gradients on independent images are asked for. With the same weights all routes give the
//! same gradients of the trunk; the heads' are weighted only where the weights are weights of losses.
//!
//! Memory: the features' gradients and one gradient of the trunk a task, which are given back parameter by parameter as they are mixed
//! ([`Needs::TrunkGram`]); as many on the
//! host, one by one in place of those, for methods that see them ([`Needs::Gradients`]); two a task for [`Needs::HalvesGram`].

mod after;
mod routes;

use mtl_balance::{Balancer, Gram, Needs};
use mtl_rng::Stream;
use mtl_task::Target;
use mtl_tensor::optim::Grads;
use mtl_tensor::{Ctx, Tensor, to_f64};
use mtl_trunk::Features;

pub use after::{lookahead, losses_after};

use crate::error::{Error, Result};
use crate::model::{ImageTask, Model, RECONSTRUCTION};

/// What one step works on.
pub struct StepInput<'a> {
    /// `[B, C, H, W]` in `[-1, 1]`.
    pub images: &'a Tensor,
    /// In schema order.
    pub targets: &'a [Target],
    /// Class of the conditioning task, -1 where missing; all -1 without one.
    pub classes: &'a [i32],
    /// Multiplies the image task's loss.
    pub reconstruction_weight: f64,
    /// Images that are reconstructed, at most.
    pub reconstruction_images: usize,
    /// Stage step, for streams and messages.
    pub step: u64,
    /// Epoch, for balancers.
    pub epoch: u64,
    /// Whether the tasks' gradients of the trunk are to be compared in this step although its route does not need them: costs a
    /// backward pass of the trunk for each task but one.
    pub compare: bool,
}

/// What one step found.
#[derive(Debug)]
pub struct StepOutput {
    /// Gradients by parameter.
    pub grads: Grads,
    /// Loss of each present task before weighting, by name.
    pub losses: Vec<(String, f64)>,
    /// The weights used, in the same order.
    pub weights: Vec<f64>,
    /// Inner products of the tasks' gradients that the weights were made from, where the route has them.
    pub gram: Option<Gram>,
    /// The same of the parameters of each stage of the trunk, by its name; empty where they were not compared.
    pub stages: Vec<(String, Gram)>,
}

/// Names of all tasks the balancer weighs: the labelled ones, then the image task.
pub fn balanced_tasks(model: &Model) -> Vec<String> {
    let mut names: Vec<String> = model.heads.iter().map(|(task, _)| task.name.clone()).collect();
    if model.image_task.is_some() {
        names.push(RECONSTRUCTION.to_owned());
    }
    names
}

/// The losses of the heads whose tasks have labels in this batch: index and scalar.
pub(crate) fn head_losses(
    model: &Model,
    features: &Features,
    targets: &[Target],
    cx: &Ctx,
) -> Result<Vec<(usize, Tensor)>> {
    let mut losses = Vec::new();
    for (at, ((_, head), target)) in model.heads.iter().zip(targets).enumerate() {
        if target.present() == 0 {
            continue;
        }
        if let Some(loss) = head.loss(&head.forward(features, cx)?, target)? {
            losses.push((at, loss));
        }
    }
    Ok(losses)
}

/// The losses of the tasks that take part in this step: index in [`balanced_tasks`] and scalar.
fn task_losses(model: &Model, features: &Features, input: &StepInput<'_>, cx: &Ctx) -> Result<Vec<(usize, Tensor)>> {
    let mut losses = head_losses(model, features, input.targets, cx)?;
    let count = input.images.dim(0)?.min(input.reconstruction_images.max(1));
    let first = |x: &Tensor| x.narrow(0, 0, count)?.contiguous();
    let image_loss = match (&model.image_task, &model.vae) {
        (None, _) | (Some(ImageTask::Vae), None) => None,
        (Some(task), vae) => {
            let few = Features { taps: features.taps.iter().map(first).collect::<mtl_tensor::Result<_>>()? };
            let images = first(input.images)?;
            match (task, vae) {
                (ImageTask::Vae, Some(vae)) => Some(vae.loss(&few, &images, &input.classes[..count], cx)?.total),
                (ImageTask::Autoencoder(head), _) => Some(head.loss(&head.forward(&few)?, &images)?),
                (ImageTask::Vae, None) => None,
            }
        }
    };
    if let Some(loss) = image_loss {
        losses.push((model.heads.len(), (loss * input.reconstruction_weight)?));
    }
    Ok(losses)
}

/// Losses, weights and gradients of one step.
///
/// # Errors
/// [`Error::Diverged`] naming the task whose loss is not finite; a balancer that refuses its signals.
pub fn step(
    model: &Model,
    balancer: &mut dyn Balancer,
    tasks: &[String],
    input: &StepInput<'_>,
    cx: &Ctx,
    stream: &mut Stream,
) -> Result<StepOutput> {
    let route = routes::Route { model, tasks, input, cx };
    match balancer.needs_at(input.step) {
        Needs::Losses if !input.compare => route.by_losses(balancer, stream),
        Needs::HalvesGram => route.by_halves(balancer, stream),
        needs => route.by_gradients(needs, balancer, stream),
    }
}

/// The losses' values.
///
/// # Errors
/// [`Error::Diverged`] naming the first task whose loss is not finite.
fn finite_values(losses: &[(usize, Tensor)], tasks: &[String], step: u64) -> Result<Vec<f64>> {
    losses
        .iter()
        .map(|(at, loss)| {
            let value = to_f64(loss)?.first().copied().unwrap_or(f64::NAN);
            if value.is_finite() {
                Ok(value)
            } else {
                Err(diverged(format!("the loss of task `{}`", tasks[*at]), "joint", step))
            }
        })
        .collect()
}

/// The error for something that is not finite.
pub(crate) fn diverged(what: String, stage: &'static str, step: u64) -> Error {
    let advice =
        "; try a lower learning rate (joint.schedule.peak, or vae.rate and gan.rate) or stronger clipping".to_owned();
    Error::Diverged { what, stage, step, advice }
}
