//! Layers: named parameters around an op.

mod conv;
mod conv_norm;
mod linear;
mod module;
mod norm;

pub use conv::{Conv2d, ConvTranspose2d};
pub use conv_norm::ConvNorm;
pub use linear::Linear;
pub use norm::{BatchNorm, GroupNorm, Norm, NormKind};
