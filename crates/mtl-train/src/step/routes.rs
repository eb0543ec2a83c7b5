//! The ways from losses to gradients.

use std::collections::BTreeMap;
use std::ops::Range;

use mtl_balance::{Balancer, Combination, Gram, Needs, Signals};
use mtl_rng::Stream;
use mtl_tensor::optim::{Grads, collect, dot};
use mtl_tensor::{Ctx, Tensor, Var, backward_from, backward_from_once, backward_once, from_host, to_f64};
use mtl_trunk::Features;

use super::{StepInput, StepOutput, finite_values, task_losses};
use crate::conflict::whole;
use crate::error::Result;
use crate::model::Model;

/// One step's material.
pub(super) struct Route<'a> {
    pub model: &'a Model,
    pub tasks: &'a [String],
    pub input: &'a StepInput<'a>,
    pub cx: &'a Ctx,
}

/// A forward pass whose heads went back to the cut.
struct AtFeatures {
    features: Features,
    /// Numbers of the tasks that took part.
    present: Vec<usize>,
    losses: Vec<f64>,
    /// Of each of them: its head's gradients, and those of the features.
    heads: Vec<Grads>,
    taps: Vec<Vec<Tensor>>,
}

/// The gradients on half of a batch.
struct Half {
    present: Vec<usize>,
    losses: Vec<f64>,
    /// Of each task present: its head's, and the trunk's.
    heads: Vec<Grads>,
    rows: Vec<Grads>,
}

impl Route<'_> {
    /// One backward pass of the weighted sum.
    pub(super) fn by_losses(&self, balancer: &mut dyn Balancer, stream: &mut Stream) -> Result<StepOutput> {
        let features = self.model.trunk.forward(self.input.images, self.cx)?;
        let losses = task_losses(self.model, &features, self.input, self.cx)?;
        let values = finite_values(&losses, self.tasks, self.input.step)?;
        let present: Vec<usize> = losses.iter().map(|(at, _)| *at).collect();
        let weights = balancer.weights(&self.signals(&present, &values), stream)?;
        let total = sum(losses.iter().map(|(_, loss)| loss), &weights)?;
        // What they hold would be held through the backward pass.
        drop((losses, features));
        let grads = match total {
            Some(total) => collect(&backward_once(total)?, &self.model.params.trained()),
            None => Grads::new(),
        };
        Ok(StepOutput { grads, losses: self.named(&present, &values), weights, gram: None, stages: Vec::new() })
    }

    /// Each head back to the features on its own, then the trunk once, or once a task.
    pub(super) fn by_gradients(
        &self,
        needs: Needs,
        balancer: &mut dyn Balancer,
        stream: &mut Stream,
    ) -> Result<StepOutput> {
        let AtFeatures { features, present, losses, heads, taps } = self.at_features(self.input, self.cx)?;
        let trunk = self.model.trained(&["trunk"]);
        let at_features = needs == Needs::FeatureGram;
        let rows =
            if at_features && !self.input.compare { Vec::new() } else { through_trunk(&features, &taps, &trunk)? };
        let stages = by_stage(&rows, &rows, &trunk)?;
        let gram = if at_features {
            Gram::try_from_fn(taps.len(), |i, j| inner(taps[i].iter().zip(&taps[j])))?
        } else {
            whole(rows.len(), &stages)
        };
        let mut signals = self.signals(&present, &losses);
        if needs.gram() {
            signals = signals.with_gram(&gram);
        }
        let (weights, trunk_grads) = if needs == Needs::Gradients {
            // Each gradient of the trunk is freed once it was copied to the host.
            let rows = rows.into_iter().map(|row| flatten(&row, &trunk)).collect::<Result<Vec<_>>>()?;
            let found = balancer.combine(&signals.with_gradients(&rows), stream)?;
            let grads = unflatten(&found, &rows, &trunk)?;
            (found.weights, grads)
        } else {
            let weights = balancer.combine(&signals, stream)?.weights;
            let grads = if rows.is_empty() {
                let mixed = (0..features.taps.len()).map(|tap| sum(taps.iter().map(|taps| &taps[tap]), &weights));
                match mixed.collect::<Result<Option<Vec<_>>>>()? {
                    Some(mixed) => through_trunk(&features, &[mixed], &trunk)?.remove(0),
                    None => Grads::new(),
                }
            } else {
                mixed(rows, &weights, &trunk)?
            };
            (weights, grads)
        };
        let mut grads = trunk_grads;
        for (head, weight) in heads.into_iter().zip(&weights) {
            for (name, grad) in head {
                let grad = if needs.weights_heads() { (grad * *weight)? } else { grad };
                grads.insert(name, grad);
            }
        }
        let gram = needs.gram().then_some(gram);
        Ok(StepOutput { grads, losses: self.named(&present, &losses), weights, gram, stages })
    }

    /// The same for the two halves of the batch, each with a graph of its own: what is compared are gradients on independent
    /// images, what moves the weights is the mean of both. A task that has labels in one half only teaches its head and not the trunk.
    pub(super) fn by_halves(&self, balancer: &mut dyn Balancer, stream: &mut Stream) -> Result<StepOutput> {
        let trunk = self.model.trained(&["trunk"]);
        let batch = self.input.images.dim(0)?;
        let (a, b) = (self.half(0..batch / 2, 0, &trunk)?, self.half(batch / 2..batch, 1, &trunk)?);
        // The tasks of both, and their places in each.
        let place = |half: &Half, task: usize| half.present.iter().position(|&other| other == task);
        let both = |task: usize| Some((task, place(&a, task)?, place(&b, task)?));
        let places: Vec<(usize, usize, usize)> = (0..self.tasks.len()).filter_map(both).collect();
        let present: Vec<usize> = places.iter().map(|&(task, ..)| task).collect();
        let losses: Vec<f64> = places.iter().map(|&(_, i, j)| 0.5 * (a.losses[i] + b.losses[j])).collect();
        let mut grads = Grads::new();
        for (half, other) in [(&a, &b), (&b, &a)] {
            let alone = half.present.iter().zip(&half.heads).filter(|(task, _)| !other.present.contains(task));
            grads.extend(alone.flat_map(|(_, head)| head.clone()));
        }
        for &(_, i, j) in &places {
            grads.extend(mean(&a.heads[i], &b.heads[j])?);
        }
        let those = |half: Half| half.rows.into_iter().zip(half.present).filter(|(_, task)| present.contains(task));
        let [a, b] = [a, b].map(|half| those(half).map(|(row, _)| row).collect::<Vec<_>>());
        let between = by_stage(&a, &b, &trunk)?;
        let halves = whole(present.len(), &between);
        // Of the means of both, `(a_i + b_i) / 2`.
        let parts = between.into_iter().zip(by_stage(&a, &a, &trunk)?).zip(by_stage(&b, &b, &trunk)?);
        let quarter = |ab: &Gram, a: &Gram, b: &Gram| {
            // A square that is zero but for rounding is zero.
            let least = |i: usize, j: usize| if i == j { 0.0 } else { f64::NEG_INFINITY };
            Gram::from_fn(ab.size(), |i, j| (0.25 * (a.at(i, j) + b.at(i, j)) + 0.5 * ab.at(i, j)).max(least(i, j)))
        };
        let stages: Vec<_> = parts.map(|(((stage, ab), (_, a)), (_, b))| (stage, quarter(&ab, &a, &b))).collect();
        let gram = whole(present.len(), &stages);
        let signals = self.signals(&present, &losses).with_gram(&gram).with_halves(&halves);
        let weights = balancer.combine(&signals, stream)?.weights;
        let each: Vec<f64> = weights.iter().map(|weight| 0.5 * weight).collect();
        grads.extend(mixed(a.into_iter().chain(b).collect(), &[&each[..], &each[..]].concat(), &trunk)?);
        Ok(StepOutput { grads, losses: self.named(&present, &losses), weights, gram: Some(gram), stages })
    }

    /// The gradients on the images `range`, with random numbers of its own.
    fn half(&self, range: Range<usize>, number: u64, trunk: &BTreeMap<String, Var>) -> Result<Half> {
        let batch = self.input.images.dim(0)?;
        let images = self.input.images.narrow(0, range.start, range.len())?.contiguous()?;
        let targets: Vec<_> = self.input.targets.iter().map(|target| target.slice(range.clone(), batch)).collect();
        let input = StepInput {
            images: &images,
            targets: &targets,
            classes: &self.input.classes[range],
            reconstruction_images: self.input.reconstruction_images.div_ceil(2),
            ..*self.input
        };
        let cx = Ctx { seed: self.cx.seed.child("half", number), ..*self.cx };
        let AtFeatures { features, present, losses, heads, taps } = self.at_features(&input, &cx)?;
        let rows = through_trunk(&features, &taps, trunk)?;
        Ok(Half { present, losses, heads, rows })
    }

    fn signals<'a>(&'a self, present: &'a [usize], losses: &'a [f64]) -> Signals<'a> {
        Signals::new(self.tasks, present, losses).at(self.input.step, self.input.epoch)
    }

    fn named(&self, present: &[usize], values: &[f64]) -> Vec<(String, f64)> {
        present.iter().zip(values).map(|(&at, &value)| (self.tasks[at].clone(), value)).collect()
    }

    /// Forward, and each task's head back to the cut.
    fn at_features(&self, input: &StepInput<'_>, cx: &Ctx) -> Result<AtFeatures> {
        let features = self.model.trunk.forward(input.images, cx)?;
        // Leaves with the features' values: where a head's backward pass stops.
        let leaf = |tap: &Tensor| Var::from_tensor(&tap.detach());
        let vars = features.taps.iter().map(leaf).collect::<mtl_tensor::Result<Vec<_>>>()?;
        let seen = Features { taps: vars.iter().map(|var| var.as_tensor().clone()).collect() };
        let losses = task_losses(self.model, &seen, input, cx)?;
        let values = finite_values(&losses, self.tasks, input.step)?;
        let own = self.model.trained(&["heads", "vae", "autoencoder"]);
        let (mut present, mut heads, mut at_taps) = (Vec::new(), Vec::new(), Vec::new());
        for (at, loss) in losses {
            let store = backward_once(loss)?;
            present.push(at);
            heads.push(collect(&store, &own));
            let taps = vars.iter().map(|var| match store.get(var) {
                Some(grad) => Ok(grad.clone()),
                None => var.as_tensor().zeros_like(),
            });
            at_taps.push(taps.collect::<mtl_tensor::Result<_>>()?);
        }
        Ok(AtFeatures { features, present, losses: values, heads, taps: at_taps })
    }
}

/// The trunk's gradients for some gradients of its features; the last pass gives back what the graph kept.
fn through_trunk(features: &Features, grads: &[Vec<Tensor>], trunk: &BTreeMap<String, Var>) -> Result<Vec<Grads>> {
    let passes = grads.len();
    let pass = |(at, grads): (usize, &Vec<Tensor>)| {
        let found = if at + 1 == passes {
            backward_from_once(&features.taps, grads)
        } else {
            backward_from(&features.taps, grads)
        };
        Ok(collect(&found?, trunk))
    };
    grads.iter().enumerate().map(pass).collect()
}

/// The part of the trunk a parameter belongs to: `trunk.STAGE.…`.
fn stage_of(name: &str) -> &str {
    name.split('.').nth(1).unwrap_or(name)
}

/// The products of gradients (of `a` with those of `b`, both ways) over the parameters of each stage, by name.
fn by_stage(a: &[Grads], b: &[Grads], trunk: &BTreeMap<String, Var>) -> Result<Vec<(String, Gram)>> {
    let mut stages: Vec<(String, Vec<&String>)> = Vec::new();
    for name in trunk.keys().filter(|_| !a.is_empty()) {
        match stages.iter_mut().find(|(stage, _)| stage == stage_of(name)) {
            Some((_, names)) => names.push(name),
            None => stages.push((stage_of(name).to_owned(), vec![name])),
        }
    }
    let product = |a: &Grads, b: &Grads, names: &[&String]| {
        inner(names.iter().filter_map(|name| Some((a.get(*name)?, b.get(*name)?))))
    };
    let gram = |names: &[&String]| {
        Gram::try_from_fn(a.len(), |i, j| {
            let there = product(&a[i], &b[j], names)?;
            let back = if std::ptr::eq(a, b) || i == j { there } else { product(&a[j], &b[i], names)? };
            Ok::<_, crate::error::Error>(0.5 * (there + back))
        })
    };
    stages.into_iter().map(|(stage, names)| Ok((stage, gram(&names)?))).collect()
}

fn inner<'a>(pairs: impl Iterator<Item = (&'a Tensor, &'a Tensor)>) -> Result<f64> {
    let mut total = 0.0;
    for (a, b) in pairs {
        total += dot(a, b)?;
    }
    Ok(total)
}

/// `sum_i w_i t_i`; `None` of nothing.
pub(super) fn sum<'a>(tensors: impl Iterator<Item = &'a Tensor>, weights: &[f64]) -> Result<Option<Tensor>> {
    let mut total: Option<Tensor> = None;
    for (tensor, &weight) in tensors.zip(weights) {
        let term = (tensor * weight)?;
        total = Some(match total {
            Some(total) => (total + term)?,
            None => term,
        });
    }
    Ok(total)
}

/// The weighted sum of gradients, which are given back parameter by parameter; one that no task moves has none.
fn mixed(mut rows: Vec<Grads>, weights: &[f64], trunk: &BTreeMap<String, Var>) -> Result<Grads> {
    let mut grads = Grads::new();
    for name in trunk.keys() {
        let (tensors, weights): (Vec<Tensor>, Vec<f64>) =
            rows.iter_mut().zip(weights).filter_map(|(row, &weight)| Some((row.remove(name)?, weight))).unzip();
        if let Some(grad) = sum(tensors.iter(), &weights)? {
            grads.insert(name.clone(), grad);
        }
    }
    Ok(grads)
}

fn mean(a: &Grads, b: &Grads) -> Result<Grads> {
    let mut grads = a.clone();
    for (name, b) in b {
        let sum = match grads.get(name) {
            Some(a) => (a + b)?,
            None => b.clone(),
        };
        grads.insert(name.clone(), sum);
    }
    Ok(grads.into_iter().map(|(name, sum)| Ok((name, (sum * 0.5)?))).collect::<mtl_tensor::Result<_>>()?)
}

/// A gradient of the trunk as one row of numbers.
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

/// The update that was found for such rows, by parameter.
fn unflatten(found: &Combination, rows: &[Vec<f32>], trunk: &BTreeMap<String, Var>) -> Result<Grads> {
    let mut grads = Grads::new();
    let mut from = 0;
    for (name, var) in trunk {
        let place = from..from + var.elem_count();
        from = place.end;
        let along = |at: usize| rows.iter().zip(&found.weights).map(|(row, w)| f64::from(row[at]) * w).sum();
        let values: Vec<f64> = match &found.vector {
            None => place.map(along).collect(),
            Some(vector) => match vector.get(place) {
                Some(part) => part.iter().map(|v| f64::from(*v)).collect(),
                None => return Err(mtl_tensor::Error::Msg("the balancer's update is too short".into()).into()),
            },
        };
        if !rows.is_empty() {
            grads.insert(name.clone(), from_host(values, var.shape(), var.as_tensor())?);
        }
    }
    Ok(grads)
}
