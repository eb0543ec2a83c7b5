//! Batch and group normalisation, with scale, shift and ReLU applied on the way out.
//!
//! Both are `y = relu?(gamma (x - mean) / sqrt(var + eps) + beta)`; they differ in the axes of the mean.
//! BatchNorm: Ioffe and Szegedy 2015 (arXiv 1502.03167), over batch and pixels of a channel. GroupNorm: Wu and He 2018
//! (arXiv 1803.08494), over pixels and channels of a group, one image at a time.

mod kernel;

use candle_core::{Result, Tensor};

pub(super) use self::kernel::{Gradients, Grouping, Normalisation, moments};
use super::activation::composed_relu;
use crate::Real;
use crate::real::{for_real, tensor, with_slice};
use crate::tape::{Saved, Value, composed, gradient, needs_gradient, record, weight};

/// Added to every variance (PyTorch's default).
pub const EPSILON: f64 = 1e-5;

/// Mean and biased variance of each channel of a batch, `[C]` each, outside the graph.
pub type Moments = (Tensor, Tensor);

/// Normalises with the batch's own moments, and lets the gradient flow through them. `gamma`, `beta`: `[C]`.
/// Returns the result and the moments used.
///
/// # Errors
/// Shapes that do not fit, one number per channel (its variance is 0, and nothing could be learned from it).
pub fn batch_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor, relu: bool) -> Result<(Tensor, Moments)> {
    let (b, c, h, w) = x.dims4()?;
    check(c, gamma, beta)?;
    check_batch(b * h * w)?;
    if composed(x) {
        let flat = x.transpose(0, 1)?.contiguous()?.reshape((c, b * h * w))?;
        let y = standardise(&flat)?.reshape((c, b, h, w))?.transpose(0, 1)?.contiguous()?;
        return Ok((affine(&y, gamma, beta, relu)?, composed_moments(&flat)?));
    }
    let grouping = Grouping { batch: b, channels: c, pixels: h * w, group: 1, over_batch: true };
    for_real!(x, T => {
        let (means, vars) = with_slice::<T, _>(x, |x| moments(x, grouping))?;
        let taken = (tensor(means.clone(), c)?, tensor(vars.clone(), c)?);
        Ok((normalise::<T>(x, gamma, beta, relu, grouping, (means, &vars))?, taken))
    })
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
    let (b, c, h, w) = x.dims4()?;
    check(c, gamma, beta)?;
    check(c, mean, var)?;
    let (gamma, beta) = (&weight(gamma), &weight(beta));
    if composed(x) {
        // From the difference to the mean: a scale's gradient put together from those of scale and shift cancels.
        let each = |t: &Tensor| t.detach().reshape((1, c, 1, 1));
        let y = x.broadcast_sub(&each(mean)?)?.broadcast_div(&(each(var)? + EPSILON)?.sqrt()?)?;
        return affine(&y, gamma, beta, relu);
    }
    let grouping = Grouping { channels: c, group: 0, over_batch: true, pixels: h * w, batch: b };
    for_real!(x, T => {
        let moments = (with_slice::<T, _>(mean, <[T]>::to_vec)?, with_slice::<T, _>(var, <[T]>::to_vec)?);
        normalise::<T>(x, gamma, beta, relu, grouping, (moments.0, &moments.1))
    })
}

/// Normalises groups of `channels / groups` channels of each image. `gamma`, `beta`: `[C]`, or `[B, C]` where every image has
/// its own (conditional normalisation).
///
/// # Errors
/// Channels not divisible by `groups`, shapes that do not fit.
pub fn group_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor, groups: usize, relu: bool) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    if groups == 0 || c % groups != 0 {
        candle_core::bail!("group_norm: {c} channels in {groups} groups");
    }
    let each = gamma.dims() == [b, c] && beta.dims() == [b, c];
    if !each {
        check(c, gamma, beta)?;
    }
    // With weights for every image, the batch is one image of all their channels.
    let (images, channels) = if each { (1, b * c) } else { (b, c) };
    if composed(x) {
        let y = standardise(&x.reshape((b * groups, c / groups * h * w))?)?.reshape((images, channels, h, w))?;
        return affine(&y, gamma, beta, relu)?.reshape((b, c, h, w));
    }
    let grouping = Grouping { batch: images, channels, pixels: h * w, group: c / groups, over_batch: false };
    for_real!(x, T => {
        let (means, vars) = with_slice::<T, _>(x, |x| moments(x, grouping))?;
        normalise::<T>(x, gamma, beta, relu, grouping, (means, &vars))
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
    for_real!(x, T => normalise::<T>(x, scale, shift, relu, grouping, (vec![T::of(0.0); c], &vec![T::of(1.0 - EPSILON); c])))
}

fn check(channels: usize, gamma: &Tensor, beta: &Tensor) -> Result<()> {
    if gamma.dims() != [channels] || beta.dims() != [channels] {
        candle_core::bail!("norm: scale {:?} and shift {:?} for {channels} channels", gamma.shape(), beta.shape());
    }
    Ok(())
}

/// Batch moments of a single value per channel are not meaningful.
pub(super) fn check_batch(numbers: usize) -> Result<()> {
    if numbers == 1 {
        candle_core::bail!(
            "batch norm in training: one number per channel has no variance; use a larger batch or image, or group norm"
        );
    }
    Ok(())
}

/// Of rows `[C, numbers]`.
fn composed_moments(rows: &Tensor) -> Result<Moments> {
    let rows = rows.detach();
    let mean = rows.mean_keepdim(1)?;
    let rest = rows.broadcast_sub(&mean)?;
    let missed = rest.mean_keepdim(1)?;
    let var = rest.broadcast_sub(&missed)?.sqr()?.mean(1)?;
    Ok(((mean + missed)?.squeeze(1)?, var))
}

fn standardise(rows: &Tensor) -> Result<Tensor> {
    let centred = rows.broadcast_sub(&rows.mean_keepdim(1)?)?;
    // The rest that a rounded mean leaves far from zero, a constant to the gradient.
    let centred = centred.broadcast_sub(&centred.detach().mean_keepdim(1)?)?;
    let var = centred.sqr()?.mean_keepdim(1)?;
    centred.broadcast_div(&(var + EPSILON)?.sqrt()?)
}

fn affine(y: &Tensor, gamma: &Tensor, beta: &Tensor, relu: bool) -> Result<Tensor> {
    let y = y.broadcast_mul(&gamma.reshape((1, (), 1, 1))?)?.broadcast_add(&beta.reshape((1, (), 1, 1))?)?;
    if relu { composed_relu(&y) } else { Ok(y) }
}

fn normalise<T: Real>(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    relu: bool,
    grouping: Grouping,
    moments: (Vec<T>, &[T]),
) -> Result<Tensor> {
    let weights = (with_slice::<T, _>(gamma, <[T]>::to_vec)?, with_slice::<T, _>(beta, <[T]>::to_vec)?);
    let norm = Normalisation::new(grouping, weights, moments, relu);
    let values = with_slice::<T, _>(x, |x| norm.forward(x, None))?;
    let (saved, shape) = (Saved::new(x), gamma.shape().clone());
    let needed = (x.track_op(), needs_gradient(gamma), needs_gradient(beta));
    record("norm", &[x, gamma, beta], Value::new(values, x.shape().clone()), move |grad| {
        let d = with_slice::<T, _>(saved.get()?, |x| with_slice::<T, _>(grad, |grad| norm.backward(x, None, grad)))??;
        Ok(vec![
            gradient(needed.0, saved.shape(), || Ok(d.x))?,
            gradient(needed.1, &shape, || Ok(d.gamma))?,
            gradient(needed.2, &shape, || Ok(d.beta))?,
        ])
    })
}
