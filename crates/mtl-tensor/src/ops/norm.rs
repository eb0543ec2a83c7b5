//! Batch and group normalisation in two passes over the data, with scale, shift and ReLU applied on the way out.
//!
//! Both are `y = relu?(gamma (x - mean) / sqrt(var + eps) + beta)`; they differ in what the mean is taken over.
//! BatchNorm: Ioffe and Szegedy 2015 (arXiv 1502.03167), over batch and pixels of a channel. GroupNorm: Wu and He 2018
//! (arXiv 1803.08494), over pixels and channels of a group, one image at a time.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::sum::sum;
use crate::Real;
use crate::real::{for_real, tensor, with_slice};
use crate::tape::{Value, composed, is_learnt, record3, weight};

/// Added to every variance (PyTorch's default).
pub const EPSILON: f64 = 1e-5;

/// Mean and biased variance of each channel over batch and pixels, both `[C]`, outside the graph.
///
/// # Errors
/// Another rank than 4, other types than f32 and f64.
pub fn batch_moments(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let (b, c, h, w) = x.dims4()?;
    if composed(x) {
        let flat = x.detach().transpose(0, 1)?.contiguous()?.reshape((c, b * h * w))?;
        let mean = flat.mean(1)?;
        let var = flat.broadcast_sub(&mean.unsqueeze(1)?)?.sqr()?.mean(1)?;
        return Ok((mean, var));
    }
    let pixels = h * w;
    for_real!(x, T => {
        let moments: Vec<(T, T)> = with_slice::<T, _>(x, |x| {
            (0..c).into_par_iter().map(|channel| moments((0..b).map(|image| &x[(image * c + channel) * pixels..][..pixels]))).collect()
        })?;
        let (means, vars): (Vec<T>, Vec<T>) = moments.into_iter().unzip();
        Ok((tensor(means, c)?, tensor(vars, c)?))
    })
}

/// Mean and biased variance of the runs of one group, by two passes: the cheaper one-pass formula loses the variance
/// of channels whose mean is far from zero.
fn moments<'a, T: Real>(runs: impl Iterator<Item = &'a [T]> + Clone) -> (T, T) {
    let count: usize = runs.clone().map(<[T]>::len).sum();
    let mean = T::of(runs.clone().map(sum).sum::<f64>() / count as f64);
    let total: f64 = runs.map(|run| squares(run, mean)).sum();
    (mean, T::of(total / count as f64))
}

fn squares<T: Real>(run: &[T], mean: T) -> f64 {
    let mut lanes = [T::default(); 16];
    let chunks = run.chunks_exact(16);
    let rest: f64 = chunks.remainder().iter().map(|v| ((*v - mean) * (*v - mean)).f64()).sum();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            let d = *value - mean;
            *lane += d * d;
        }
    }
    rest + lanes.iter().map(|lane| lane.f64()).sum::<f64>()
}

/// Normalises with the batch's own moments, and lets the gradient flow through them. `gamma`, `beta`: `[C]`.
/// Returns the result and the moments used.
///
/// # Errors
/// Shapes that do not fit.
pub fn batch_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor, relu: bool) -> Result<(Tensor, Tensor, Tensor)> {
    let (mean, var) = batch_moments(x)?;
    let channels = x.dim(1)?;
    check(channels, gamma, beta)?;
    let y = if !composed(x) {
        let grouping =
            Grouping { channels, group: 1, over_batch: true, pixels: x.dim(2)? * x.dim(3)?, batch: x.dim(0)? };
        for_real!(x, T => {
            let means = with_slice::<T, _>(&mean, <[T]>::to_vec)?;
            let vars = with_slice::<T, _>(&var, <[T]>::to_vec)?;
            normalise::<T>(x, gamma, beta, relu, grouping, means, &vars)
        })?
    } else {
        let (b, c, h, w) = x.dims4()?;
        let flat = x.transpose(0, 1)?.contiguous()?.reshape((c, b * h * w))?;
        let y = standardise(&flat)?.reshape((c, b, h, w))?.transpose(0, 1)?.contiguous()?;
        affine(&y, gamma, beta, relu)?
    };
    Ok((y, mean, var))
}

/// Normalises with given moments, constants to the gradient: batch norm at inference.
///
/// # Errors
/// Shapes that do not fit.
pub fn batch_norm_with(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    relu: bool,
) -> Result<Tensor> {
    check(x.dim(1)?, gamma, beta)?;
    let (gamma, beta) = (&weight(gamma), &weight(beta));
    let scale = (gamma / (var + EPSILON)?.sqrt()?)?;
    let shift = (beta - (mean * &scale)?)?;
    scale_shift(x, &scale, &shift, relu)
}

/// Normalises groups of `channels / groups` channels of each image.
///
/// # Errors
/// Channels not divisible by `groups`, shapes that do not fit.
pub fn group_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor, groups: usize, relu: bool) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    check(c, gamma, beta)?;
    if groups == 0 || c % groups != 0 {
        candle_core::bail!("group_norm: {c} channels in {groups} groups");
    }
    if composed(x) {
        let y = standardise(&x.reshape((b * groups, c / groups * h * w))?)?.reshape((b, c, h, w))?;
        return affine(&y, gamma, beta, relu);
    }
    let run = c / groups * h * w;
    let grouping = Grouping { channels: c, group: c / groups, over_batch: false, pixels: h * w, batch: b };
    for_real!(x, T => {
        let moments: Vec<(T, T)> = with_slice::<T, _>(x, |x| x.par_chunks(run).map(|run| moments(std::iter::once(run))).collect())?;
        let (means, vars): (Vec<T>, Vec<T>) = moments.into_iter().unzip();
        normalise::<T>(x, gamma, beta, relu, grouping, means, &vars)
    })
}

/// `relu?(x scale[c] + shift[c])`, gradients for all three. Also the modulation of conditional norms.
///
/// # Errors
/// Shapes that do not fit.
pub fn scale_shift(x: &Tensor, scale: &Tensor, shift: &Tensor, relu: bool) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    check(c, scale, shift)?;
    if composed(x) {
        return affine(x, scale, shift, relu);
    }
    // Mean 0 and variance 1 as constants make the shared kernel a plain affine map.
    let grouping = Grouping { channels: c, group: 0, over_batch: true, pixels: h * w, batch: b };
    for_real!(x, T => normalise::<T>(x, scale, shift, relu, grouping, vec![T::of(0.0); c], &vec![T::of(1.0 - EPSILON); c]))
}

fn check(channels: usize, gamma: &Tensor, beta: &Tensor) -> Result<()> {
    if gamma.dims() != [channels] || beta.dims() != [channels] {
        candle_core::bail!("norm: scale {:?} and shift {:?} for {channels} channels", gamma.shape(), beta.shape());
    }
    Ok(())
}

fn standardise(rows: &Tensor) -> Result<Tensor> {
    let centred = rows.broadcast_sub(&rows.mean_keepdim(1)?)?;
    let var = centred.sqr()?.mean_keepdim(1)?;
    centred.broadcast_div(&(var + EPSILON)?.sqrt()?)
}

fn affine(y: &Tensor, gamma: &Tensor, beta: &Tensor, relu: bool) -> Result<Tensor> {
    let y = y.broadcast_mul(&gamma.reshape((1, (), 1, 1))?)?.broadcast_add(&beta.reshape((1, (), 1, 1))?)?;
    if relu { y.relu() } else { Ok(y) }
}

/// What one mean is taken over.
#[derive(Clone, Copy)]
struct Grouping {
    batch: usize,
    channels: usize,
    pixels: usize,
    /// Channels a group; 0 where the moments are constants and no gradient flows through them.
    group: usize,
    over_batch: bool,
}

impl Grouping {
    /// Index of the moments of plane `image * channels + channel`.
    fn of(&self, plane: usize) -> usize {
        if self.over_batch { plane % self.channels } else { plane / self.group }
    }
}

fn normalise<T: Real>(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    relu: bool,
    g: Grouping,
    means: Vec<T>,
    vars: &[T],
) -> Result<Tensor> {
    let inverse: Vec<T> = vars.iter().map(|var| T::of(1.0) / (*var + T::of(EPSILON)).sqrt()).collect();
    let gammas = with_slice::<T, _>(gamma, <[T]>::to_vec)?;
    let betas = with_slice::<T, _>(beta, <[T]>::to_vec)?;
    let values = with_slice::<T, _>(x, |x| {
        let mut y = vec![T::default(); x.len()];
        y.par_chunks_mut(g.pixels).zip(x.par_chunks(g.pixels)).enumerate().for_each(|(plane, (y, x))| {
            let (channel, at) = (plane % g.channels, g.of(plane));
            let scale = gammas[channel] * inverse[at];
            let shift = betas[channel] - means[at] * scale;
            let zero = T::default();
            for (y, x) in y.iter_mut().zip(x) {
                let v = *x * scale + shift;
                // `v < 0` and not `v > 0`: NaN must pass through so that divergence is seen.
                *y = if relu && v < zero { zero } else { v };
            }
        });
        y
    })?;
    let saved = x.clone();
    let tracked = (x.track_op(), is_learnt(gamma) || is_learnt(beta));
    record3("norm", x, gamma, beta, Value::new(values, x.shape().clone()), move |y, grad| {
        let (dx, dgamma, dbeta) = with_slice::<T, _>(&saved, |x| {
            with_slice::<T, _>(y, |y| {
                with_slice::<T, _>(grad, |grad| backward(x, y, grad, &gammas, &means, &inverse, g, relu))
            })
        })???;
        Ok((
            if tracked.0 { Some(tensor(dx, saved.shape())?) } else { None },
            if tracked.1 { Some(tensor(dgamma, g.channels)?) } else { None },
            if tracked.1 { Some(tensor(dbeta, g.channels)?) } else { None },
        ))
    })
}

/// Gradients of input, scale and shift.
type Gradients<T> = (Vec<T>, Vec<T>, Vec<T>);

#[allow(clippy::too_many_arguments)]
fn backward<T: Real>(
    x: &[T],
    y: &[T],
    grad: &[T],
    gammas: &[T],
    means: &[T],
    inverse: &[T],
    g: Grouping,
    relu: bool,
) -> Gradients<T> {
    let pass = |y: T, grad: T| if relu && y <= T::default() { T::default() } else { grad };
    // Of each plane: sum of the gradient, and of the gradient times the normalised input.
    let planes: Vec<(f64, f64)> = (0..g.batch * g.channels)
        .into_par_iter()
        .map(|plane| {
            let range = plane * g.pixels..(plane + 1) * g.pixels;
            let (mean, inverse) = (means[g.of(plane)], inverse[g.of(plane)]);
            let (mut total, mut along) = ([T::default(); 16], [T::default(); 16]);
            for ((x, y), grad) in
                x[range.clone()].chunks(16).zip(y[range.clone()].chunks(16)).zip(grad[range].chunks(16))
            {
                for (lane, ((x, y), grad)) in x.iter().zip(y).zip(grad).enumerate() {
                    let d = pass(*y, *grad);
                    total[lane] += d;
                    along[lane] += d * ((*x - mean) * inverse);
                }
            }
            (total.iter().map(|v| v.f64()).sum(), along.iter().map(|v| v.f64()).sum())
        })
        .collect();
    let (mut dgamma, mut dbeta) = (vec![0.0; g.channels], vec![0.0; g.channels]);
    let (mut totals, mut alongs) = (vec![0.0; means.len()], vec![0.0; means.len()]);
    for (plane, (total, along)) in planes.iter().enumerate() {
        let (channel, at) = (plane % g.channels, g.of(plane));
        dbeta[channel] += total;
        dgamma[channel] += along;
        totals[at] += total * gammas[channel].f64();
        alongs[at] += along * gammas[channel].f64();
    }
    let count = (g.pixels * if g.over_batch { g.batch } else { g.group }) as f64;
    let constant_moments = g.group == 0;
    let mut dx = vec![T::default(); x.len()];
    dx.par_chunks_mut(g.pixels).enumerate().for_each(|(plane, dx)| {
        let range = plane * g.pixels..(plane + 1) * g.pixels;
        let (channel, at) = (plane % g.channels, g.of(plane));
        let scale = gammas[channel] * inverse[at];
        let (centre, slope) = if constant_moments {
            (T::default(), T::default())
        } else {
            (T::of(totals[at] / count) * inverse[at], T::of(alongs[at] / count) * inverse[at] * inverse[at])
        };
        let mean = means[at];
        for (((dx, x), y), grad) in dx.iter_mut().zip(&x[range.clone()]).zip(&y[range.clone()]).zip(&grad[range]) {
            *dx = pass(*y, *grad) * scale - centre - (*x - mean) * slope;
        }
    });
    let cast = |values: Vec<f64>| values.into_iter().map(T::of).collect();
    (dx, cast(dgamma), cast(dbeta))
}
