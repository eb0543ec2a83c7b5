//! Gradients of one joint step, by the route its balancer needs.
//!
//! Losses only: one backward pass of the weighted sum. Methods that look at gradients: the graph is cut at the features;
//! each task's head goes back to the features on its own (cheap), then either the trunk goes back once with the weighted
//! sum of feature gradients, or once a task, to have the tasks' gradients with respect to the trunk's parameters.
//! With the same weights all routes give the same gradients of the trunk; the heads' are weighted only where the weights
//! are weights of losses.

use std::collections::BTreeMap;

use mtl_balance::{Balancer, Combination, Gram, Needs, Signals};
use mtl_rng::Stream;
use mtl_task::Target;
use mtl_tensor::optim::{Grads, collect, dot};
use mtl_tensor::{Ctx, Tensor, Var, backward, backward_from, backward_once, from_host, to_f64};
use mtl_trunk::Features;

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
    /// Inner products of the tasks' gradients, where the route found them.
    pub gram: Option<Gram>,
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
    let features = model.trunk.forward(input.images, cx)?;
    let needs = balancer.needs();
    let cut = if needs == Needs::Losses { None } else { Some(cut(&features)?) };
    let seen = cut.as_ref().map_or_else(
        || features.clone(),
        |vars| Features { taps: vars.iter().map(|var| var.as_tensor().clone()).collect() },
    );
    let losses = task_losses(model, &seen, input, cx)?;
    let present: Vec<usize> = losses.iter().map(|(at, _)| *at).collect();
    let values = finite_values(&losses, tasks, input.step)?;
    let named = |values: &[f64]| present.iter().zip(values).map(|(&at, &value)| (tasks[at].clone(), value)).collect();
    let signals = Signals::new(tasks, &present, &values).at(input.step, input.epoch);
    let Some(vars) = cut else {
        let weights = balancer.weights(&signals, stream)?;
        let mut total: Option<Tensor> = None;
        for ((_, loss), &weight) in losses.iter().zip(&weights) {
            let term = (loss * weight)?;
            total = Some(match total {
                Some(total) => (total + term)?,
                None => term,
            });
        }
        // What they hold would be held through the backward pass.
        drop((losses, features, seen));
        let grads = match total {
            Some(total) => collect(&backward_once(total)?, &model.params.trained()),
            None => Grads::new(),
        };
        return Ok(StepOutput { grads, losses: named(&values), weights, gram: None });
    };
    // Heads back to the cut, one task at a time.
    let own = model.trained(&["heads", "vae", "autoencoder"]);
    let mut grads = Grads::new();
    let mut at_features: Vec<Vec<Tensor>> = Vec::new();
    for (_, loss) in &losses {
        let store = backward(loss)?;
        grads.extend(collect(&store, &own));
        let taps = vars.iter().map(|var| match store.get(var) {
            Some(grad) => Ok(grad.clone()),
            None => var.as_tensor().zeros_like(),
        });
        at_features.push(taps.collect::<mtl_tensor::Result<_>>()?);
    }
    let trunk = model.trained(&["trunk"]);
    let (weights, trunk_grads, gram) = if needs == Needs::FeatureGram {
        let gram = Gram::try_from_fn(losses.len(), |i, j| inner(at_features[i].iter().zip(&at_features[j])))?;
        let weights = balancer.weights(&signals.with_gram(&gram), stream)?;
        let mut mixed = Vec::with_capacity(vars.len());
        for tap in 0..vars.len() {
            mixed.push(weighted(at_features.iter().map(|taps| &taps[tap]), &weights)?);
        }
        let grads = if mixed.is_empty() { Grads::new() } else { through_trunk(&features, &mixed, &trunk)? };
        (weights, grads, gram)
    } else {
        let rows = at_features.iter().map(|taps| through_trunk(&features, taps, &trunk)).collect::<Result<Vec<_>>>()?;
        let gram = Gram::try_from_fn(rows.len(), |i, j| {
            let shared = rows[i].iter().filter_map(|(name, a)| Some((a, rows[j].get(name)?)));
            inner(shared)
        })?;
        let signals = signals.with_gram(&gram);
        let Combination { weights, vector } = if needs == Needs::Gradients {
            let flat = rows.iter().map(|row| flatten(row, &trunk)).collect::<Result<Vec<_>>>()?;
            balancer.combine(&signals.with_gradients(&flat), stream)?
        } else {
            balancer.combine(&signals, stream)?
        };
        let mut grads = Grads::new();
        let mut from = 0;
        for (name, var) in &trunk {
            let having: Vec<(&Tensor, f64)> =
                rows.iter().zip(&weights).filter_map(|(row, &weight)| Some((row.get(name)?, weight))).collect();
            let place = from..from + var.elem_count();
            from = place.end;
            let Some((first, _)) = having.first() else { continue };
            let grad = match vector.as_ref().map(|vector| vector.get(place)) {
                Some(Some(part)) => from_host(part.iter().map(|v| f64::from(*v)).collect(), var.shape(), first)?,
                Some(None) => return Err(mtl_tensor::Error::Msg("the balancer's update is too short".into()).into()),
                None => {
                    let (tensors, weights): (Vec<&Tensor>, Vec<f64>) = having.into_iter().unzip();
                    weighted(tensors.into_iter(), &weights)?
                }
            };
            grads.insert(name.clone(), grad);
        }
        (weights, grads, gram)
    };
    grads.extend(trunk_grads);
    Ok(StepOutput { grads, losses: named(&values), weights, gram: Some(gram) })
}

/// Leaves with the features' values: where a head's backward pass stops.
fn cut(features: &Features) -> Result<Vec<Var>> {
    Ok(features.taps.iter().map(|tap| Var::from_tensor(&tap.detach())).collect::<mtl_tensor::Result<_>>()?)
}

/// The trunk's gradient for given gradients of its features.
fn through_trunk(features: &Features, grads: &[Tensor], trunk: &BTreeMap<String, Var>) -> Result<Grads> {
    Ok(collect(&backward_from(&features.taps, grads)?, trunk))
}

fn inner<'a>(pairs: impl Iterator<Item = (&'a Tensor, &'a Tensor)>) -> Result<f64> {
    let mut total = 0.0;
    for (a, b) in pairs {
        total += dot(a, b)?;
    }
    Ok(total)
}

fn weighted<'a>(tensors: impl Iterator<Item = &'a Tensor>, weights: &[f64]) -> Result<Tensor> {
    let mut total: Option<Tensor> = None;
    for (tensor, &weight) in tensors.zip(weights) {
        let term = (tensor * weight)?;
        total = Some(match total {
            Some(total) => (total + term)?,
            None => term,
        });
    }
    total.ok_or_else(|| mtl_tensor::Error::Msg("a weighted sum of nothing".into()).into())
}

fn flatten(row: &Grads, trunk: &BTreeMap<String, Var>) -> Result<Vec<f32>> {
    let mut flat = Vec::new();
    for (name, var) in trunk {
        match row.get(name) {
            Some(grad) => flat.extend(to_f64(grad)?.into_iter().map(|v| v as f32)),
            None => flat.extend(std::iter::repeat_n(0.0, var.elem_count())),
        }
    }
    Ok(flat)
}

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
