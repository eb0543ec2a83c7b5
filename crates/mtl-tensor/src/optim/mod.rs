//! From gradients to new weights: optimizers with state that can be saved, a schedule, clipping, weight averages.

mod ema;
mod optimizer;
mod schedule;

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var};
use rayon::prelude::*;

pub use ema::{Averaging, Ema};
pub use optimizer::{Config, Optimizer};
pub use schedule::Schedule;

use crate::Gradients;
use crate::real::{for_real, with_slice};

/// Gradients by parameter name.
pub type Grads = BTreeMap<String, Tensor>;

/// The gradients of `params` in a backward pass; parameters the loss does not depend on are left out.
pub fn collect(found: &Gradients, params: &BTreeMap<String, Var>) -> Grads {
    params.iter().filter_map(|(name, var)| Some((name.clone(), found.get(var)?.clone()))).collect()
}

/// Euclidean length of all gradients together, summed in f64 in name order. Not finite if any entry is not.
///
/// # Errors
/// Other types than f32 and f64.
pub fn global_norm(grads: &Grads) -> Result<f64> {
    let mut total = 0.0;
    for grad in grads.values() {
        total += square_norm(grad)?;
    }
    Ok(total.sqrt())
}

/// Sum of squares of one tensor, in f64.
///
/// # Errors
/// Other types than f32 and f64.
pub fn square_norm(tensor: &Tensor) -> Result<f64> {
    if !tensor.device().is_cpu() {
        return tensor
            .sqr()?
            .sum_all()?
            .to_device(&candle_core::Device::Cpu)?
            .to_dtype(candle_core::DType::F64)?
            .to_scalar();
    }
    // Parts of fixed length, so that the order of additions is fixed too.
    for_real!(tensor, T => with_slice::<T, _>(tensor, |values| {
        let part = |values: &[T]| values.iter().map(|v| { let v = crate::Real::f64(*v); v * v }).sum::<f64>();
        values.par_chunks(PART).map(part).collect::<Vec<_>>().into_iter().sum()
    }))
}

/// Numbers of a parameter that one parallel task handles.
const PART: usize = 16 * 1024;

/// Inner product of two gradients of the same parameters, in f64; on accelerators in their own type.
///
/// # Errors
/// Shapes that differ.
pub fn dot(a: &Tensor, b: &Tensor) -> Result<f64> {
    if !a.device().is_cpu() {
        let sum = (a * b)?.sum_all()?.to_device(&candle_core::Device::Cpu)?;
        return sum.to_dtype(candle_core::DType::F64)?.to_scalar();
    }
    if a.shape() != b.shape() {
        candle_core::bail!("dot: {:?} and {:?}", a.shape(), b.shape());
    }
    for_real!(a, T => {
        let part = |(a, b): (&[T], &[T])| {
            a.iter().zip(b).map(|(a, b)| crate::Real::f64(*a) * crate::Real::f64(*b)).sum::<f64>()
        };
        let parts = |a: &[T], b: &[T]| a.par_chunks(PART).zip(b.par_chunks(PART)).map(part).collect::<Vec<_>>();
        with_slice::<T, _>(a, |a| with_slice::<T, _>(b, |b| parts(a, b).into_iter().sum()))?
    })
}

/// The first gradient (by name) with an entry that is not finite.
pub fn first_non_finite(grads: &Grads) -> Option<&str> {
    grads.iter().find(|(_, grad)| !square_norm(grad).is_ok_and(f64::is_finite)).map(|(name, _)| name.as_str())
}
