//! The tutorial's third head: the image itself, by two transposed convolutions on a tap of stride 4; mean square error.
//!
//! It needs no labels, so it is not a [`crate::Head`] of a labelled task; the VAE of `mtl-gen` takes its place wherever
//! new images are wanted too.

use mtl_tensor::layers::ConvTranspose2d;
use mtl_tensor::ops::{self, loss};
use mtl_tensor::{Scope, Tensor, to_f64};
use mtl_trunk::Features;

use crate::{Error, Place, Result};

/// Transposed conv 4x4 stride 2 to 64, ReLU, transposed conv 4x4 stride 2 to the image channels, tanh.
#[derive(Debug)]
pub struct Reconstruction {
    first: ConvTranspose2d,
    second: ConvTranspose2d,
    tap: usize,
}

impl Reconstruction {
    /// On the tap of stride 4.
    ///
    /// # Errors
    /// A trunk without such a tap.
    pub fn new(scope: &Scope, place: &Place, channels: usize) -> Result<Self> {
        let Some(tap) = place.taps.iter().position(|tap| tap.stride == 4) else {
            let problem = "the autoencoder needs a trunk with features at stride 4".to_owned();
            return Err(Error::Config { task: "reconstruction".into(), problem });
        };
        Ok(Self {
            first: ConvTranspose2d::new(&scope.scope("conv1"), (place.taps[tap].channels, 64))?,
            second: ConvTranspose2d::new(&scope.scope("conv2"), (64, channels))?,
            tap,
        })
    }

    /// `[B, C, H, W]` in `[-1, 1]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, features: &Features) -> Result<Tensor> {
        let x = self.first.forward_relu(&features.taps[self.tap])?;
        Ok(ops::tanh(&self.second.forward(&x)?)?)
    }

    /// Mean square difference over all pixels.
    ///
    /// # Errors
    /// Shapes that differ.
    pub fn loss(&self, output: &Tensor, images: &Tensor) -> Result<Tensor> {
        let images: Vec<f32> = to_f64(images)?.into_iter().map(|v| v as f32).collect();
        Ok(loss::mean_squared(output, &images)?)
    }
}
