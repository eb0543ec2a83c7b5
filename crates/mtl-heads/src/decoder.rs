//! From features back to full resolution, after U-Net (Ronneberger et al. 2015, arXiv 1505.04597).
//!
//! From the deepest tap upwards: double the size, join the next finer tap, 3x3 convolution, normalisation, ReLU. At the
//! finest tap a 3x3 convolution gives `outputs * stride^2` channels, and pixel shuffling turns them into full
//! resolution: nothing wide is ever computed there.

use mtl_tensor::layers::{Conv2d, ConvNorm, NormKind};
use mtl_tensor::{Ctx, Scope, Tensor, ops};
use mtl_trunk::Features;

use crate::{Place, Result};

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
    pub(crate) fn new(scope: &Scope, place: &Place, norm: NormKind, outputs: usize) -> Result<Self> {
        let mut steps = Vec::new();
        let mut below = place.deepest()?;
        for &tap in place.taps.iter().rev().skip(1) {
            let at = scope.scope(format!("up{}", tap.stride));
            steps.push(Step {
                conv: ConvNorm::new(&at, (below.channels + tap.channels, tap.channels), 3, 1, norm)?,
                factor: below.stride / tap.stride,
            });
            below = tap;
        }
        let last =
            Conv2d::new(&scope.scope("last"), (below.channels, outputs * below.stride * below.stride), 3, 1, true)?;
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
