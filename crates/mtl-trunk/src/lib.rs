//! Shared encoders: images in, features at strides 2, 4 and 8 out.
//!
//! A [`Trunk`] is the part of the model all tasks share: heads read its [`Features`], the VAE encodes with it, the
//! GAN's critic looks through it. A new trunk is one file with a `Config` that builds it, and one line in [`TRUNKS`].
//!
//! Cost: `resnet` `s` has 0.7 M parameters and takes 115 M multiply-adds an image of 64x64 forward, three times that
//! to train; `xs` a fifth, `m` four times as much.
//!
//! ```
//! use mtl_rng::Seed;
//! use mtl_tensor::{Ctx, DType, Device, Params, Tensor};
//! # fn main() -> mtl_tensor::Result<()> {
//! let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
//! let trunk = mtl_trunk::Config::default().build(&params.scope("trunk"), 3)?;
//! let image = Tensor::zeros((2, 3, 32, 48), DType::F32, &Device::Cpu)?;
//! let features = trunk.forward(&image, &Ctx::eval())?;
//! assert_eq!(features.taps[2].dims(), [2, trunk.taps()[2].channels, 4, 6]); // stride 8
//! # Ok(())
//! # }
//! ```

pub mod resnet;
pub mod tutorial;

use mtl_registry::Entry;
use mtl_tensor::layers::NormKind;
use mtl_tensor::{Ctx, Result, Scope, Tensor};
use serde::{Deserialize, Serialize};

/// One resolution a trunk offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapSpec {
    /// Image pixels a feature pixel.
    pub stride: usize,
    /// Feature channels.
    pub channels: usize,
}

/// Features at several strides, finest first: `taps[i]` is `[B, channels, H / stride, W / stride]`.
#[derive(Clone, Debug)]
pub struct Features {
    /// In the order of [`Trunk::taps`].
    pub taps: Vec<Tensor>,
}

impl Features {
    /// The coarsest tap: the most abstract one.
    ///
    /// # Errors
    /// A trunk without taps.
    pub fn deepest(&self) -> Result<&Tensor> {
        self.taps.last().ok_or_else(|| mtl_tensor::Error::Msg("the trunk offers no features".into()))
    }

    /// The same numbers cut off from the graph.
    pub fn detach(&self) -> Self {
        Self { taps: self.taps.iter().map(Tensor::detach).collect() }
    }
}

/// A shared encoder.
pub trait Trunk: Send + Sync + std::fmt::Debug {
    /// What it offers, finest first.
    fn taps(&self) -> &[TapSpec];
    /// `[B, C, H, W]` images in `[-1, 1]` to features; `H` and `W` divisible by the largest stride.
    ///
    /// # Errors
    /// Shapes that do not fit.
    fn forward(&self, images: &Tensor, cx: &Ctx) -> Result<Features>;
}

/// That a batch of images can be halved down to the largest stride without losing rows or columns.
fn check_size(images: &Tensor, taps: &[TapSpec]) -> Result<()> {
    let (_, _, height, width) = images.dims4()?;
    let stride = taps.last().map_or(1, |tap| tap.stride);
    if !height.is_multiple_of(stride) || !width.is_multiple_of(stride) {
        return Err(mtl_tensor::Error::Msg(format!(
            "images of {height}x{width} pixels: this trunk needs height and width divisible by {stride}; resize or pad them"
        )));
    }
    Ok(())
}

/// Which trunk, and how it is built: one table `[model.trunk.resnet]` in a configuration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Config {
    /// See [`tutorial`].
    Tutorial(tutorial::Config),
    /// See [`resnet`].
    Resnet(resnet::Config),
}

impl Default for Config {
    fn default() -> Self {
        Self::Resnet(resnet::Config::default())
    }
}

impl Config {
    /// Its name in configuration files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tutorial(_) => "tutorial",
            Self::Resnet(_) => "resnet",
        }
    }

    /// How it normalises, if it does.
    pub fn norm(&self) -> Option<NormKind> {
        match self {
            Self::Tutorial(_) => None,
            Self::Resnet(config) => Some(config.norm),
        }
    }

    /// Builds the trunk for images of `channels` channels.
    ///
    /// # Errors
    /// A name that is taken.
    pub fn build(&self, scope: &Scope, channels: usize) -> Result<Box<dyn Trunk>> {
        Ok(match self {
            Self::Tutorial(config) => Box::new(tutorial::Tutorial::new(config, scope, channels)?),
            Self::Resnet(config) => Box::new(resnet::Resnet::new(config, scope, channels)?),
        })
    }
}

/// All trunks: name, one line, default configuration.
pub const TRUNKS: &[Entry<fn() -> Config>] = &[
    Entry {
        name: "resnet",
        summary: "residual encoder with taps at strides 2, 4 and 8; presets xs, s, m; batch or group norm",
        item: || Config::Resnet(resnet::Config::default()),
    },
    Entry {
        name: "tutorial",
        summary: "two 3x3 convolutions (64, 128 channels), each with ReLU and a 2x2 max-pool",
        item: || Config::Tutorial(tutorial::Config::default()),
    },
];
