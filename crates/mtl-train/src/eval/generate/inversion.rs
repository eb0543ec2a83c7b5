//! Inversion: the latents whose image is most like a given one.
//!
//! The start is the best of several latents by the loss: the encoding of the generator's own encoder, that of the generator whose
//! decoder it starts from, the mean of the class's distribution, and samples of it. The best few are then optimised with Adam
//! and a learning rate that decays to 0, and the best latent of all steps is kept. With `u = (z - mean) / std` of the class's
//! distribution and the frozen trunk's taps `f_l` the loss is
//!
//! ```text
//! mean over l of |f_l(x) - f_l(G(z))|^2 / |f_l(x)|^2 + 4 mean (x - G(z))^2 + 0.001 mean u^2
//! ```
//! The first term keeps shapes where pixels alone would blur them, the second holds colours and places, and the third keeps
//! latents where the generator was trained.

use std::collections::BTreeMap;
use std::path::Path;

use mtl_gen::Sampling;
use mtl_metrics::Prediction;
use mtl_rng::Seed;
use mtl_tensor::optim::{self, Optimizer, Schedule, collect};
use mtl_tensor::{Ctx, Tensor, Var, backward, from_host, to_f64, with_constant_weights};

use super::choice::Chosen;
use super::request::{Inversion, InversionStep};
use crate::error::{Error, Result};
use crate::eval::predict::read_image;

/// Steps of the optimisation, and those through a solver of differential equations: each costs as much as dozens of others, and
/// the start, which the solver was run backwards for, is near already.
const STEPS: usize = 300;
const SOLVER_STEPS: usize = 30;
/// Starts that are optimised; one through a solver.
const STARTS: usize = 4;
/// Samples among the candidates of a start.
const SAMPLES: usize = 32;
/// Samples that the scale of latents is taken from.
const SCALE_SAMPLES: usize = 256;
/// Highest learning rate, in standard deviations of the latents.
const LR: f64 = 0.05;
/// Weights of the pixels and of the latents' distance from their mean.
const PIXEL_WEIGHT: f64 = 4.0;
const LATENT_WEIGHT: f64 = 1e-3;
/// Grey levels per unit of images in `[-1, 1]`.
const GREY: f64 = 127.5;

/// A given image with its latents.
pub(super) struct Inverted {
    /// The image, at the model's size: `[1, C, H, W]`.
    pub original: Tensor,
    /// The image of the start.
    pub start: Tensor,
    /// The image of `z`.
    pub nearest: Tensor,
    /// `[1, latent]`.
    pub z: Tensor,
    pub label: i32,
    pub report: Inversion,
}

/// Reads an image file and finds its latents.
///
/// # Errors
/// A file that is no image, predictions that are not finite.
pub(super) fn invert(
    chosen: &Chosen<'_>,
    path: &Path,
    progress: &mut dyn FnMut(InversionStep<'_>),
) -> Result<Inverted> {
    let (original, _) = read_image(chosen.run, path)?;
    let (label, probability) = match chosen.class {
        Some(class) => (class, None),
        None => predicted_class(chosen, &original)?,
    };
    let search = Search::new(chosen, &original, label)?;
    let found = search.run(&mut |step, steps, rmse| progress(InversionStep { image: path, step, steps, rmse }))?;
    let start = chosen.decode(&found.start, &[label])?;
    let nearest = chosen.decode(&found.z, &[label])?;
    let (start_rmse, rmse) = (rmse(&original, &start)?, rmse(&original, &nearest)?);
    let report = Inversion {
        image: path.to_owned(),
        class: chosen.class_name(label),
        probability,
        start: found.name,
        start_rmse,
        start_psnr: psnr(start_rmse),
        rmse,
        psnr: psnr(rmse),
        steps: search.steps,
    };
    Ok(Inverted { original, start, nearest, z: found.z, label, report })
}

/// The class that the run's own head predicts, with its probability; a negative label without classes.
fn predicted_class(chosen: &Chosen<'_>, image: &Tensor) -> Result<(i32, Option<f64>)> {
    let Some(task) = chosen.run.schema.condition else { return Ok((-1, None)) };
    let outputs = chosen.run.model.outputs(image, chosen.run.config.stages.joint.flip_tta)?;
    match outputs.tasks().nth(task) {
        Some((probabilities, Prediction::Class(found))) => {
            let class = found.first().copied().unwrap_or_default();
            let probability = to_f64(probabilities)?.get(class as usize).copied();
            Ok((class as i32, probability))
        }
        _ => Err(Error::setting("class", "the model does not predict it: name the class of the image")),
    }
}

/// The search for the latents of one image.
pub(super) struct Search<'a> {
    chosen: &'a Chosen<'a>,
    original: &'a Tensor,
    label: i32,
    /// The trunk's taps for the image, each with the factor that makes its mean square 1.
    taps: Vec<(Tensor, f64)>,
    /// Mean and deviation of the latents of the class, `[1, latent]`.
    mean: Tensor,
    deviation: Tensor,
    /// Steps of the optimisation.
    pub steps: usize,
    starts: usize,
}

/// Latents that were found.
pub(super) struct Found {
    /// Name of the best start.
    pub name: String,
    /// `[1, latent]`: the best start, and the best latents.
    pub start: Tensor,
    pub z: Tensor,
}

impl<'a> Search<'a> {
    pub fn new(chosen: &'a Chosen<'a>, original: &'a Tensor, label: i32) -> Result<Self> {
        let features = chosen.run.model.trunk().forward(original, &Ctx::eval())?.detach();
        let scaled = |tap: Tensor| {
            let square = to_f64(&tap)?.iter().map(|v| v * v).sum::<f64>() / tap.elem_count().max(1) as f64;
            Ok((tap, 1.0 / square.max(1e-6)))
        };
        let taps = features.taps.into_iter().map(scaled).collect::<Result<Vec<_>>>()?;
        let mean = chosen.mean(label)?;
        let drawn = chosen.latents(&[label; SCALE_SAMPLES], 1.0, &mut Self::stream(chosen))?;
        let variance = drawn.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)?;
        // A direction that the class does not vary in stays reachable: its scale is a hundredth.
        let deviation = (variance + 1e-4)?.sqrt()?;
        let solver = Sampling { steps: Some(1), ..Sampling::default() };
        let has_solver = chosen.generator.check_sampling(&solver).is_ok();
        let (steps, starts) = if has_solver { (SOLVER_STEPS, 1) } else { (STEPS, STARTS) };
        Ok(Self { chosen, original, label, taps, mean, deviation, steps, starts })
    }

    fn stream(chosen: &Chosen<'_>) -> mtl_rng::Stream {
        Seed::new(chosen.request.seed).stream("inversion", &[])
    }

    /// Latents to start from, with names: `[candidates, latent]`.
    fn candidates(&self) -> Result<(Vec<String>, Tensor)> {
        let chosen = self.chosen;
        let (mut names, mut rows) = (Vec::new(), Vec::new());
        let origin = chosen.run.config.generators.get(&chosen.name).and_then(|config| config.init_from());
        let encoders = [Some(chosen.name.as_str()), origin].into_iter().flatten();
        for name in encoders {
            let Some(generator) = chosen.run.model.generators.get(name) else { continue };
            let z =
                generator.encode(chosen.run.model.trunk(), self.original, &[self.label], &chosen.request.sampling)?;
            // The latents of another length are of another space.
            if let Some(z) = z.filter(|_| generator.latent() == chosen.generator.latent()) {
                names.push(if name == chosen.name { "encoder".into() } else { format!("encoder of {name}") });
                rows.push(z.detach());
            }
        }
        names.push("mean of the class".into());
        rows.push(self.mean.clone());
        let samples = chosen.latents(&[self.label; SAMPLES], 1.0, &mut Self::stream(chosen))?;
        names.extend((0..SAMPLES).map(|_| "sample".into()));
        rows.push(samples);
        Ok((names, Tensor::cat(&rows, 0)?))
    }

    /// Loss and squared pixel error of each row of `u`, `[rows]`.
    fn losses(&self, u: &Tensor) -> Result<(Tensor, Tensor)> {
        let z = u.broadcast_mul(&self.deviation)?.broadcast_add(&self.mean)?;
        let labels = vec![self.label; z.dim(0)?];
        let (images, features) = with_constant_weights(|| -> Result<_> {
            let images = self.chosen.generator.decode(&z, &labels, &self.chosen.request.sampling)?;
            let features = self.chosen.run.model.trunk().forward(&images, &Ctx::eval())?;
            Ok((images, features))
        })?;
        let per_image = |difference: Tensor| difference.sqr()?.flatten_from(1)?.mean(1);
        let pixels = per_image(images.broadcast_sub(self.original)?)?;
        let mut total = ((&pixels * PIXEL_WEIGHT)? + (per_image(u.clone())? * LATENT_WEIGHT)?)?;
        for (tap, (original, scale)) in features.taps.iter().zip(&self.taps) {
            let distance = per_image(tap.broadcast_sub(original)?)?;
            total = (total + (distance * (scale / self.taps.len() as f64))?)?;
        }
        Ok((total, pixels))
    }

    /// # Errors
    /// Shapes that do not fit.
    pub fn run(&self, progress: &mut dyn FnMut(usize, usize, f64)) -> Result<Found> {
        let (names, z) = self.candidates()?;
        let all = z.broadcast_sub(&self.mean)?.broadcast_div(&self.deviation)?;
        let mut losses = Vec::with_capacity(names.len());
        for at in 0..names.len() {
            losses.extend(to_f64(&self.losses(&all.narrow(0, at, 1)?.contiguous()?)?.0.detach())?);
        }
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        order.truncate(self.starts);
        let row = |at: usize| all.narrow(0, at, 1)?.contiguous();
        let starts = order.iter().map(|&at| row(at)).collect::<mtl_tensor::Result<Vec<_>>>()?;
        let latent = all.dim(1)?;
        let var = Var::from_tensor(&Tensor::cat(&starts, 0)?)?;
        let params = BTreeMap::from([("u".to_owned(), var.clone())]);
        let mut adam = Optimizer::new(optim::Config::Adam { beta1: 0.9, beta2: 0.99 }, &params, |_| 1.0)?;
        let schedule = Schedule { lr: LR, warmup: 0.02, min_lr_ratio: 0.0 };
        let (mut best, mut least) = (to_f64(&var)?[..latent].to_vec(), f64::INFINITY);
        for step in 0..=self.steps {
            let (losses, pixels) = self.losses(var.as_tensor())?;
            let (values, u) = (to_f64(&losses)?, to_f64(&var)?);
            let mut error = 0.0;
            for (at, &value) in values.iter().enumerate() {
                if value < least {
                    least = value;
                    best.copy_from_slice(&u[at * latent..][..latent]);
                }
                if values.iter().all(|other| value <= *other) {
                    error = to_f64(&pixels)?[at].sqrt() * GREY;
                }
            }
            if step == self.steps {
                break;
            }
            progress(step + 1, self.steps, error);
            let grads = collect(&backward(&losses.sum_all()?)?, &params);
            adam.step(&grads, schedule.at(step as f64 / self.steps as f64), 1.0)?;
        }
        let name = order.first().map(|&at| names[at].clone()).unwrap_or_default();
        let best = from_host(best, (1, latent), &all)?;
        let of = |u: &Tensor| u.broadcast_mul(&self.deviation)?.broadcast_add(&self.mean);
        Ok(Found { name, start: of(&starts[0])?, z: of(&best)? })
    }
}

/// Root mean square error in grey levels.
pub(super) fn rmse(a: &Tensor, b: &Tensor) -> Result<f64> {
    let values = to_f64(&(a - b)?)?;
    Ok((values.iter().map(|v| v * v).sum::<f64>() / values.len().max(1) as f64).sqrt() * GREY)
}

/// Peak signal-to-noise ratio in dB of an error in grey levels.
fn psnr(rmse: f64) -> f64 {
    20.0 * (255.0 / rmse).log10()
}
