//! Softmax over the classes of logits `[B, K, P]`.

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use crate::Real;

/// `[B, K, P]` logits, zeros where the label is missing: no NaN there reaches the loss or a gradient.
pub(super) fn labelled(logits: &Tensor, labels: &[i32], shape: (usize, usize, usize)) -> Result<Tensor> {
    let (_, classes, pixels) = shape;
    let logits = logits.reshape(shape)?;
    if labels.iter().all(|&label| label >= 0) {
        return Ok(logits);
    }
    let present = |at: usize| labels[at / (classes * pixels) * pixels + at % pixels] >= 0;
    only(&logits, &(0..logits.elem_count()).map(present).collect::<Vec<_>>())
}

/// `x` where `kept`, else 0 with a gradient of 0.
pub(super) fn only(x: &Tensor, kept: &[bool]) -> Result<Tensor> {
    let kept = kept.iter().map(|&kept| u8::from(kept)).collect::<Vec<_>>();
    let kept = Tensor::from_vec(kept, x.shape(), &Device::Cpu)?.to_device(x.device())?;
    kept.where_cond(x, &x.zeros_like()?)
}

/// From candle's ops.
pub(super) fn log_softmax(x: &Tensor) -> Result<Tensor> {
    let shifted = x.broadcast_sub(&x.detach().max_keepdim(1)?)?;
    let log_norm = shifted.exp()?.sum_keepdim(1)?.log()?;
    shifted.broadcast_sub(&log_norm)
}

/// Softmax of a batch.
pub(super) struct Softmax<T> {
    /// `[B, K, P]`.
    pub probabilities: Vec<T>,
    /// Largest logit of each pixel, `[B, P]`.
    pub top: Vec<T>,
    /// `sum_k exp(x_k - top)` of each pixel, `[B, P]`.
    pub total: Vec<f64>,
}

pub(super) fn softmax<T: Real>(logits: &[T], classes: usize, pixels: usize) -> Softmax<T> {
    let rows = logits.len() / classes.max(1);
    let mut probabilities = vec![T::default(); logits.len()];
    let (mut top, mut total) = (vec![T::default(); rows], vec![0.0; rows]);
    probabilities
        .par_chunks_mut(classes * pixels)
        .zip(logits.par_chunks(classes * pixels))
        .zip(top.par_chunks_mut(pixels).zip(total.par_chunks_mut(pixels)))
        .for_each(|((p, x), (top, total))| {
            // Row by row over pixels, so that every inner loop runs over neighbours in memory.
            top.copy_from_slice(&x[..pixels]);
            for row in x.chunks_exact(pixels).skip(1) {
                top.iter_mut().zip(row).for_each(|(top, v)| *top = if *v > *top || v.is_nan() { *v } else { *top });
            }
            for (p, x) in p.chunks_exact_mut(pixels).zip(x.chunks_exact(pixels)) {
                for (((p, x), top), total) in p.iter_mut().zip(x).zip(top.iter()).zip(total.iter_mut()) {
                    *p = (*x - *top).exp();
                    *total += p.f64();
                }
            }
            for p in p.chunks_exact_mut(pixels) {
                p.iter_mut().zip(total.iter()).for_each(|(p, total)| *p /= T::of(*total));
            }
        });
    Softmax { probabilities, top, total }
}

/// Softmax of one image, in f64: `[K, P]` probabilities, and by pixel the largest logit and the sum of [`Softmax`].
pub(super) struct Pixels<'a> {
    pub probabilities: &'a [f64],
    pub top: &'a [f64],
    pub total: &'a [f64],
}
