//! Layers: named parameters around an op.

mod conv;
mod linear;
mod norm;

pub use conv::{Conv2d, ConvTranspose2d};
pub use linear::Linear;
pub use norm::{BatchNorm, GroupNorm, Norm, NormKind};
