//! Pooling. candle's `max_pool2d` returns a gradient four times too small for 2x2 windows; these are right.

use candle_core::{D, Result, Tensor};
use rayon::prelude::*;

use super::sum::sum;
use crate::Real;
use crate::real::{for_real, from_host, tensor, with_slice};
use crate::tape::{Value, composed, record1};

/// Maximum over windows of `k x k`, `k` apart. `[B, C, H, W] -> [B, C, H / k, W / k]`; rows and columns that do not fill
/// a window are dropped. The gradient goes to the first maximum of a window, as in PyTorch. NaN wins over any number,
/// so divergence is not hidden.
///
/// # Errors
/// An image smaller than the window.
pub fn max_pool2d(x: &Tensor, k: usize) -> Result<Tensor> {
    let (planes, h, w, shape) = windows(x, k, "max_pool2d")?;
    if composed(x) {
        return composed_max(&split(x, k)?);
    }
    let (oh, ow) = (h / k, w / k);
    for_real!(x, T => {
        let (values, winners) = with_slice::<T, _>(x, |x| {
            let mut values = vec![T::default(); planes * oh * ow];
            let mut winners = vec![0u32; planes * oh * ow];
            values.par_chunks_mut(oh * ow).zip(winners.par_chunks_mut(oh * ow)).enumerate().for_each(|(plane, (values, winners))| {
                let plane = &x[plane * h * w..][..h * w];
                for (at, (value, winner)) in values.iter_mut().zip(winners).enumerate() {
                    let corner = (at / ow) * k * w + (at % ow) * k;
                    let (mut best, mut place) = (plane[corner], corner);
                    for dy in 0..k {
                        for dx in 0..k {
                            let here = corner + dy * w + dx;
                            if plane[here] > best || plane[here].is_nan() {
                                (best, place) = (plane[here], here);
                            }
                        }
                    }
                    (*value, *winner) = (best, place as u32);
                }
            });
            (values, winners)
        })?;
        let in_shape = x.shape().clone();
        record1("max_pool2d", x, Value::new(values, shape), move |grad| {
            let dx = with_slice::<T, _>(grad, |grad| {
                let mut dx = vec![T::default(); planes * h * w];
                dx.par_chunks_mut(h * w).enumerate().for_each(|(plane, dx)| {
                    let range = plane * oh * ow..(plane + 1) * oh * ow;
                    for (winner, grad) in winners[range.clone()].iter().zip(&grad[range]) {
                        dx[*winner as usize] += *grad;
                    }
                });
                dx
            })?;
            Ok(Some(tensor(dx, in_shape.clone())?))
        })
    })
}

/// Mean over windows of `k x k`, `k` apart. `[B, C, H, W] -> [B, C, H / k, W / k]`.
///
/// # Errors
/// An image smaller than the window.
pub fn avg_pool2d(x: &Tensor, k: usize) -> Result<Tensor> {
    let (planes, h, w, shape) = windows(x, k, "avg_pool2d")?;
    if composed(x) {
        return split(x, k)?.mean(D::Minus1);
    }
    let (oh, ow) = (h / k, w / k);
    for_real!(x, T => {
        let share = T::of(1.0 / (k * k) as f64);
        let values = with_slice::<T, _>(x, |x| {
            let mut values = vec![T::default(); planes * oh * ow];
            values.par_chunks_mut(oh * ow).enumerate().for_each(|(plane, values)| {
                let plane = &x[plane * h * w..][..h * w];
                for (row, out) in values.chunks_exact_mut(ow).enumerate() {
                    for dy in 0..k {
                        let line = &plane[(row * k + dy) * w..][..ow * k];
                        for (value, window) in out.iter_mut().zip(line.chunks_exact(k)) {
                            for v in window {
                                *value += *v * share;
                            }
                        }
                    }
                }
            });
            values
        })?;
        let in_shape = x.shape().clone();
        record1("avg_pool2d", x, Value::new(values, shape), move |grad| {
            let dx = with_slice::<T, _>(grad, |grad| {
                let mut dx = vec![T::default(); planes * h * w];
                dx.par_chunks_mut(h * w).enumerate().for_each(|(plane, dx)| {
                    let grad = &grad[plane * oh * ow..][..oh * ow];
                    for (row, line) in dx.chunks_exact_mut(w).take(oh * k).enumerate() {
                        let grad = &grad[row / k * ow..][..ow];
                        for (window, g) in line.chunks_exact_mut(k).zip(grad) {
                            window.fill(*g * share);
                        }
                    }
                });
                dx
            })?;
            Ok(Some(tensor(dx, in_shape.clone())?))
        })
    })
}

/// Mean over all pixels: `[B, C, H, W] -> [B, C]`.
///
/// # Errors
/// Another rank than 4.
pub fn global_avg_pool(x: &Tensor) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    if composed(x) {
        return x.flatten_from(2)?.mean(D::Minus1);
    }
    let pixels = h * w;
    for_real!(x, T => {
        let means: Vec<T> = with_slice::<T, _>(x, |x| {
            x.par_chunks(pixels).map(|plane| T::of(sum(plane) / pixels as f64)).collect()
        })?;
        record1("global_avg_pool", x, Value::new(means, (b, c)), move |grad| {
            let dx = with_slice::<T, _>(grad, |grad| {
                let mut dx = vec![T::default(); b * c * pixels];
                dx.par_chunks_mut(pixels).zip(grad).for_each(|(plane, g)| plane.fill(*g * T::of(1.0 / pixels as f64)));
                dx
            })?;
            Ok(Some(tensor(dx, (b, c, h, w))?))
        })
    })
}

/// Planes, height and width of the input, and the shape of the result.
fn windows(x: &Tensor, k: usize, op: &str) -> Result<(usize, usize, usize, Vec<usize>)> {
    let (b, c, h, w) = x.dims4()?;
    if k == 0 || h < k || w < k {
        candle_core::bail!("{op}: a window of {k} on {:?}", x.shape());
    }
    Ok((b * c, h, w, vec![b, c, h / k, w / k]))
}

/// Maximum over the last dimension. Which number wins is found as the kernel finds it, so the gradient goes to the first of several
/// equal ones and to no other.
pub(super) fn composed_max(windows: &Tensor) -> Result<Tensor> {
    let values = windows.detach();
    let count = values.dim(D::Minus1)?;
    let mut best = values.narrow(D::Minus1, 0, 1)?.contiguous()?;
    let mut winner = best.zeros_like()?;
    let ones = best.ones_like()?;
    for at in 1..count {
        let here = values.narrow(D::Minus1, at, 1)?.contiguous()?;
        let place = (&ones * at as f64)?;
        for wins in [here.gt(&best)?, here.ne(&here)?] {
            winner = wins.where_cond(&place, &winner)?;
            best = wins.where_cond(&here, &best)?;
        }
    }
    let places = from_host((0..count).map(|at| at as f64).collect(), count, windows)?;
    let chosen = winner.broadcast_as(windows.shape())?.eq(&places.broadcast_as(windows.shape())?)?;
    chosen.where_cond(windows, &windows.zeros_like()?)?.sum(D::Minus1)
}

/// `[B, C, H, W] -> [B, C, H / k, W / k, k k]` from ops whose gradients candle has right on every device.
fn split(x: &Tensor, k: usize) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    let (oh, ow) = (h / k, w / k);
    x.narrow(2, 0, oh * k)?
        .narrow(3, 0, ow * k)?
        .reshape(vec![b, c, oh, k, ow, k])?
        .permute(vec![0, 1, 2, 4, 3, 5])?
        .reshape((b, c, oh, ow, k * k))
}
