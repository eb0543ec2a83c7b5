//! Differentiable ops with right gradients and fast CPU kernels, layers, optimizers, gradient checking.
//!
//! Built on candle, whose tensors, devices and tape it uses, and some of whose gradients it replaces: max-pooling (candle's
//! is four times too small), nearest and bilinear up-sampling (overwritten, missing), norms that cut the graph, losses
//! that overflow. Every op in [`ops`] passes a central-difference check in f64 ([`gradcheck`]), on the CPU kernel and on the
//! composition that runs on CUDA and Metal. Convolutions have kernels of their own for f32, which are held against the f64
//! ones over random shapes: root mean square errors stay below 5e-6 of the values.
//!
//! * [`ops`]: functions of tensors. [`layers`]: named parameters around them. [`params`]: seeded, sorted by name.
//! * [`optim`]: Adam, AdamW, SGD with state that can be saved, schedule, clipping, weight averages.
//! * [`Ctx`]: training or inference, and the only source of noise.
//!
//! Cost: a 3x3 convolution at stride 1 takes about half the time of its multiplications at the processor's peak
//! (Winograd F(2x2)), any other about that time, from 16 channels on; gradients nobody asked for are not computed. All
//! results are the same bytes at any number of threads. `unsafe` is confined to the inner loops of `ops/conv`.
//!
//! Fitting a line, which is all of deep learning in small:
//! ```
//! use mtl_rng::Seed;
//! use mtl_tensor::layers::Linear;
//! use mtl_tensor::optim::{Config, Optimizer, collect};
//! use mtl_tensor::{DType, Device, Params, Tensor, backward, ops::loss};
//! # fn main() -> mtl_tensor::Result<()> {
//! let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
//! let line = Linear::new(&params.scope("line"), 1, 1)?;
//! let mut adam = Optimizer::new(Config::Adam { beta1: 0.9, beta2: 0.999 }, &params.trained(), |_| 1.0)?;
//! let x = Tensor::new(&[[0f32], [1.0], [2.0]], &Device::Cpu)?;
//! let y = [1f32, 3.0, 5.0]; // 2 x + 1
//! let mut error = 0.0;
//! for _ in 0..500 {
//!     let loss = loss::mean_squared(&line.forward(&x)?, &y)?;
//!     adam.step(&collect(&backward(&loss)?, &params.trained()), 0.05, 1.0)?;
//!     error = loss.to_scalar::<f32>()?;
//! }
//! assert!(error < 1e-3, "{error}");
//! # Ok(())
//! # }
//! ```

pub mod context;
pub mod device;
pub mod gradcheck;
pub mod layers;
pub mod ops;
pub mod optim;
pub mod params;
mod real;
pub mod serial;
mod tape;
mod wide;

pub use candle_core::{D, DType, Device, Error, IndexOp, Result, Shape, Tensor, Var};
pub use context::{Ctx, Mode};
pub use params::{Init, Params, Scope};
pub use real::{Real, from_host, to_f64};
pub use tape::{Gradients, backward, backward_from, with_constant_weights};
