//! Products over the channels of a pixel and means over the images of a batch, without a convolution.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::sum::sum;
use crate::real::{for_real, tensor, with_slice};
use crate::tape::{Saved, Value, composed, gradient, record, record1};

/// The inner product of every pixel's channels with a vector of its image: `y[b, i] = sum_c x[b, c, i] v[b, c]`.
///
/// Shapes: `x [B, C, H, W]`, `v [B, C]`, result `[B, H W]`.
///
/// # Errors
/// Shapes that do not fit, other types than f32 and f64.
pub fn channel_product(x: &Tensor, v: &Tensor) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let pixels = height * width;
    if v.dims() != [batch, channels] {
        candle_core::bail!("channel_product: vectors {:?} for {:?}", v.shape(), x.shape());
    }
    if composed(x) || x.elem_count() == 0 {
        return v.unsqueeze(1)?.matmul(&x.reshape((batch, channels, pixels))?)?.squeeze(1);
    }
    for_real!(x, T => {
        let y = with_slice::<T, _>(x, |x| with_slice::<T, _>(v, |v| {
            let mut y = vec![<T as Default>::default(); batch * pixels];
            let images = y.par_chunks_mut(pixels).zip(x.par_chunks(channels * pixels)).zip(v.par_chunks(channels));
            images.for_each(|((y, x), v)| {
                for (plane, v) in x.chunks_exact(pixels).zip(v) {
                    y.iter_mut().zip(plane).for_each(|(y, x)| *y += *x * *v);
                }
            });
            y
        }))??;
        let (saved_x, saved_v, needed) = (Saved::new(x), Saved::new(v), (x.track_op(), v.track_op()));
        record("channel_product", &[x, v], Value::new(y, (batch, pixels)), move |grad| {
            with_slice::<T, _>(grad, |grad| Ok(vec![
                gradient(needed.0, saved_x.shape(), || with_slice::<T, _>(saved_v.get()?, |v| {
                    let mut dx = vec![<T as Default>::default(); batch * channels * pixels];
                    dx.par_chunks_mut(pixels).enumerate().for_each(|(plane, dx)| {
                        let grad = &grad[plane / channels * pixels..][..pixels];
                        dx.iter_mut().zip(grad).for_each(|(dx, grad)| *dx = *grad * v[plane]);
                    });
                    dx
                }))?,
                gradient(needed.1, saved_v.shape(), || with_slice::<T, _>(saved_x.get()?, |x| {
                    x.par_chunks(pixels).enumerate().map(|(plane, x)| {
                        let grad = &grad[plane / channels * pixels..][..pixels];
                        let products: Vec<T> = x.iter().zip(grad).map(|(x, grad)| *x * *grad).collect();
                        <T as crate::Real>::of(sum(&products))
                    }).collect()
                }))?,
            ]))?
        })
    })
}

/// Mean over the images: `[B, ...] -> [...]`.
///
/// # Errors
/// No images, other types than f32 and f64.
pub fn batch_mean(x: &Tensor) -> Result<Tensor> {
    let (batch, rest) = (x.dim(0)?, x.dims()[1..].to_vec());
    if batch == 0 {
        candle_core::bail!("batch_mean: of no images");
    }
    if composed(x) {
        return x.mean(0);
    }
    let numbers = x.elem_count() / batch;
    for_real!(x, T => {
        let share = <T as crate::Real>::of(1.0 / batch as f64);
        let y = with_slice::<T, _>(x, |x| {
            let mut y = vec![<T as Default>::default(); numbers];
            y.par_chunks_mut(BLOCK).enumerate().for_each(|(block, y)| {
                for image in x.chunks_exact(numbers) {
                    y.iter_mut().zip(&image[block * BLOCK..]).for_each(|(y, x)| *y += *x);
                }
                y.iter_mut().for_each(|y| *y *= share);
            });
            y
        })?;
        let shape = x.shape().clone();
        record1("batch_mean", x, Value::new(y, rest), move |grad| {
            let dx = with_slice::<T, _>(grad, |grad| {
                let mut dx = vec![<T as Default>::default(); batch * numbers];
                dx.par_chunks_mut(numbers).for_each(|dx| {
                    dx.iter_mut().zip(grad).for_each(|(dx, grad)| *dx = *grad * share);
                });
                dx
            })?;
            Ok(Some(tensor(dx, &shape)?))
        })
    })
}

/// Numbers of the mean that one task computes.
const BLOCK: usize = 1024;
