//! Changing resolution: nearest and bilinear up-sampling, pixel shuffle and unshuffle.
//!
//! candle's `upsample_nearest2d` overwrites the gradient of a tensor that is used twice, and `upsample_bilinear2d` has
//! none; both are separable linear maps here, whose gradient is the transposed map.

use std::mem::MaybeUninit;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use crate::Real;
use crate::real::{for_real, from_host, tensor, with_slice, written};
use crate::tape::{Value, composed, record1};

/// Each pixel becomes a `k x k` block: `[B, C, H, W] -> [B, C, k H, k W]`.
///
/// # Errors
/// Another rank than 4, `k = 0`.
pub fn upsample_nearest(x: &Tensor, k: usize) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    if k == 0 {
        candle_core::bail!("upsample_nearest: factor 0");
    }
    if k == 1 {
        return Ok(x.clone());
    }
    if composed(x) {
        return x.reshape(vec![b, c, h, 1, w, 1])?.broadcast_as(vec![b, c, h, k, w, k])?.contiguous()?.reshape((
            b,
            c,
            h * k,
            w * k,
        ));
    }
    let (oh, ow) = (h * k, w * k);
    for_real!(x, T => {
        let values = with_slice::<T, _>(x, |x| {
            written(b * c * oh * ow, |values| values.par_chunks_mut(k * ow).zip(x.par_chunks(w)).for_each(|(block, line)| {
                let (first, rest) = block.split_at_mut(ow);
                for (out, value) in first.chunks_exact_mut(k).zip(line) {
                    out.fill(MaybeUninit::new(*value));
                }
                for row in rest.chunks_exact_mut(ow) {
                    row.copy_from_slice(first);
                }
            }))
        })?;
        record1("upsample_nearest", x, Value::new(values, (b, c, oh, ow)), move |grad| {
            let dx = with_slice::<T, _>(grad, |grad| {
                let mut dx = vec![T::default(); b * c * h * w];
                dx.par_chunks_mut(w).zip(grad.par_chunks(k * ow)).for_each(|(line, block)| {
                    for row in block.chunks_exact(ow) {
                        for (sum, run) in line.iter_mut().zip(row.chunks_exact(k)) {
                            for value in run {
                                *sum += *value;
                            }
                        }
                    }
                });
                dx
            })?;
            Ok(Some(tensor(dx, (b, c, h, w))?))
        })
    })
}

/// One output pixel as a mix of two input pixels.
#[derive(Clone, Copy)]
struct Mix {
    left: usize,
    right: usize,
    share: f64,
}

/// Half-pixel centres, clamped at the border (PyTorch's `align_corners=False`).
fn mixes(from: usize, to: usize) -> Vec<Mix> {
    let scale = from as f64 / to as f64;
    (0..to)
        .map(|i| {
            let at = ((i as f64 + 0.5) * scale - 0.5).max(0.0);
            let left = (at as usize).min(from - 1);
            Mix { left, right: (left + 1).min(from - 1), share: at - left as f64 }
        })
        .collect()
}

/// Bilinear interpolation to `height x width`, half-pixel centres: `[B, C, H, W] -> [B, C, height, width]`.
///
/// # Errors
/// Another rank than 4, an empty size.
pub fn upsample_bilinear(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    if h * w * height * width == 0 {
        candle_core::bail!("upsample_bilinear: from {:?} to {height}x{width}", x.shape());
    }
    if (h, w) == (height, width) {
        return Ok(x.clone());
    }
    if composed(x) {
        // Two matrix multiplications with the interpolation matrices: right gradients on every device.
        let rows = matrix(x, h, height)?;
        let columns = matrix(x, w, width)?.t()?.contiguous()?;
        let wide = x.reshape((b * c * h, w))?.matmul(&columns)?.reshape((b * c, h, width))?;
        let high = rows.broadcast_left(b * c)?.contiguous()?.matmul(&wide)?;
        return high.reshape((b, c, height, width));
    }
    for_real!(x, T => {
        let values = with_slice::<T, _>(x, |x| bilinear::<T>(x, (h, w), (height, width)))?;
        record1("upsample_bilinear", x, Value::new(values, (b, c, height, width)), move |grad| {
            let dx = with_slice::<T, _>(grad, |grad| bilinear_transposed::<T>(grad, (h, w), (height, width)))?;
            Ok(Some(tensor(dx, (b, c, h, w))?))
        })
    })
}

fn matrix(like: &Tensor, from: usize, to: usize) -> Result<Tensor> {
    let mut entries = vec![0.0; from * to];
    for (row, mix) in mixes(from, to).iter().enumerate() {
        entries[row * from + mix.left] += 1.0 - mix.share;
        entries[row * from + mix.right] += mix.share;
    }
    from_host(entries, (to, from), like)
}

fn bilinear<T: Real>(x: &[T], (h, w): (usize, usize), (height, width): (usize, usize)) -> Vec<T> {
    let (rows, columns) = (mixes(h, height), mixes(w, width));
    let mut values = vec![T::default(); x.len() / (h * w) * height * width];
    values.par_chunks_mut(height * width).zip(x.par_chunks(h * w)).for_each_init(
        || vec![T::default(); w],
        |line, (out, plane)| {
            for (row, out) in rows.iter().zip(out.chunks_exact_mut(width)) {
                let share = T::of(row.share);
                let (top, bottom) = (&plane[row.left * w..][..w], &plane[row.right * w..][..w]);
                for ((value, a), b) in line.iter_mut().zip(top).zip(bottom) {
                    *value = *a + (*b - *a) * share;
                }
                for (mix, value) in columns.iter().zip(out) {
                    *value = line[mix.left] + (line[mix.right] - line[mix.left]) * T::of(mix.share);
                }
            }
        },
    );
    values
}

fn bilinear_transposed<T: Real>(grad: &[T], (h, w): (usize, usize), (height, width): (usize, usize)) -> Vec<T> {
    let (rows, columns) = (mixes(h, height), mixes(w, width));
    let mut dx = vec![T::default(); grad.len() / (height * width) * h * w];
    dx.par_chunks_mut(h * w).zip(grad.par_chunks(height * width)).for_each_init(
        || vec![T::default(); w],
        |line, (plane, grad)| {
            for (row, grad) in rows.iter().zip(grad.chunks_exact(width)) {
                line.fill(T::default());
                for (mix, g) in columns.iter().zip(grad) {
                    let right = *g * T::of(mix.share);
                    line[mix.left] += *g - right;
                    line[mix.right] += right;
                }
                let share = T::of(row.share);
                for (at, value) in line.iter().enumerate() {
                    let below = *value * share;
                    plane[row.left * w + at] += *value - below;
                    plane[row.right * w + at] += below;
                }
            }
        },
    );
    dx
}

/// Channels become pixels: `[B, C k k, H, W] -> [B, C, k H, k W]` (Shi et al. 2016, arXiv 1609.05158).
///
/// # Errors
/// Channels not divisible by `k k`.
pub fn pixel_shuffle(x: &Tensor, k: usize) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    if k == 0 || c % (k * k) != 0 {
        candle_core::bail!("pixel_shuffle: {c} channels do not make blocks of {k}x{k}");
    }
    let to = (b, c / (k * k), h * k, w * k);
    if composed(x) {
        let blocks = x.reshape(vec![b, c / (k * k), k, k, h, w])?.permute(vec![0, 1, 4, 2, 5, 3])?;
        return blocks.contiguous()?.reshape(to);
    }
    for_real!(x, T => {
        let values = with_slice::<T, _>(x, |x| shuffled::<T>(x, (h, w), k))?;
        record1("pixel_shuffle", x, Value::new(values, to), move |grad| {
            let dx = with_slice::<T, _>(grad, |grad| unshuffled::<T>(grad, (h, w), k))?;
            Ok(Some(tensor(dx, (b, c, h, w))?))
        })
    })
}

/// Pixels become channels: `[B, C, k H, k W] -> [B, C k k, H, W]`, the inverse of [`pixel_shuffle`].
///
/// # Errors
/// A size not divisible by `k`.
pub fn pixel_unshuffle(x: &Tensor, k: usize) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    if k == 0 || h % k != 0 || w % k != 0 {
        candle_core::bail!("pixel_unshuffle: {h}x{w} is not divisible by {k}");
    }
    let to = (b, c * k * k, h / k, w / k);
    if composed(x) {
        let blocks = x.reshape(vec![b, c, h / k, k, w / k, k])?.permute(vec![0, 1, 3, 5, 2, 4])?;
        return blocks.contiguous()?.reshape(to);
    }
    for_real!(x, T => {
        let values = with_slice::<T, _>(x, |x| unshuffled::<T>(x, (h / k, w / k), k))?;
        record1("pixel_unshuffle", x, Value::new(values, to), move |grad| {
            let dx = with_slice::<T, _>(grad, |grad| shuffled::<T>(grad, (h / k, w / k), k))?;
            Ok(Some(tensor(dx, (b, c, h, w))?))
        })
    })
}

/// `k k` planes of `h x w` at a time to one of `k h x k w`.
fn shuffled<T: Real>(x: &[T], (h, w): (usize, usize), k: usize) -> Vec<T> {
    let block = (h * w * k * k).max(1);
    written(x.len(), |y| {
        y.par_chunks_mut(block).zip(x.par_chunks(block)).for_each(|(y, x)| {
            for (at, line) in x.chunks_exact(w).enumerate() {
                let (place, row) = (at / h, at % h);
                let to = &mut y[(row * k + place / k) * k * w + place % k..];
                for (to, from) in to.iter_mut().step_by(k).zip(line) {
                    to.write(*from);
                }
            }
        })
    })
}

/// Back.
fn unshuffled<T: Real>(y: &[T], (h, w): (usize, usize), k: usize) -> Vec<T> {
    let block = (h * w * k * k).max(1);
    written(y.len(), |x| {
        x.par_chunks_mut(block).zip(y.par_chunks(block)).for_each(|(x, y)| {
            for (at, line) in x.chunks_exact_mut(w).enumerate() {
                let (place, row) = (at / h, at % h);
                let from = &y[(row * k + place / k) * k * w + place % k..];
                for (to, from) in line.iter_mut().zip(from.iter().step_by(k)) {
                    to.write(*from);
                }
            }
        })
    })
}
