//! `y = x W^T + b`.
//!
//! In f32 three small matrix products over slices of the inputs, the gradient of a weight written where it belongs: candle
//! copies and transposes it, which for a wide layer costs more than the multiplications. The weight is read once each way.

use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

use super::microkernel::{LANES, Product, whole};
use super::scratch::with_scratch;
use super::transpose::{Rows, gather};
use super::window::Window;
use crate::real::{with_slice, written};
use crate::simd::{Loop, wide};
use crate::tape::{Saved, Value, composed, gradient, needs_gradient, record};

/// Affine map of rows: `x [B, I]`, or `[B, ...]` with `I` numbers per row, `w [O, I]`, `bias [O]`, result `[B, O]`.
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
    let (saved_x, saved_w) = (Saved::new(x), Saved::new(w));
    let needed = (x.track_op(), needs_gradient(w), needs_gradient(bias));
    record("linear", &[x, w, bias], Value::new(y, (batch, outputs)), move |dy| {
        with_slice::<f32, _>(dy, |dy| {
            let column = |o: usize| (0..batch).map(|b| f64::from(dy[b * outputs + o])).sum::<f64>() as f32;
            Ok(vec![
                gradient(needed.0, saved_x.shape(), || with_slice::<f32, _>(saved_w.get()?, |w| grad_input(s, w, dy)))?,
                gradient(needed.1, saved_w.shape(), || {
                    with_slice::<f32, _>(saved_x.get()?, |x| grad_weight(s, x, dy))
                })?,
                gradient::<f32>(needed.2, outputs, || Ok((0..outputs).map(column).collect()))?,
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

/// Inputs summed together; fixed, so that the order of additions is.
const PART: usize = 2048;
/// Inputs of a part summed in registers, before they are added to the previous sum.
const DEPTH: usize = 256;
/// Outputs computed by one task.
const BLOCK: usize = 64;
/// Up to this many images the memory bounds a wide layer, and the weight is read once.
const FEW: usize = 8;

/// Images, or for few of them outputs, lie side by side in a vector; either way the sum of one output of one image takes the
/// same additions in the same order, so that no image's result depends on the batch size.
fn forward(s: Sizes, x: &[f32], w: &[f32], bias: &[f32]) -> Vec<f32> {
    let Sizes { batch, inputs, outputs } = s;
    let few = batch <= FEW;
    let part = |first| if few { part_of_few(s, x, w, first) } else { part_of_many(s, x, w, first) };
    let parts: Vec<_> = (0..inputs).into_par_iter().step_by(PART).map(part).collect();
    // Of output and image: `[B, O]` or `[O, B]`.
    let strides = if few { (1, whole(outputs)) } else { (whole(batch), 1) };
    let mut y = vec![0.0; batch * outputs];
    for (b, y) in y.chunks_exact_mut(outputs).enumerate() {
        for (o, y) in y.iter_mut().enumerate() {
            *y = bias[o] + parts.iter().map(|sums| sums[o * strides.0 + b * strides.1]).sum::<f32>();
        }
    }
    y
}

/// Where the runs of [`DEPTH`] inputs of a part begin and how long they are.
fn runs(first: usize, inputs: usize) -> impl Iterator<Item = (usize, usize)> {
    let end = inputs.min(first + PART);
    (first..end).step_by(DEPTH).map(move |at| (at, DEPTH.min(end - at)))
}

/// `W X^T`, images side by side: the weight is read where it lies.
fn part_of_many(s: Sizes, x: &[f32], w: &[f32], first: usize) -> Vec<f32> {
    let Sizes { batch, inputs, outputs } = s;
    let columns = whole(batch);
    let depth = PART.min(inputs - first);
    let mut turned = vec![0.0; depth * columns];
    turn(&x[first..], (batch, inputs), (depth, columns), &mut turned);
    let mut sums = vec![0.0; outputs * columns];
    sums.par_chunks_mut(BLOCK * columns).enumerate().for_each(|(block, sums)| {
        for (at, depth) in runs(first, inputs) {
            let a = (&w[block * BLOCK * inputs + at..], (inputs, 1));
            let x = &turned[(at - first) * columns..];
            Product::of((sums.len() / columns, columns), depth, a, x, Window::of(sums), columns, true).compute();
        }
    });
    sums
}

/// `X W^T`, outputs side by side: a few images would leave most of a vector empty.
fn part_of_few(s: Sizes, x: &[f32], w: &[f32], first: usize) -> Vec<f32> {
    let Sizes { batch, inputs, outputs } = s;
    let row = whole(outputs);
    let mut sums = vec![0.0; batch * row];
    let window = Window::of(&mut sums);
    (0..outputs).into_par_iter().step_by(BLOCK).for_each(|block| {
        let count = BLOCK.min(outputs - block);
        let columns = whole(count);
        with_scratch([DEPTH * columns], |[turned]| {
            for (at, depth) in runs(first, inputs) {
                turn(&w[block * inputs + at..], (count, inputs), (depth, columns), turned);
                let product = Product {
                    size: (batch, columns),
                    depth,
                    a: &x[at..],
                    a_strides: (inputs, 1),
                    b: turned,
                    b_step: columns,
                    segments: &[(0, 0)],
                    c: window.from(block),
                    c_row: row,
                    add: true,
                };
                product.compute();
            }
        });
    });
    sums
}

/// The first `depth` numbers of each row of `[rows, row]`, as `[depth, columns]`.
fn turn(from: &[f32], (rows, row): (usize, usize), (depth, columns): (usize, usize), to: &mut [f32]) {
    // A row is one channel here, its values are a line of pixels.
    gather(from, rows, (1, row), Rows { first: 0, rows: 1, left: 0, columns: depth, stride: columns }, to);
}

/// Inputs whose gradients one task computes, of few images a multiple.
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
                Product::of((rows, columns), depth, a, packed, Window::of(sums), columns, false).compute();
                for (row, sums) in sums.chunks_exact(columns).enumerate() {
                    window.copy_from(row * inputs + first, &sums[..count]);
                }
            });
        });
    })
}

/// `dX = dY W`.
fn grad_input(s: Sizes, w: &[f32], dy: &[f32]) -> Vec<f32> {
    let Sizes { batch, inputs, outputs } = s;
    if batch > FEW {
        return by_slices(inputs, (batch, outputs), (dy, (outputs, 1)), w);
    }
    written(batch * inputs, |dx| {
        let window = Window::of_unwritten(dx);
        let part = inputs.div_ceil(4).next_multiple_of(SLICE).min(PART);
        (0..inputs).into_par_iter().step_by(part).for_each(|first| {
            let count = part.min(inputs - first);
            with_scratch([batch * count], |[sums]| {
                sums.fill(0.0);
                for o in (0..outputs).step_by(4) {
                    // Four rows at a time, as many streams from memory; the last ones with factors of zero.
                    let row = |k: usize| &w[(o + k).min(outputs - 1) * inputs + first..][..count];
                    let rows: [&[f32]; 4] = std::array::from_fn(row);
                    for (sums, dy) in sums.chunks_exact_mut(count).zip(dy.chunks_exact(outputs)) {
                        let factors = std::array::from_fn(|k| dy.get(o + k).copied().unwrap_or(0.0));
                        wide::<AddMultiples, _>((&mut *sums, rows, factors));
                    }
                }
                for (b, sums) in sums.chunks_exact(count).enumerate() {
                    window.copy_from(b * inputs + first, sums);
                }
            });
        });
    })
}

/// `sums += factor values`, of four rows of values.
struct AddMultiples;

impl Loop<(&mut [f32], [&[f32]; 4], [f32; 4])> for AddMultiples {
    type Output = ();
    #[inline(always)]
    fn run((sums, [a, b, c, d], factors): (&mut [f32], [&[f32]; 4], [f32; 4])) {
        for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *sum += (factors[0] * a + factors[1] * b) + (factors[2] * c + factors[3] * d);
        }
    }
}

/// `dW = dY^T X`.
fn grad_weight(s: Sizes, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let Sizes { batch, inputs, outputs } = s;
    if batch > FEW || !inputs.is_multiple_of(2 * LANES) {
        return by_slices(inputs, (outputs, batch), (dy, (1, outputs)), x);
    }
    /// Rows of the gradient written by one task: a block of registers.
    const ROWS: usize = 8;
    written(outputs * inputs, |dw| {
        let window = Window::of_unwritten(dw);
        (0..outputs).into_par_iter().step_by(ROWS).for_each(|first| {
            let rows = ROWS.min(outputs - first);
            let dw = window.from(first * inputs);
            Product::of((rows, inputs), batch, (&dy[first..], (1, outputs)), x, dw, inputs, false).compute();
        });
    })
}
