//! `y = x W^T + b`.
//!
//! In f32 three small matrix products over slices of the inputs, the gradient of a weight written where it belongs: candle
//! copies and transposes it, which for a wide layer costs more than the multiplications. The weight is read once each way.

use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

use super::product::{LANES, Product, whole};
use super::scratch::with_scratch;
use super::transpose::{Rows, gather};
use super::window::Window;
use crate::real::{with_slice, written};
use crate::tape::{Value, composed, gradient, is_learnt, record};

/// Affine map of rows: `x [B, I]`, or `[B, ...]` with `I` numbers a row, `w [O, I]`, `bias [O]`, result `[B, O]`.
///
/// # Errors
/// Shapes that do not fit.
pub fn linear(x: &Tensor, w: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (outputs, inputs) = w.dims2()?;
    let batch = x.dims().first().copied().unwrap_or(0);
    if x.elem_count() != batch * inputs || bias.dims() != [outputs] {
        candle_core::bail!("linear: input {:?}, weight {:?}, bias {:?}", x.shape(), w.shape(), bias.shape());
    }
    if composed(x) || x.dtype() != DType::F32 || batch * inputs * outputs == 0 {
        return x.reshape((batch, inputs))?.matmul(&w.t()?)?.broadcast_add(bias);
    }
    let s = Sizes { batch, inputs, outputs };
    let y = with_slice::<f32, _>(x, |x| {
        with_slice::<f32, _>(w, |w| with_slice::<f32, _>(bias, |bias| forward(s, x, w, bias)))
    })???;
    let (saved_x, saved_w) = (x.clone(), w.clone());
    let asked = (x.track_op(), is_learnt(w), is_learnt(bias));
    record("linear", &[x, w, bias], Value::new(y, (batch, outputs)), move |_, dy| {
        with_slice::<f32, _>(dy, |dy| {
            let column = |o: usize| (0..batch).map(|b| f64::from(dy[b * outputs + o])).sum::<f64>() as f32;
            Ok(vec![
                gradient(asked.0, saved_x.shape(), || with_slice::<f32, _>(&saved_w, |w| grad_input(s, w, dy)))?,
                gradient(asked.1, saved_w.shape(), || with_slice::<f32, _>(&saved_x, |x| grad_weight(s, x, dy)))?,
                gradient::<f32>(asked.2, outputs, || Ok((0..outputs).map(column).collect()))?,
            ])
        })?
    })
}

#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    inputs: usize,
    outputs: usize,
}

/// Inputs summed by one task; fixed, so that the order of additions is.
const PART: usize = 2048;
/// Outputs computed by one task.
const BLOCK: usize = 64;

/// `Y^T = W X^T` with images side by side, so that no transposed copy of the weight is made, and no image's sums depend on
/// how many there are.
fn forward(s: Sizes, x: &[f32], w: &[f32], bias: &[f32]) -> Vec<f32> {
    let Sizes { batch, inputs, outputs } = s;
    let columns = whole(batch);
    let parts: Vec<Vec<f32>> = (0..inputs)
        .into_par_iter()
        .step_by(PART)
        .map(|first| {
            let depth = PART.min(inputs - first);
            // An image is one channel here, its inputs a line of pixels.
            let layout = Rows { first: 0, rows: 1, left: 0, columns: depth, stride: columns };
            let mut turned = vec![0.0; layout.len()];
            gather(&x[first..], batch, (1, inputs), layout, &mut turned);
            let mut sums = vec![0.0; outputs * columns];
            sums.par_chunks_mut(BLOCK * columns).enumerate().for_each(|(block, sums)| {
                let a = (&w[block * BLOCK * inputs + first..], (inputs, 1));
                Product::of((sums.len() / columns, columns), depth, a, &turned, sums, columns, false).compute();
            });
            sums
        })
        .collect();
    let mut y = vec![0.0; batch * outputs];
    for (b, y) in y.chunks_exact_mut(outputs).enumerate() {
        for (o, y) in y.iter_mut().enumerate() {
            *y = bias[o] + parts.iter().map(|sums| sums[o * columns + b]).sum::<f32>();
        }
    }
    y
}

/// Inputs whose gradients one task computes.
const SLICE: usize = 256;

/// `[first, first + count)` of each row of `[rows, inputs]`, side by side and padded with zeros.
fn slice(numbers: &[f32], inputs: usize, first: usize, columns: usize, to: &mut [f32]) {
    let count = columns.min(inputs - first);
    for (row, to) in numbers.chunks_exact(inputs).zip(to.chunks_exact_mut(columns)) {
        to[..count].copy_from_slice(&row[first..first + count]);
        to[count..].fill(0.0);
    }
}

/// `C[i, first..] = sum over k of A[i, k] B[k, first..]` for all slices of inputs; `b [depth, inputs]`, `C [rows, inputs]`.
fn by_slices(inputs: usize, (rows, depth): (usize, usize), a: (&[f32], (usize, usize)), b: &[f32]) -> Vec<f32> {
    written(rows * inputs, |c| {
        let window = Window::of_unwritten(c);
        (0..inputs).into_par_iter().step_by(SLICE).for_each(|first| {
            let count = SLICE.min(inputs - first);
            let columns = count.next_multiple_of(2 * LANES);
            with_scratch([depth * columns, rows * columns], |[packed, sums]| {
                slice(b, inputs, first, columns, packed);
                Product::of((rows, columns), depth, a, packed, &mut *sums, columns, false).compute();
                for (row, sums) in sums.chunks_exact(columns).enumerate() {
                    window.copy_from(row * inputs + first, &sums[..count]);
                }
            });
        });
    })
}

/// `dX = dY W`.
fn grad_input(s: Sizes, w: &[f32], dy: &[f32]) -> Vec<f32> {
    by_slices(s.inputs, (s.batch, s.outputs), (dy, (s.outputs, 1)), w)
}

/// `dW = dY^T X`.
fn grad_weight(s: Sizes, x: &[f32], dy: &[f32]) -> Vec<f32> {
    by_slices(s.inputs, (s.outputs, s.batch), (dy, (1, s.outputs)), x)
}
