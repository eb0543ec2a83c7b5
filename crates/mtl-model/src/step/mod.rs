//! Losses, weights and gradients of one joint step, computed as the balancer requires.
//!
//! | balancer needs | computation | cost besides the weighted sum |
//! |---|---|---|
//! | losses | one backward pass of the weighted sum | - |
//! | gradients of the representation | heads back to the features one by one, then the encoder once with the weighted sum | heads one by one |
//! | gradients of the shared parameters | heads one by one, then the encoder once per task | one encoder backward pass per task |
//! | the same on two halves of the batch | as above, once per half | one forward, one backward pass per task and half |
//!
//! With equal weights every route gives the same gradients of the shared parameters. Heads' gradients are weighted only by
//! balancers whose weights are loss weights.
//!
//! Memory: the features' gradients and one gradient of the shared parameters per task, freed parameter by parameter while
//! they are mixed; on the host, one by one, for balancers that read whole gradients; two per task for halves.

pub mod conflict;
mod feedback;
mod routes;
pub mod task_loss;

use mtl_balance::{Balancer, Gram, Needs};
use mtl_rng::Stream;
use mtl_tensor::optim::Grads;
use mtl_tensor::{Ctx, Tensor, to_f64};
use mtl_trunk::TaskFeatures;

pub use feedback::{Lookahead, lookahead, losses_after};

use crate::batch::DeviceBatch;
use crate::error::{Error, Result};
use crate::model::Model;

/// Input of one joint step.
#[derive(Clone, Copy, Debug)]
pub struct StepInput<'a> {
    /// The batch.
    pub batch: &'a DeviceBatch,
    /// Step of the stage, for random streams and balancers.
    pub step: u64,
    /// Epoch, for balancers.
    pub epoch: u64,
    /// Whether to compare the tasks' gradients of the shared parameters in this step although the balancer does not need them;
    /// costs one backward pass of the encoder per task but one.
    pub compare: bool,
}

/// Result of one joint step.
#[derive(Debug)]
pub struct StepOutput {
    /// Gradients by parameter.
    pub grads: Grads,
    /// Loss of each objective that took part, before weighting, by name.
    pub losses: Vec<(String, f64)>,
    /// The balancer's weights, in the same order.
    pub weights: Vec<f64>,
    /// Inner products of the tasks' gradients that the weights were computed from, if the balancer needs them.
    pub gram: Option<Gram>,
    /// The same for the parameters of each stage of the encoder, by its name; empty if they were not compared.
    pub stages: Vec<(String, Gram)>,
}

/// The losses of the objectives that take part in this batch: index in [`Model::objectives`] and scalar.
fn objective_losses(
    model: &Model,
    features: &TaskFeatures,
    batch: &DeviceBatch,
    cx: &Ctx,
) -> Result<Vec<(usize, Tensor)>> {
    let mut losses = Vec::new();
    for (at, objective) in model.objectives.iter().enumerate() {
        if let Some(loss) = objective.loss(features.of(at), batch, cx)? {
            losses.push((at, loss));
        }
    }
    Ok(losses)
}

/// Computes losses, weights and gradients of one step.
///
/// # Errors
/// [`Error::NonFinite`] naming the task whose loss is not finite; signals that the balancer refuses; a balancer on gradients
/// of the representation where the tasks share none.
pub fn step(
    model: &Model,
    balancer: &mut dyn Balancer,
    input: &StepInput<'_>,
    cx: &Ctx,
    stream: &mut Stream,
) -> Result<StepOutput> {
    let tasks = model.objective_names();
    let route = routes::Route { model, tasks: &tasks, input, cx };
    match balancer.needs_at(input.step) {
        Needs::Losses if !input.compare => route.by_losses(balancer, stream),
        Needs::HalvesGram => route.by_halves(balancer, stream),
        needs => route.by_gradients(needs, balancer, stream),
    }
}

/// The losses' values.
///
/// # Errors
/// [`Error::NonFinite`] naming the first task whose loss is not finite.
fn finite_values(losses: &[(usize, Tensor)], model: &Model) -> Result<Vec<f64>> {
    losses
        .iter()
        .map(|(at, loss)| finite_value(loss, || format!("the loss of task `{}`", model.objectives[*at].name())))
        .collect()
}

/// The value of a scalar loss.
///
/// # Errors
/// [`Error::NonFinite`].
pub(crate) fn finite_value(loss: &Tensor, what: impl FnOnce() -> String) -> Result<f64> {
    let value = to_f64(loss)?.first().copied().unwrap_or(f64::NAN);
    if value.is_finite() { Ok(value) } else { Err(Error::NonFinite { what: what() }) }
}
