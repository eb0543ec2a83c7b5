//! Tensors kept from the forward pass for the backward pass.

use candle_core::{DType, Result, Shape, Tensor};

use crate::Real;
use crate::real::with_slice;

/// A tensor that an op's gradients are computed from. A variable may be written to in place between the two passes (by an
/// optimizer, by `Var::set`), and the gradients would be those of other weights: [`Saved::get`] is an error then.
///
/// Writes are found by comparing some of the variable's numbers with those of the forward pass, independent of the code that wrote them: candle
/// counts no versions. Numbers of other tensors never change.
pub(crate) struct Saved {
    tensor: Tensor,
    mark: Option<u64>,
}

impl Saved {
    pub(crate) fn new(tensor: &Tensor) -> Self {
        Self { tensor: tensor.clone(), mark: mark(tensor) }
    }

    pub(crate) fn shape(&self) -> &Shape {
        self.tensor.shape()
    }

    /// The tensor as it was in the forward pass.
    pub(crate) fn get(&self) -> Result<&Tensor> {
        if self.mark.is_some() && mark(&self.tensor) != self.mark {
            candle_core::bail!(
                "backward: a variable {:?} was changed after the forward pass that its gradient belongs to (by an optimizer step, \
                 loaded weights or `Var::set`); run the forward pass again",
                self.tensor.shape()
            );
        }
        Ok(&self.tensor)
    }
}

/// Numbers of a variable that are compared, evenly spaced. An optimizer changes nearly all.
const SAMPLES: usize = 32;

fn mark(tensor: &Tensor) -> Option<u64> {
    if !tensor.is_variable() {
        return None;
    }
    match tensor.dtype() {
        DType::F32 => with_slice::<f32, _>(tensor, mark_of).ok(),
        DType::F64 => with_slice::<f64, _>(tensor, mark_of).ok(),
        _ => None,
    }
}

fn mark_of<T: Real>(numbers: &[T]) -> u64 {
    // An odd step, or all samples could be the same tap of each kernel.
    let step = numbers.len().div_ceil(SAMPLES) | 1;
    numbers.iter().step_by(step).fold(0, |mark: u64, number| {
        (mark.rotate_left(23) ^ number.f64().to_bits()).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    })
}
