//! Generative models that use the shared trunk: VAE, GAN and flow, and an autoencoder.
//!
//! * [`vae::Vae`]: variational autoencoder whose encoder is the trunk. It is an objective of joint training
//!   ([`JointObjective`]) and has a stage of its own on the frozen trunk.
//! * [`gan::Gan`]: class-conditional GAN. The trunk is the backbone of its discriminator, in one of four [`gan::Mode`]s.
//! * [`introvae::IntroVae`]: VAE whose encoder, a copy of the trunk, is also its discriminator.
//! * [`flow::Flow`]: flow matching on maps of the trunk's features, or in pixels.
//! * [`autoencoder::Autoencoder`]: reconstruction objective of joint training, without sampling.
//!
//! VAE, GAN and flow implement [`Generator`]: the [`Phase`]s of a training step, the loss of each, and sampling. The caller owns the
//! loop: per phase the loss, the backward pass, and one optimizer step on the phase's parameters. Images are sampled with
//! the weight averages of [`Generator::sampled`]. A new generator is one file whose settings implement [`GeneratorConfig`],
//! and one line in the registry below.
//!
//! Images are `[B, C, H, W]` in `[-1, 1]`, with 1 or 3 channels, and height and width divisible by 8, from 32 to 256. Labels
//! are class indices, negative where missing; a generator without classes ignores labels.
//!
//! Cost for one 32x32 image: the decoder `xs` takes 13 M multiply-adds forward. A GAN step takes one pass of the decoder and
//! two to six passes of the trunk, depending on the mode.
//!
//! ```
//! use mtl_gen::{Batch, Config, Generator, GeneratorInput, Prepare, Sampling};
//! use mtl_rng::Seed;
//! use mtl_tensor::optim::{Optimizer, collect};
//! use mtl_tensor::{Ctx, DType, Device, Params, Tensor, backward};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
//! let trunk_config = mtl_trunk::Config::default();
//! let trunk = trunk_config.build(&params.scope("trunk"), 3)?;
//! let input = GeneratorInput { trunk: &trunk_config, taps: trunk.taps(), size: (32, 32), channels: 3, classes: 2 };
//! let gan = Config::default_of("gan")?.build(&params.scope("gan"), &input)?;
//!
//! let images = Tensor::zeros((4, 3, 32, 32), DType::F32, &Device::Cpu)?;
//! gan.prepare(&Prepare { trunk_name: "trunk", trunk: &*trunk, images: &images, generator: &|_| None })?;
//! if let Some(mut fit) = gan.reference_fit() {
//!     fit.add(&*trunk, &images)?; // all training images, batch by batch
//!     fit.finish()?;
//! }
//! let batch = Batch { trunk: &*trunk, images: &images, classes: &[0, 1, 1, -1], progress: 0.0, task_loss: None };
//! let cx = Ctx::train(Seed::new(1), 0);
//! let mut step = gan.begin_step(&batch, &cx)?;
//! for (index, phase) in gan.phases().iter().enumerate() {
//!     let own = phase.of(&params.trainable());
//!     // A training loop keeps the optimizer from step to step.
//!     let mut optimizer = Optimizer::new(phase.optimizer, &own, |name| phase.lr_scale(name))?;
//!     let loss = step.loss(index)?;
//!     optimizer.step(&collect(&backward(&loss.total)?, &own), phase.lr, 1.0)?;
//! }
//! let images = gan.sample(&[0, 1, 0], &Sampling::default(), &mut Seed::new(7).stream("sample", &[]))?;
//! assert_eq!(images.dims(), [3, 3, 32, 32]);
//! # Ok(())
//! # }
//! ```

pub mod augment;
pub mod autoencoder;
mod copy;
mod critic;
pub mod decoder;
mod embedding;
mod error;
pub mod flow;
pub mod gan;
mod generator;
pub mod introvae;
mod likelihood;
mod prior;
mod sampling;
mod spectral;
pub mod vae;

use std::sync::Arc;

use mtl_tensor::{Scope, Tensor};

pub use error::Error;
pub use generator::{
    Batch, DecoderSource, Discriminator, Generator, GeneratorInput, GeneratorStep, JointObjective, Loss, Phase,
    Prepare, PriorFit, ReferenceFit, StageDefaults, StageLength, TaskLoss, TaskLossFn,
};
pub use mtl_registry::UnknownName;
pub use sampling::Sampling;

/// Value of `init_from` for a random initialisation.
pub const RANDOM_START: &str = "none";

/// Settings of a generator. A type from another crate that implements this trait is built in the same way as the built-in
/// ones.
pub trait GeneratorConfig: Send + Sync + std::fmt::Debug {
    /// Builds the generator with its parameters in `scope`, whose name is the generator's name in the configuration.
    ///
    /// # Errors
    /// An image format that is not supported, settings out of range, a parameter name that is taken.
    fn build(&self, scope: &Scope, input: &GeneratorInput<'_>) -> Result<Arc<dyn Generator>, Error>;

    /// Default length of its stage.
    fn stage_defaults(&self) -> StageDefaults;

    /// The settings for a stage of this length, if some of them depend on it. Default: none do.
    fn resolved(&self, _length: StageLength) -> Option<Config> {
        None
    }

    /// Name of the generator whose decoder it starts from, or [`RANDOM_START`]; `None` for kinds without such a setting.
    fn init_from(&self) -> Option<&str> {
        None
    }
}

mtl_registry::registry! {
    /// Generator and its settings: one table `[generators.NAME.gan]` in a configuration file. Default: `gan`.
    pub enum Config: "generator" as dyn GeneratorConfig = Gan;
    /// All generators.
    pub const GENERATORS;

    Vae(vae::Config), "vae",
        "variational autoencoder with the trunk as encoder; optimal-sigma likelihood, optional perceptual loss",
        "Kingma and Welling 2014, arXiv 1312.6114";
    Gan(gan::Config), "gan",
        "class-conditional GAN with the trunk as discriminator backbone: scratch, frozen, finetuned or hybrid",
        "Goodfellow et al. 2014, arXiv 1406.2661";
    IntroVae(introvae::Config), "introvae",
        "VAE whose encoder, a copy of the trunk, is also the discriminator: Soft-IntroVAE",
        "Daniel and Tamar 2021, arXiv 2012.13253";
    Flow(flow::Config), "flow",
        "flow matching on maps of the trunk's features or in pixels, with classifier-free guidance",
        "Lipman et al. 2023, arXiv 2210.02747";
}

impl Config {
    /// Builds the generator with its parameters in `scope`, whose name is the generator's name in the configuration.
    ///
    /// # Errors
    /// An image format that is not supported, settings out of range, a parameter name that is taken.
    pub fn build(&self, scope: &Scope, input: &GeneratorInput<'_>) -> Result<Arc<dyn Generator>, Error> {
        self.member().build(scope, input)
    }

    /// See [`GeneratorConfig::init_from`].
    pub fn init_from(&self) -> Option<&str> {
        self.member().init_from()
    }

    /// The settings for a stage of this length.
    pub fn resolved(&self, length: StageLength) -> Self {
        self.member().resolved(length).unwrap_or_else(|| self.clone())
    }

    /// Default length of its stage.
    pub fn stage_defaults(&self) -> StageDefaults {
        self.member().stage_defaults()
    }
}

/// The value of a scalar.
pub(crate) fn value(scalar: &Tensor) -> Result<f64, Error> {
    Ok(mtl_tensor::to_f64(scalar)?.iter().sum())
}
