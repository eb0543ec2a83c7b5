//! Differentiable ops with right gradients and fast CPU kernels, layers, optimizers, gradient checking.
//!
//! Built on candle, whose tensors and devices it uses, and some of whose gradients it replaces: max-pooling (candle's is four
//! times too small), nearest and bilinear up-sampling (overwritten, missing), norms that cut the graph, losses that
//! overflow. Every op in [`ops`] passes a central-difference check in f64 ([`gradcheck`]), on the CPU and on the composition
//! that runs on CUDA and Metal. Convolutions with their fused ops, and linear maps have kernels of their own for f32, held
//! against the f64 ones over random shapes: root mean square errors stay below 5e-6 of the values for a convolution, 2e-5
//! for fused ops.
//!
//! * [`ops`]: functions of tensors. [`layers`]: named parameters around them. [`params`]: seeded, sorted by name.
//! * [`backward`]: gradients, by a tape of our own between candle's ops.
//! * [`optim`]: Adam, AdamW, SGD with state that can be saved, schedule, clipping, weight averages.
//! * [`collective`]: communication between the processes of a distributed run.
//! * [`threads`]: the number of threads that compute, and three settings that make a program faster.
//! * [`Ctx`]: training or inference, and the only source of noise.
//!
//! Cost: a 3x3 convolution at stride 1 takes half to a third of the time of its multiplications at the processor's peak
//! (Winograd), any other about that time, from 16 channels on; gradients that are not needed are not computed. All results are
//! the same bytes at any number of threads. `unsafe` is confined to the inner loops of `ops` and to memory that is written
//! before it is read. `cargo xtask bench` measures all of it against PyTorch.
//!
//! A convolutional network that classifies the direction of stripes:
//! ```
//! use mtl_rng::Seed;
//! use mtl_tensor::layers::{Conv2d, Linear};
//! use mtl_tensor::optim::{Config, Optimizer, collect};
//! use mtl_tensor::{DType, Device, Params, Tensor, backward, ops::loss};
//! # fn main() -> mtl_tensor::Result<()> {
//! let (mut pixels, mut labels) = (Vec::new(), Vec::new());
//! let mut random = Seed::new(2).stream("stripes", &[]);
//! for _ in 0..64 {
//!     let (down, shift) = (random.below(2), random.below(4));
//!     labels.push(down as i32);
//!     pixels.extend((0..256).map(|at| if ([at / 16, at % 16][down] + shift) % 4 < 2 { 1f32 } else { -1.0 }));
//! }
//! let images = Tensor::from_vec(pixels, (64, 1, 16, 16), &Device::Cpu)?;
//!
//! let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
//! let first = Conv2d::new(&params.scope("first"), (1, 8), 3, 1, true)?;
//! let second = Conv2d::new(&params.scope("second"), (8, 16), 3, 1, true)?;
//! let classes = Linear::new(&params.scope("classes"), 16 * 4 * 4, 2)?;
//! let mut adam = Optimizer::new(Config::Adam { beta1: 0.9, beta2: 0.999 }, &params.trainable(), |_| 1.0)?;
//! let mut last = f32::NAN;
//! for _ in 0..30 {
//!     let features = second.forward_relu_pool(&first.forward_relu_pool(&images)?)?;
//!     let loss = loss::cross_entropy(&classes.forward(&features)?, &labels, &Default::default())?;
//!     adam.step(&collect(&backward(&loss)?, &params.trainable()), 1e-2, 1.0)?;
//!     last = loss.to_scalar()?;
//! }
//! assert!(last < 0.1, "{last}");
//! # Ok(())
//! # }
//! ```

pub mod collective;
pub mod context;
pub mod device;
pub mod gradcheck;
pub mod layers;
#[cfg(feature = "candle-nn")]
pub mod nn;
pub mod ops;
pub mod optim;
pub mod params;
mod real;
pub mod serial;
mod simd;
mod tape;
pub mod threads;

pub use candle_core::{D, DType, Device, Error, IndexOp, Result, Shape, Tensor, Var};
pub use context::{Ctx, Mode};
pub use params::{Init, Params, Scope};
pub use real::{Real, from_host, to_f64};
pub use tape::{Gradients, backward, backward_retain, vjp, vjp_retain, with_constant_weights};
