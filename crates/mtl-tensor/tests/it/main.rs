//! Every op of the crate against central differences and against candle's own slow ops, on both code paths.

mod convolutions;
mod fused;
mod gradients;
mod references;
