//! Autoencoder: a decoder from the trunk's features to the image, with mean squared error.
//!
//! Two transposed 4x4 convolutions of stride 2 on the tap of stride 4. It is a reconstruction objective without labels and
//! without a latent distribution, so it cannot sample; the VAE can.

use mtl_tensor::layers::ConvTranspose2d;
use mtl_tensor::ops::{self, loss};
use mtl_tensor::{Scope, Tensor, to_f64};
use mtl_trunk::{Features, TapSpec};

use crate::Error;

/// Stride of the tap it reads.
const STRIDE: usize = 4;
/// Channels between the two convolutions.
const WIDTH: usize = 64;

/// Transposed convolution to 64 channels, ReLU, transposed convolution to the image channels, tanh.
#[derive(Debug)]
pub struct Autoencoder {
    first: ConvTranspose2d,
    second: ConvTranspose2d,
    tap: usize,
}

/// The error of a trunk without that tap.
fn missing() -> Error {
    Error::MissingTap { stride: STRIDE, reader: "the autoencoder" }
}

impl Autoencoder {
    /// Builds the decoder for images of `channels` channels, with its parameters in `scope`.
    ///
    /// # Errors
    /// A trunk without a tap of stride 4, a parameter name that is taken.
    pub fn new(scope: &Scope, taps: &[TapSpec], channels: usize) -> Result<Self, Error> {
        let Some(tap) = taps.iter().position(|tap| tap.stride == STRIDE) else {
            return Err(missing());
        };
        Ok(Self {
            first: ConvTranspose2d::new(&scope.sub("conv1"), (taps[tap].channels, WIDTH))?,
            second: ConvTranspose2d::new(&scope.sub("conv2"), (WIDTH, channels))?,
            tap,
        })
    }

    /// Features to reconstructions, `[B, C, H, W]` in `(-1, 1)`.
    ///
    /// # Errors
    /// Features of another trunk.
    pub fn forward(&self, features: &Features) -> Result<Tensor, Error> {
        let tap = features.taps.get(self.tap).ok_or_else(missing)?;
        let x = self.first.forward_relu(tap)?;
        Ok(ops::tanh(&self.second.forward(&x)?)?)
    }

    /// Mean squared error over all pixels: a scalar.
    ///
    /// # Errors
    /// Shapes that differ.
    pub fn loss(&self, output: &Tensor, images: &Tensor) -> Result<Tensor, Error> {
        let images: Vec<f32> = to_f64(images)?.into_iter().map(|v| v as f32).collect();
        Ok(loss::mean_squared(output, &images)?)
    }
}
