//! The trunk of the tutorial this project grew from: conv 3x3 -> 64, ReLU, max-pool, conv 3x3 -> 128, ReLU, max-pool.

use mtl_tensor::layers::Conv2d;
use mtl_tensor::{Ctx, Result, Scope, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Features, TapSpec, Trunk, check_size};

/// Widths of the two layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Channels after the first and the second convolution. Default 64 and 128, the tutorial's.
    pub widths: [usize; 2],
}

impl Default for Config {
    fn default() -> Self {
        Self { widths: [64, 128] }
    }
}

/// Taps: `[B, 64, H/2, W/2]`, `[B, 128, H/4, W/4]`.
#[derive(Debug)]
pub struct Tutorial {
    first: Conv2d,
    second: Conv2d,
    taps: [TapSpec; 2],
}

impl Tutorial {
    /// For images of `channels` channels.
    ///
    /// # Errors
    /// A name that is taken.
    pub fn new(config: &Config, scope: &Scope, channels: usize) -> Result<Self> {
        let [a, b] = config.widths;
        Ok(Self {
            first: Conv2d::new(&scope.scope("conv1"), (channels, a), 3, 1, true)?,
            second: Conv2d::new(&scope.scope("conv2"), (a, b), 3, 1, true)?,
            taps: [TapSpec { stride: 2, channels: a }, TapSpec { stride: 4, channels: b }],
        })
    }
}

impl Trunk for Tutorial {
    fn taps(&self) -> &[TapSpec] {
        &self.taps
    }

    fn forward(&self, images: &Tensor, _: &Ctx) -> Result<Features> {
        check_size(images, &self.taps)?;
        let first = self.first.forward_relu_pool(images)?;
        let second = self.second.forward_relu_pool(&first)?;
        Ok(Features { taps: vec![first, second] })
    }
}
