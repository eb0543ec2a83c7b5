//! The two number types kernels are written for, and borrowing a tensor's numbers as a slice.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub};

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Result, Shape, Storage, Tensor};

/// `f32` for speed, `f64` for gradient checks.
pub trait Real:
    candle_core::WithDType
    + Copy
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + MulAssign
    + DivAssign
    + Send
    + Sync
    + 'static
{
    /// Rounds from double precision.
    fn of(value: f64) -> Self;
    /// Widens to double precision.
    fn f64(self) -> f64;
    /// Whether this is no number.
    fn is_nan(self) -> bool;
    /// Square root.
    fn sqrt(self) -> Self;
    /// `e^x`.
    fn exp(self) -> Self;
    /// `ln(1 + x)`, precise for small `x`.
    fn ln_1p(self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Wraps a vector as candle storage.
    fn into_storage(data: Vec<Self>) -> CpuStorage;
    /// The storage's numbers, if they are of this type.
    fn of_storage(storage: &CpuStorage) -> Option<&[Self]>;
    /// The same, to write to.
    fn of_storage_mut(storage: &mut CpuStorage) -> Option<&mut [Self]>;
}

macro_rules! real {
    ($type:ty, $variant:ident) => {
        impl Real for $type {
            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $type
            }
            #[inline(always)]
            fn f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                self.is_nan()
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn exp(self) -> Self {
                self.exp()
            }
            #[inline(always)]
            fn ln_1p(self) -> Self {
                self.ln_1p()
            }
            #[inline(always)]
            fn abs(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                self.tanh()
            }
            fn into_storage(data: Vec<Self>) -> CpuStorage {
                CpuStorage::$variant(data)
            }
            fn of_storage(storage: &CpuStorage) -> Option<&[Self]> {
                match storage {
                    CpuStorage::$variant(data) => Some(data),
                    _ => None,
                }
            }
            fn of_storage_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
                match storage {
                    CpuStorage::$variant(data) => Some(data),
                    _ => None,
                }
            }
        }
    };
}
real!(f32, F32);
real!(f64, F64);

/// Runs `$body` with `$T` bound to the tensor's number type.
macro_rules! for_real {
    ($tensor:expr, $T:ident => $body:expr) => {
        match $tensor.dtype() {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => Err(candle_core::Error::Msg(format!("mtl kernels take f32 or f64, not {other:?}"))),
        }
    };
}
pub(crate) use for_real;

/// Lends the numbers of a CPU tensor, made contiguous first if they are not.
pub(crate) fn with_slice<T: Real, R>(tensor: &Tensor, body: impl FnOnce(&[T]) -> R) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        candle_core::bail!("a CPU kernel was given a tensor on {:?}", tensor.device().location());
    };
    let Some(numbers) = T::of_storage(storage) else {
        candle_core::bail!("a kernel for {:?} was given {:?}", T::DTYPE, tensor.dtype());
    };
    let start = layout.start_offset();
    Ok(body(&numbers[start..start + layout.shape().elem_count()]))
}

struct Write<F>(RefCell<Option<F>>);

impl<F: FnOnce(&mut CpuStorage, &Layout) -> Result<()>> InplaceOp1 for Write<F> {
    fn name(&self) -> &'static str {
        "write"
    }
    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        match self.0.borrow_mut().take() {
            Some(body) => body(storage, layout),
            None => candle_core::bail!("a write ran twice"),
        }
    }
}

/// Lends the numbers of a CPU tensor that is not a view, to be changed in place.
pub(crate) fn with_slice_mut<T: Real>(tensor: &Tensor, body: impl FnOnce(&mut [T]) -> Result<()>) -> Result<()> {
    tensor.inplace_op1(&Write(RefCell::new(Some(|storage: &mut CpuStorage, layout: &Layout| {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("cannot write to a strided view");
        };
        match T::of_storage_mut(storage) {
            Some(numbers) => body(&mut numbers[start..end]),
            None => candle_core::bail!("a write of {:?} was given another type", T::DTYPE),
        }
    }))))
}

/// `count` numbers, every one of which `body` writes: memory is not zeroed first, which was a tenth of a training step.
pub(crate) fn written<T: Real>(count: usize, body: impl FnOnce(&mut [MaybeUninit<T>])) -> Vec<T> {
    let mut numbers = Vec::with_capacity(count);
    body(&mut numbers.spare_capacity_mut()[..count]);
    // SAFETY: within the capacity; that `body` has written all `count` numbers is this function's contract with its callers in
    // this crate, whose results the tests compare in full over random shapes.
    #[allow(unsafe_code)]
    unsafe {
        numbers.set_len(count);
    }
    numbers
}

/// A CPU tensor from numbers; gradients are made with it.
pub(crate) fn tensor<T: Real>(data: Vec<T>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(data, shape.into(), &Device::Cpu)
}

/// The tensor's numbers on the host, as double precision.
///
/// # Errors
/// Another type than f32 or f64.
pub fn to_f64(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()
}

/// Numbers from the host as a tensor of `like`'s type on its device; converted before they leave, since not every
/// accelerator supports double precision.
///
/// # Errors
/// Not as many numbers as the shape holds.
pub fn from_host(values: Vec<f64>, shape: impl Into<Shape>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)?.to_dtype(like.dtype())?.to_device(like.device())
}
