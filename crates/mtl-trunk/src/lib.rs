//! Shared encoders (trunks) and parameter sharing: images in, multi-scale features of each task out.
//!
//! A [`Trunk`] is a convolutional encoder with several outputs, its taps: features at strides 2, 4 and 8. Heads read its
//! [`Features`], the VAE encodes with it, and the GAN's discriminator can use it as its backbone. A
//! [`Sharing`](sharing::Sharing) decides which features each task gets. A new trunk is one file whose settings implement
//! [`TrunkConfig`], and one line in the registry below.
//!
//! Cost for one 64x64 image: `resnet` `s` has 0.7 M parameters and takes 115 M multiply-adds forward, three times that in
//! training; `xs` takes a fifth, `m` four times as much.
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

mod encoders;
mod features;
pub mod sharing;

pub use encoders::{convnet, resnet};
pub use features::{Features, TapSpec, TaskFeatures};

use features::check_size;
use mtl_tensor::layers::NormKind;
use mtl_tensor::{Ctx, Result, Scope, Tensor};

/// An encoder: images to features at several strides.
pub trait Trunk: Send + Sync + std::fmt::Debug {
    /// Stride and channels of each tap, finest first.
    fn taps(&self) -> &[TapSpec];

    /// `[B, C, H, W]` images in `[-1, 1]` to features. `H` and `W` must be divisible by the largest stride.
    ///
    /// # Errors
    /// Shapes that do not fit.
    fn forward(&self, images: &Tensor, cx: &Ctx) -> Result<Features>;
}

/// Settings of a trunk. A type from another crate that implements this trait is built in the same way as the built-in ones.
pub trait TrunkConfig: Send + Sync + std::fmt::Debug {
    /// Builds the trunk for images of `channels` channels, with its parameters in `scope`.
    ///
    /// # Errors
    /// A parameter name that is taken.
    fn build(&self, scope: &Scope, channels: usize) -> Result<Box<dyn Trunk>>;

    /// The normalisation of its layers. Default: none.
    fn norm(&self) -> Option<NormKind> {
        None
    }
}

mtl_registry::registry! {
    /// Trunk and its settings: one table `[model.trunk.resnet]` in a configuration file. Default: `resnet`.
    pub enum Config: "trunk" as dyn TrunkConfig = Resnet;
    /// All trunks.
    pub const TRUNKS;

    Resnet(resnet::Config), "resnet", "residual encoder with taps at strides 2, 4 and 8; presets xs, s, m; batch or group norm",
        "He et al. 2016, arXiv 1512.03385";
    Convnet(convnet::Config), "convnet", "two 3x3 convolutions (64, 128 channels), each with ReLU and a 2x2 max-pool";
}

impl Config {
    /// Builds the trunk for images of `channels` channels, with its parameters in `scope`.
    ///
    /// # Errors
    /// A parameter name that is taken.
    pub fn build(&self, scope: &Scope, channels: usize) -> Result<Box<dyn Trunk>> {
        self.member().build(scope, channels)
    }

    /// The normalisation of its layers, if there is one.
    pub fn norm(&self) -> Option<NormKind> {
        self.member().norm()
    }
}

impl TrunkConfig for Config {
    fn build(&self, scope: &Scope, channels: usize) -> Result<Box<dyn Trunk>> {
        self.member().build(scope, channels)
    }

    fn norm(&self) -> Option<NormKind> {
        self.member().norm()
    }
}
