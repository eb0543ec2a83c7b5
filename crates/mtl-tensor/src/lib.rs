//! Differentiable ops with right gradients and fast CPU kernels, layers, optimizers, gradient checking.
//!
//! TODO-DOCS
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

pub use candle_core::backprop::GradStore;
pub use candle_core::{D, DType, Device, Error, IndexOp, Result, Shape, Tensor, Var};
pub use context::{Ctx, Mode};
pub use params::{Init, Params, Scope};
pub use real::{Real, to_f64};
