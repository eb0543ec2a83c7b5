//! Element-wise functions in one pass each way.

use std::mem::MaybeUninit;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use crate::Real;
use crate::real::{for_real, tensor, with_slice, written};
use crate::simd::{Loop, wide};
use crate::tape::{Saved, Value, composed, record, record_with_result, record1};

/// Elements a task: large enough that handing it out costs nothing.
const BLOCK: usize = 16 * 1024;

fn map<T: Real>(x: &[T], f: impl Fn(T) -> T + Copy + Sync) -> Vec<T> {
    written(x.len(), |y| {
        y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(y, x)| wide::<Each, _>((y, x, f)));
    })
}

struct Each;

impl<'a, T: Real, F: Fn(T) -> T> Loop<(&'a mut [MaybeUninit<T>], &'a [T], F)> for Each {
    type Output = ();

    #[inline(always)]
    fn run((y, x, f): (&'a mut [MaybeUninit<T>], &'a [T], F)) {
        for (y, x) in y.iter_mut().zip(x) {
            y.write(f(*x));
        }
    }
}

fn map2<T: Real>(a: &[T], b: &[T], f: impl Fn(T, T) -> T + Copy + Sync) -> Vec<T> {
    written(a.len(), |y| {
        let blocks = y.par_chunks_mut(BLOCK).zip(a.par_chunks(BLOCK)).zip(b.par_chunks(BLOCK));
        blocks.for_each(|((y, a), b)| wide::<Each2, _>((y, a, b, f)));
    })
}

struct Each2;

impl<'a, T: Real, F: Fn(T, T) -> T> Loop<(&'a mut [MaybeUninit<T>], &'a [T], &'a [T], F)> for Each2 {
    type Output = ();

    #[inline(always)]
    fn run((y, a, b, f): (&'a mut [MaybeUninit<T>], &'a [T], &'a [T], F)) {
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            y.write(f(*a, *b));
        }
    }
}

/// The gradient of a ReLU's argument, from its result.
pub(super) fn opened<T: Real>(y: &[T], grad: &[T]) -> Vec<T> {
    map2(y, grad, |y, g| if y > T::default() || y.is_nan() { g } else { T::default() })
}

/// `x` where it is positive, else `slope x`; 0.2 is the usual leak of GAN networks. NaN stays NaN.
///
/// # Errors
/// A slope below zero, other types than f32 and f64.
pub fn leaky_relu(x: &Tensor, slope: f64) -> Result<Tensor> {
    if slope.is_nan() || slope < 0.0 {
        candle_core::bail!("leaky_relu: a slope of {slope}, must be at least 0");
    }
    if composed(x) {
        return x.detach().le(0.0)?.where_cond(&(x * slope)?, x);
    }
    for_real!(x, T => {
        let (zero, slope) = (T::default(), T::of(slope));
        let y = with_slice::<T, _>(x, |x| map(x, |v| if v < zero { v * slope } else { v }))?;
        // The result has its argument's sign, and the next layer saves it anyway.
        record_with_result("leaky_relu", &[x], Value::new(y, x.shape().clone()), move |y, grad| {
            let dx = with_slice::<T, _>(y, |y| {
                with_slice::<T, _>(grad, |grad| map2(y, grad, |v, g| if v > zero || v.is_nan() { g } else { g * slope }))
            })??;
            Ok(vec![Some(tensor(dx, y.shape())?)])
        })
    })
}

/// `max(x, 0)`. NaN stays NaN.
///
/// # Errors
/// Other types than f32 and f64.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    if composed(x) {
        return composed_relu(x);
    }
    for_real!(x, T => {
        let zero = T::default();
        let y = with_slice::<T, _>(x, |x| map(x, |v| if v < zero { zero } else { v }))?;
        record_with_result("relu", &[x], Value::new(y, x.shape().clone()), |y, grad| {
            let dx = with_slice::<T, _>(y, |y| with_slice::<T, _>(grad, |grad| opened(y, grad)))??;
            Ok(vec![Some(tensor(dx, y.shape())?)])
        })
    })
}

/// The ReLU of candle's ops, with the gradients of the kernels: 0 at 0 (candle's own passes it on), NaN stays NaN.
pub(super) fn composed_relu(x: &Tensor) -> Result<Tensor> {
    x.detach().le(0.0)?.where_cond(&x.zeros_like()?, x)
}

/// `a + b`, of one shape.
///
/// # Errors
/// Shapes that differ, other types than f32 and f64.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.shape() != b.shape() {
        candle_core::bail!("add: {:?} and {:?}", a.shape(), b.shape());
    }
    if composed(a) {
        return a + b;
    }
    for_real!(a, T => {
        let y = with_slice::<T, _>(a, |a| with_slice::<T, _>(b, |b| map2(a, b, |a, b| a + b)))??;
        record("add", &[a, b], Value::new(y, a.shape().clone()), |grad| Ok(vec![Some(grad.clone()); 2]))
    })
}

/// `max(a + b, 0)`: the end of a residual block in one pass.
///
/// # Errors
/// Shapes that differ, other types than f32 and f64.
pub fn add_relu(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.shape() != b.shape() {
        candle_core::bail!("add_relu: {:?} and {:?}", a.shape(), b.shape());
    }
    if composed(a) {
        return composed_relu(&(a + b)?);
    }
    for_real!(a, T => {
        let zero = T::default();
        let y = with_slice::<T, _>(a, |a| with_slice::<T, _>(b, |b| map2(a, b, |a, b| { let v = a + b; if v < zero { zero } else { v } })))??;
        record_with_result("add_relu", &[a, b], Value::new(y, a.shape().clone()), |y, grad| {
            let d = with_slice::<T, _>(y, |y| with_slice::<T, _>(grad, |grad| opened(y, grad)))??;
            Ok(vec![Some(tensor(d, y.shape())?); 2])
        })
    })
}

/// `log(1 + e^x)` without overflow; the loss of non-saturating GANs.
///
/// # Errors
/// Other types than f32 and f64.
pub fn softplus(x: &Tensor) -> Result<Tensor> {
    if composed(x) {
        return composed_softplus(x);
    }
    for_real!(x, T => {
        let zero = T::default();
        let y = with_slice::<T, _>(x, |x| map(x, |v| (if v > zero { v } else { zero }) + (-v.abs()).exp().ln_1p()))?;
        let saved = Saved::new(x);
        record1("softplus", x, Value::new(y, x.shape().clone()), move |grad| {
            let dx = with_slice::<T, _>(saved.get()?, |x| with_slice::<T, _>(grad, |grad| map2(x, grad, |v, g| g * sigmoid(v))))??;
            Ok(Some(tensor(dx, saved.shape())?))
        })
    })
}

/// `max(x, 0) + ln(1 + e)` with `e = exp(-|x|)`. candle has no `ln_1p`: with `u = 1 + e` as it is rounded, `ln(u) e / (u - 1)` is
/// `ln(1 + e)` to full precision, and `e` where `u` is 1 (Higham 2002, section 1.14.1). The gradient is that of the plain
/// formula; candle's gradients of ReLU and |x| at 0 add up to the right one there.
fn composed_softplus(x: &Tensor) -> Result<Tensor> {
    let e = x.abs()?.neg()?.exp()?;
    let u = (&e + 1.0)?;
    let plain = u.log()?;
    let (e, u) = (e.detach(), u.detach());
    let precise = u.eq(1.0)?.where_cond(&e, &(plain.detach() * &e)?.div(&(&u - 1.0)?)?)?;
    let correction = (precise - plain.detach())?;
    x.relu()? + (plain + correction)?
}

/// The logistic function of one number, stable at both ends.
fn sigmoid<T: Real>(v: T) -> T {
    let (zero, one) = (T::default(), T::of(1.0));
    if v < zero {
        let e = v.exp();
        e / (one + e)
    } else {
        one / (one + (-v).exp())
    }
}

/// Hyperbolic tangent, the last layer of generators.
///
/// # Errors
/// Other types than f32 and f64.
pub fn tanh(x: &Tensor) -> Result<Tensor> {
    if composed(x) {
        return x.tanh();
    }
    for_real!(x, T => {
        let y = with_slice::<T, _>(x, |x| map(x, T::tanh))?;
        record_with_result("tanh", &[x], Value::new(y, x.shape().clone()), move |y, grad| {
            let dx = with_slice::<T, _>(y, |y| with_slice::<T, _>(grad, |grad| map2(y, grad, |y, g| g * (T::of(1.0) - y * y))))??;
            Ok(vec![Some(tensor(dx, y.shape())?)])
        })
    })
}
