//! Nearest up-sampling by 2 and a 3x3 convolution in one: the step of generators.
//!
//! Every pixel of the larger image sees 2x2 pixels of the smaller one, some through the sum of two or four taps. That is a
//! transposed 4x4 convolution at stride 2 with those sums as its kernel: 4 products instead of 9, and the large copy of the
//! smaller image is never made.

use candle_core::{Result, Tensor};

use super::{conv_transpose2d, conv2d, upsample_nearest};
use crate::Real;
use crate::real::{for_real, tensor, with_slice};
use crate::tape::{Value, composed, record1, weight};

/// `conv2d(upsample_nearest(x, 2), w, bias, 1, 1)`.
///
/// Shapes: `x [B, Ci, H, W]`, `w [Co, Ci, 3, 3]`, `bias [Co]`, result `[B, Co, 2 H, 2 W]`.
///
/// # Errors
/// Shapes that do not fit, other types than f32 and f64.
pub fn upsample_conv2d(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (to, from, height, width) = w.dims4()?;
    if (height, width) != (3, 3) || x.dims4()?.1 != from {
        candle_core::bail!("upsample_conv2d: input {:?} does not fit weight {:?}", x.shape(), w.shape());
    }
    if composed(x) {
        return conv2d(&upsample_nearest(x, 2)?, w, bias, 1, 1);
    }
    let w = weight(w);
    let spread = for_real!(w, T => {
        let kernels = with_slice::<T, _>(&w, |w| summed::<T>(w, (to, from)))?;
        record1("summed_taps", &w, Value::new(kernels, (from, to, 4, 4)), move |grad| {
            let dw = with_slice::<T, _>(grad, |grad| summed_adjoint::<T>(grad, (to, from)))?;
            Ok(Some(tensor(dw, (to, from, 3, 3))?))
        })
    })?;
    conv_transpose2d(x, &spread, bias, 2, 1)
}

/// Taps of the 3x3 kernel that each row, or column, of the 4x4 one is the sum of.
const SUMS: [&[usize]; 4] = [&[2], &[1, 2], &[0, 1], &[0]];

/// All pairs of a tap of the 4x4 kernel and one of the 3x3 kernel that it sums.
fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..16).flat_map(|at: usize| {
        let rows = SUMS[at / 4].iter();
        rows.flat_map(move |y| SUMS[at % 4].iter().map(move |x| (at, 3 * y + x)))
    })
}

/// `[Co, Ci, 3, 3] -> [Ci, Co, 4, 4]`.
fn summed<T: Real>(w: &[T], (to, from): (usize, usize)) -> Vec<T> {
    let pairs: Vec<_> = pairs().collect();
    let mut kernels = vec![T::default(); from * to * 16];
    for (ci, kernels) in kernels.chunks_exact_mut(to * 16).enumerate() {
        for (co, kernel) in kernels.chunks_exact_mut(16).enumerate() {
            let taps = &w[(co * from + ci) * 9..][..9];
            pairs.iter().for_each(|&(sum, tap)| kernel[sum] += taps[tap]);
        }
    }
    kernels
}

/// `[Ci, Co, 4, 4] -> [Co, Ci, 3, 3]`.
fn summed_adjoint<T: Real>(grad: &[T], (to, from): (usize, usize)) -> Vec<T> {
    let pairs: Vec<_> = pairs().collect();
    let mut dw = vec![T::default(); to * from * 9];
    for (co, dw) in dw.chunks_exact_mut(from * 9).enumerate() {
        for (ci, taps) in dw.chunks_exact_mut(9).enumerate() {
            let kernel = &grad[(ci * to + co) * 16..][..16];
            pairs.iter().for_each(|&(sum, tap)| taps[tap] += kernel[sum]);
        }
    }
    dw
}
