//! The routes from losses to gradients.

use std::collections::BTreeMap;
use std::ops::Range;

use mtl_balance::{Aggregation, Balancer, Gram, Needs, Signals};
use mtl_rng::Stream;
use mtl_tensor::optim::{Grads, collect, dot};
use mtl_tensor::{Ctx, Tensor, Var, backward, from_host, to_f64, vjp, vjp_retain};
use mtl_trunk::{Features, TaskFeatures};

use super::conflict::whole;
use super::{StepInput, StepOutput, finite_values, objective_losses};
use crate::batch::DeviceBatch;
use crate::error::{Error, Result};
use crate::model::Model;

/// One joint step.
pub(super) struct Route<'a> {
    pub model: &'a Model,
    pub tasks: &'a [String],
    pub input: &'a StepInput<'a>,
    pub cx: &'a Ctx,
}

/// A forward pass, and each objective's backward pass down to the features.
struct AtFeatures {
    features: TaskFeatures,
    /// Indices of the objectives that took part.
    present: Vec<usize>,
    losses: Vec<f64>,
    /// Gradients of their own parameters.
    heads: Vec<Grads>,
    /// Gradients of the features they read.
    taps: Vec<Vec<Tensor>>,
}

impl AtFeatures {
    /// The encoder's gradients per objective, shared and private ones apart.
    fn through_encoder(&self, model: &Model) -> Result<(Vec<Grads>, Grads)> {
        let starts: Vec<(&Features, &[Tensor])> =
            self.present.iter().zip(&self.taps).map(|(&at, taps)| (self.features.of(at), &taps[..])).collect();
        let mut rows = through_encoder(&starts, &model.params.trainable())?;
        let shared = model.shared();
        let mut private = Grads::new();
        for row in &mut rows {
            let own: Vec<String> = row.keys().filter(|name| !shared.contains_key(*name)).cloned().collect();
            private.extend(own.into_iter().filter_map(|name| row.remove_entry(&name)));
        }
        Ok((rows, private))
    }
}

/// The gradients on half of a batch.
struct Half {
    present: Vec<usize>,
    losses: Vec<f64>,
    /// Of each objective: its own parameters, and the shared ones.
    heads: Vec<Grads>,
    rows: Vec<Grads>,
}

impl Route<'_> {
    /// One backward pass of the weighted sum.
    pub(super) fn by_losses(&self, balancer: &mut dyn Balancer, stream: &mut Stream) -> Result<StepOutput> {
        let features = self.model.sharing.forward(&self.input.batch.images, self.cx)?;
        let losses = objective_losses(self.model, &features, self.input.batch, self.cx)?;
        let values = finite_values(&losses, self.model)?;
        let present: Vec<usize> = losses.iter().map(|(at, _)| *at).collect();
        let weights = balancer.weights(&self.signals(&present, &values), stream)?;
        let total = sum(losses.iter().map(|(_, loss)| loss), &weights)?;
        // Held here, their memory would not be freed during the backward pass.
        drop((losses, features));
        let grads = match total {
            Some(total) => collect(&backward(&total)?, &self.model.params.trainable()),
            None => Grads::new(),
        };
        Ok(StepOutput { grads, losses: self.named(&present, &values), weights, gram: None, stages: Vec::new() })
    }

    /// Each objective back to the features on its own, then the encoder once, or once per objective.
    pub(super) fn by_gradients(
        &self,
        needs: Needs,
        balancer: &mut dyn Balancer,
        stream: &mut Stream,
    ) -> Result<StepOutput> {
        let shared = self.model.shared();
        let at_features = needs == Needs::FeatureGram;
        if at_features && !self.model.sharing.has_common_representation() {
            return Err(Error::Setting {
                key: "balancer.gradients_wrt".into(),
                problem: "\"representation\" needs tasks that read the same features; use \"shared_parameters\"".into(),
            });
        }
        let mut pass = self.at_features(self.input.batch, self.cx)?;
        let (rows, mut private) = if at_features && !self.input.compare {
            (Vec::new(), Grads::new())
        } else {
            pass.through_encoder(self.model)?
        };
        let stages = by_stage(&rows, &rows, &shared)?;
        let taps = &pass.taps;
        let gram = if at_features {
            Gram::try_from_fn(taps.len(), |i, j| inner(taps[i].iter().zip(&taps[j])))?
        } else {
            whole(rows.len(), &stages)
        };
        let mut signals = self.signals(&pass.present, &pass.losses);
        if needs.gram() {
            signals = signals.with_gram(&gram);
        }
        let (weights, shared_grads) = if needs == Needs::Gradients {
            // Each gradient on the device is freed once it was copied to the host.
            let rows = rows.into_iter().map(|row| flatten(&row, &shared)).collect::<Result<Vec<_>>>()?;
            let found = balancer.aggregate(&signals.with_gradients(&rows), stream)?;
            let grads = unflatten(&found, &rows, &shared)?;
            (found.weights, grads)
        } else {
            let weights = balancer.aggregate(&signals, stream)?.weights;
            let grads = if rows.is_empty() {
                self.representation_once(&pass, &weights)?
            } else {
                mixed(rows, &weights, &shared)?
            };
            (weights, grads)
        };
        let mut grads = shared_grads;
        grads.append(&mut private);
        for (head, weight) in std::mem::take(&mut pass.heads).into_iter().zip(&weights) {
            for (name, grad) in head {
                let grad = if needs.weights_heads() { (grad * *weight)? } else { grad };
                grads.insert(name, grad);
            }
        }
        let gram = needs.gram().then_some(gram);
        Ok(StepOutput { grads, losses: self.named(&pass.present, &pass.losses), weights, gram, stages })
    }

    /// One backward pass of the encoder with the weighted sum of the features' gradients.
    fn representation_once(&self, pass: &AtFeatures, weights: &[f64]) -> Result<Grads> {
        let Some(&first) = pass.present.first() else { return Ok(Grads::new()) };
        let features = pass.features.of(first);
        let mixed = (0..features.taps.len()).map(|tap| sum(pass.taps.iter().map(|taps| &taps[tap]), weights));
        match mixed.collect::<Result<Option<Vec<_>>>>()? {
            Some(mixed) => Ok(through_encoder(&[(features, &mixed)], &self.model.params.trainable())?.remove(0)),
            None => Ok(Grads::new()),
        }
    }

    /// The same for the two halves of the batch, each with its own graph: gradients on independent images are compared, and
    /// the parameters move along the mean of both. An objective with labels in one half only trains its own parameters.
    pub(super) fn by_halves(&self, balancer: &mut dyn Balancer, stream: &mut Stream) -> Result<StepOutput> {
        let shared = self.model.shared();
        let batch = self.input.batch.len();
        let (a, b) = (self.half(0..batch / 2, 0)?, self.half(batch / 2..batch, 1)?);
        // The objectives of both halves, and their positions in each.
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
        let between = by_stage(&a, &b, &shared)?;
        let halves = whole(present.len(), &between);
        // Of the means of both, `(a_i + b_i) / 2`.
        let parts = between.into_iter().zip(by_stage(&a, &a, &shared)?).zip(by_stage(&b, &b, &shared)?);
        let quarter = |ab: &Gram, a: &Gram, b: &Gram| {
            // A square that is zero but for rounding is zero.
            let least = |i: usize, j: usize| if i == j { 0.0 } else { f64::NEG_INFINITY };
            Gram::from_fn(ab.size(), |i, j| (0.25 * (a.at(i, j) + b.at(i, j)) + 0.5 * ab.at(i, j)).max(least(i, j)))
        };
        let stages: Vec<_> = parts.map(|(((stage, ab), (_, a)), (_, b))| (stage, quarter(&ab, &a, &b))).collect();
        let gram = whole(present.len(), &stages);
        let signals = self.signals(&present, &losses).with_gram(&gram).with_halves(&halves);
        let weights = balancer.aggregate(&signals, stream)?.weights;
        let each: Vec<f64> = weights.iter().map(|weight| 0.5 * weight).collect();
        grads.extend(mixed(a.into_iter().chain(b).collect(), &[&each[..], &each[..]].concat(), &shared)?);
        Ok(StepOutput { grads, losses: self.named(&present, &losses), weights, gram: Some(gram), stages })
    }

    /// The gradients on the images `range`, with its own random numbers.
    fn half(&self, range: Range<usize>, number: u64) -> Result<Half> {
        let batch = self.input.batch.part(range, 2)?;
        let cx = Ctx { seed: self.cx.seed.child("half", number), ..*self.cx };
        let pass = self.at_features(&batch, &cx)?;
        let (rows, private) = pass.through_encoder(self.model)?;
        let AtFeatures { present, losses, mut heads, .. } = pass;
        if let Some(first) = heads.first_mut() {
            first.extend(private);
        }
        Ok(Half { present, losses, heads, rows })
    }

    fn signals<'a>(&'a self, present: &'a [usize], losses: &'a [f64]) -> Signals<'a> {
        Signals::new(self.tasks, present, losses).at(self.input.step, self.input.epoch)
    }

    fn named(&self, present: &[usize], values: &[f64]) -> Vec<(String, f64)> {
        present.iter().zip(values).map(|(&at, &value)| (self.tasks[at].clone(), value)).collect()
    }

    /// Forward, and each objective back to the features.
    fn at_features(&self, batch: &DeviceBatch, cx: &Ctx) -> Result<AtFeatures> {
        let features = self.model.sharing.forward(&batch.images, cx)?;
        // Leaves with the features' values: a head's backward pass ends at them.
        let leaf = |tap: &Tensor| Var::from_tensor(&tap.detach());
        let leaves = |entry: &Features| entry.taps.iter().map(leaf).collect::<mtl_tensor::Result<Vec<_>>>();
        let vars = features.entries.iter().map(leaves).collect::<mtl_tensor::Result<Vec<_>>>()?;
        let tensors = |vars: &Vec<Var>| Features { taps: vars.iter().map(|var| var.as_tensor().clone()).collect() };
        let cut = TaskFeatures { entries: vars.iter().map(tensors).collect(), of_task: features.of_task.clone() };
        let losses = objective_losses(self.model, &cut, batch, cx)?;
        let values = finite_values(&losses, self.model)?;
        let (mut present, mut heads, mut at_taps) = (Vec::new(), Vec::new(), Vec::new());
        for (at, loss) in losses {
            let store = backward(&loss)?;
            present.push(at);
            heads.push(collect(&store, &self.model.trainable(&[self.model.objectives[at].prefix()])));
            let taps = vars[cut.of_task[at]].iter().map(|var| match store.get(var) {
                Some(grad) => Ok(grad.clone()),
                None => var.as_tensor().zeros_like(),
            });
            at_taps.push(taps.collect::<mtl_tensor::Result<_>>()?);
        }
        Ok(AtFeatures { features, present, losses: values, heads, taps: at_taps })
    }
}

/// The encoder's gradients for gradients of its features; the last pass frees the graph.
fn through_encoder(starts: &[(&Features, &[Tensor])], params: &BTreeMap<String, Var>) -> Result<Vec<Grads>> {
    let passes = starts.len();
    let pass = |(at, (features, grads)): (usize, &(&Features, &[Tensor]))| {
        let found = if at + 1 == passes { vjp(&features.taps, grads) } else { vjp_retain(&features.taps, grads) };
        Ok(collect(&found?, params))
    };
    starts.iter().enumerate().map(pass).collect()
}

/// The stage of the encoder that a parameter belongs to: `trunk.STAGE.…`.
fn stage_of(name: &str) -> &str {
    name.split('.').nth(1).unwrap_or(name)
}

/// Inner products of the gradients `a` and `b` (symmetrised) over the parameters of each stage, by its name.
fn by_stage(a: &[Grads], b: &[Grads], shared: &BTreeMap<String, Var>) -> Result<Vec<(String, Gram)>> {
    let mut stages: Vec<(String, Vec<&String>)> = Vec::new();
    for name in shared.keys().filter(|_| !a.is_empty()) {
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
            Ok::<_, Error>(0.5 * (there + back))
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

/// `sum_i w_i t_i`; `None` for an empty sum.
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

/// The weighted sum of gradients, freed parameter by parameter; a parameter without any gradient is left out.
fn mixed(mut rows: Vec<Grads>, weights: &[f64], shared: &BTreeMap<String, Var>) -> Result<Grads> {
    let mut grads = Grads::new();
    for name in shared.keys() {
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

/// A gradient of the shared parameters as one row.
fn flatten(row: &Grads, shared: &BTreeMap<String, Var>) -> Result<Vec<f32>> {
    let mut flat = Vec::new();
    for (name, var) in shared {
        match row.get(name) {
            Some(grad) => flat.extend(to_f64(grad)?.into_iter().map(|v| v as f32)),
            None => flat.extend(std::iter::repeat_n(0.0, var.elem_count())),
        }
    }
    Ok(flat)
}

/// The update that a balancer found for such rows, by parameter.
fn unflatten(found: &Aggregation, rows: &[Vec<f32>], shared: &BTreeMap<String, Var>) -> Result<Grads> {
    let mut grads = Grads::new();
    let mut from = 0;
    for (name, var) in shared {
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
