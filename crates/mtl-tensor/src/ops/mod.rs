//! Differentiable functions of tensors, f32 and f64. On the CPU each is our own kernel in f32, and with few exceptions (linear
//! maps) in f64; on CUDA and Metal a composition of candle ops whose gradients are right too.

pub mod activation;
pub mod channels;
pub mod conv;
pub mod conv_norm;
pub mod join;
pub mod linear;
pub mod loss;
mod microkernel;
pub mod norm;
pub mod pool;
pub mod resize;
mod scratch;
pub mod shift;
pub mod sliding_pool;
mod sum;
mod transpose;
pub mod upsample_conv;
mod window;

pub use activation::{add, add_relu, leaky_relu, relu, softplus, tanh};
pub use channels::{batch_mean, channel_product};
pub use conv::{conv_transpose2d, conv_transpose2d_relu, conv2d, conv2d_relu, conv2d_relu_pool};
pub use conv_norm::{Over, conv_norm, conv_norm_with};
pub use join::{cat_channels, reshape};
pub use linear::linear;
pub use norm::{batch_norm, batch_norm_with, group_norm, scale_shift};
pub use pool::{avg_pool2d, global_avg_pool, max_pool2d};
pub use resize::{pixel_shuffle, pixel_unshuffle, upsample_bilinear, upsample_nearest};
pub use shift::shift;
pub use sliding_pool::{Sliding, sliding_avg_pool2d, sliding_max_pool2d};
pub use upsample_conv::upsample_conv2d;
