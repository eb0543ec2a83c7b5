//! ConvNet: two 3x3 convolutions, each followed by ReLU and a 2x2 max-pool.
//!
//! No normalisation and no residual connections: a small reference model.

use mtl_tensor::layers::Conv2d;
use mtl_tensor::{Ctx, Result, Scope, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Features, TapSpec, Trunk, TrunkConfig, check_size};

/// Settings of the ConvNet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Channels after the first and after the second convolution. Default 64 and 128.
    pub widths: [usize; 2],
}

impl Default for Config {
    fn default() -> Self {
        Self { widths: [64, 128] }
    }
}

impl TrunkConfig for Config {
    fn build(&self, scope: &Scope, channels: usize) -> Result<Box<dyn Trunk>> {
        Ok(Box::new(ConvNet::new(self, scope, channels)?))
    }
}

/// ConvNet encoder. With the default widths its taps are `[B, 64, H/2, W/2]` and `[B, 128, H/4, W/4]`.
#[derive(Debug)]
pub struct ConvNet {
    first: Conv2d,
    second: Conv2d,
    taps: [TapSpec; 2],
}

impl ConvNet {
    /// Builds the encoder for images of `channels` channels, with its parameters in `scope`.
    ///
    /// # Errors
    /// A parameter name that is taken.
    pub fn new(config: &Config, scope: &Scope, channels: usize) -> Result<Self> {
        let [a, b] = config.widths;
        Ok(Self {
            first: Conv2d::new(&scope.sub("conv1"), (channels, a), 3, 1, true)?,
            second: Conv2d::new(&scope.sub("conv2"), (a, b), 3, 1, true)?,
            taps: [TapSpec { stride: 2, channels: a }, TapSpec { stride: 4, channels: b }],
        })
    }
}

impl Trunk for ConvNet {
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
