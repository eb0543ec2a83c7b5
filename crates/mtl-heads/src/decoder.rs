//! U-Net-like decoder: features to full resolution (Ronneberger et al. 2015, arXiv 1505.04597).
//!
//! From the deepest tap upwards: upsample to the next finer tap, concatenate with it, 3x3 convolution, normalisation, ReLU.
//! At the finest tap a 3x3 convolution gives `outputs * stride^2` channels, which a pixel shuffle brings to full resolution:
//! no wide layer runs there.

use mtl_tensor::layers::{Conv2d, ConvNorm, NormKind};
use mtl_tensor::{Ctx, Scope, Tensor, ops};
use mtl_trunk::Features;

use crate::{HeadInput, Result};

/// The decoder; its upsampling steps go from the deepest tap to the finest.
#[derive(Debug)]
pub(crate) struct Decoder {
    steps: Vec<Step>,
    last: Conv2d,
    /// Stride of the finest tap.
    stride: usize,
}

#[derive(Debug)]
struct Step {
    conv: ConvNorm,
    factor: usize,
}

impl Decoder {
    pub(crate) fn new(scope: &Scope, input: &HeadInput, norm: NormKind, outputs: usize) -> Result<Self> {
        let mut steps = Vec::new();
        let mut below = input.deepest()?;
        for &tap in input.taps.iter().rev().skip(1) {
            let at = scope.sub(format!("up{}", tap.stride));
            steps.push(Step {
                conv: ConvNorm::new(&at, (below.channels + tap.channels, tap.channels), 3, 1, norm)?,
                factor: below.stride / tap.stride,
            });
            below = tap;
        }
        let last =
            Conv2d::new(&scope.sub("last"), (below.channels, outputs * below.stride * below.stride), 3, 1, true)?;
        Ok(Self { steps, last, stride: below.stride })
    }

    /// `[B, outputs, H, W]`.
    pub(crate) fn forward(&self, features: &Features, cx: &Ctx) -> Result<Tensor> {
        let mut x = features.deepest()?.clone();
        for (step, tap) in self.steps.iter().zip(features.taps.iter().rev().skip(1)) {
            let joined = ops::cat_channels(&[&ops::upsample_nearest(&x, step.factor)?, tap])?;
            x = step.conv.forward(&joined, true, cx)?;
        }
        Ok(ops::pixel_shuffle(&self.last.forward(&x)?, self.stride)?)
    }
}
