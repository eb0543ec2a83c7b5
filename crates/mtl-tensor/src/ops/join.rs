//! Joining tensors, and giving them another shape.

use candle_core::{Result, Shape, Tensor};
use rayon::prelude::*;

use crate::real::{for_real, tensor, with_slice, written};
use crate::tape::{Value, composed, record, record1};

/// Side by side along the second dimension: `[B, C1, ...], [B, C2, ...], ... -> [B, C1 + C2 + ..., ...]`.
///
/// # Errors
/// No tensors, or shapes that differ in more than the second dimension.
pub fn cat_channels(tensors: &[&Tensor]) -> Result<Tensor> {
    let first = tensors.first().ok_or_else(|| candle_core::Error::Msg("cat_channels: of nothing".into()))?;
    let dims = first.dims();
    let fits = |other: &&Tensor| {
        let other = other.dims();
        other.len() == dims.len() && dims.len() >= 2 && other[0] == dims[0] && other[2..] == dims[2..]
    };
    if !tensors.iter().all(fits) {
        let shapes: Vec<&Shape> = tensors.iter().map(|tensor| tensor.shape()).collect();
        candle_core::bail!("cat_channels: {shapes:?} differ in more than their channels");
    }
    if composed(first) {
        return Tensor::cat(tensors, 1);
    }
    let batch = dims[0];
    // Numbers of one row of each, and where they begin in a row of the result.
    let lengths: Vec<usize> = tensors.iter().map(|tensor| tensor.elem_count() / batch.max(1)).collect();
    let starts: Vec<usize> = lengths.iter().scan(0, |at, length| Some(std::mem::replace(at, *at + length))).collect();
    let row: usize = lengths.iter().sum();
    let mut shape = dims.to_vec();
    shape[1] = tensors.iter().map(|tensor| tensor.dims()[1]).sum();
    for_real!(first, T => {
        let mut values = vec![<T as Default>::default(); batch * row];
        for ((x, &length), &start) in tensors.iter().zip(&lengths).zip(&starts) {
            with_slice::<T, _>(x, |x| {
                values.par_chunks_mut(row.max(1)).zip(x.par_chunks(length.max(1))).for_each(|(to, from)| {
                    to[start..start + length].copy_from_slice(from);
                });
            })?;
        }
        let shapes: Vec<Shape> = tensors.iter().map(|tensor| tensor.shape().clone()).collect();
        record("cat_channels", tensors, Value::new(values, shape), move |grad| {
            with_slice::<T, _>(grad, |grad| {
                let parts = shapes.iter().zip(&lengths).zip(&starts);
                let part = |((shape, &length), &start): ((&Shape, &usize), &usize)| {
                    let part = written::<T>(batch * length, |part| part.par_chunks_mut(length.max(1)).zip(grad.par_chunks(row.max(1))).for_each(|(to, from)| {
                        to.write_copy_of_slice(&from[start..start + length]);
                    }));
                    Ok(Some(tensor(part, shape.clone())?))
                };
                parts.map(part).collect()
            })?
        })
    })
}

/// The same numbers in another shape.
///
/// # Errors
/// A shape for another number of them.
pub fn reshape(x: &Tensor, shape: impl Into<Shape>) -> Result<Tensor> {
    let shape = shape.into();
    if composed(x) || shape.elem_count() != x.elem_count() {
        return x.reshape(shape);
    }
    for_real!(x, T => {
        let values = with_slice::<T, _>(x, <[T]>::to_vec)?;
        let before = x.shape().clone();
        record1("reshape", x, Value::new(values, shape), move |grad| Ok(Some(grad.reshape(&before)?)))
    })
}
