//! VAE and GAN generators that use the shared trunk.
//!
//! * [`vae::Vae`]: the trunk is its encoder. Joint training treats it as one more task ([`vae::Vae::loss`] on the features of
//!   the step); a stage of its own goes on with the learnt, frozen trunk, which then can also judge the reconstruction.
//! * [`gan::Gan`]: the trunk is the critic's eyes, in one of four [`gan::Mode`]s.
//!
//! Both are [`Generator`]s: they name the [`Phase`]s of a training step, give the loss of each, and draw new images. The
//! caller owns the loop: for each phase of a step, loss, backward, and one optimizer step on the phase's parameters
//! alone; weight averages of [`Generator::sampled`] are what images are drawn with. A new generator is one file and one
//! line in [`GENERATORS`].
//!
//! Images are `[B, C, H, W]` in `[-1, 1]`, with `C` 1 or 3 and sides divisible by 8, from 32 to 256. Labels are class
//! indices, negative where missing; without classes every label is ignored.
//!
//! ```
//! use mtl_gen::{Batch, Config, GENERATORS, Setting};
//! use mtl_rng::Seed;
//! use mtl_tensor::optim::{Optimizer, collect};
//! use mtl_tensor::{Ctx, DType, Device, Params, Tensor, backward};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
//! let trunk_config = mtl_trunk::Config::default();
//! let trunk = trunk_config.build(&params.scope("trunk"), 3)?;
//! let setting = Setting { trunk: &trunk_config, taps: trunk.taps(), size: (32, 32), channels: 3, classes: 2 };
//! let config: Config = mtl_registry::find("generator", GENERATORS, "gan")?.item.clone()();
//! let gan = config.build(&params.scope("gan"), &setting)?;
//!
//! let images = Tensor::zeros((4, 3, 32, 32), DType::F32, &Device::Cpu)?;
//! gan.prepare("trunk", &*trunk, &images)?;
//! let batch = Batch { trunk: &*trunk, images: &images, classes: &[0, 1, 1, -1], progress: 0.0 };
//! for phase in gan.phases() {
//!     let own = phase.of(&params.trained());
//!     let mut optimizer = Optimizer::new(phase.optimizer, &own, |name| phase.rate(name))?; // kept, in a real loop
//!     let loss = gan.phase_loss(phase.name, &batch, &Ctx::train(Seed::new(1), 0))?;
//!     optimizer.step(&collect(&backward(&loss.total)?, &own), phase.lr, 1.0)?;
//! }
//! let images = gan.sample(&[0, 1, 0], &mut Seed::new(7).stream("sample", &[]))?;
//! assert_eq!(images.dims(), [3, 3, 32, 32]);
//! # Ok(())
//! # }
//! ```

pub mod augment;
pub mod critic;
pub mod decoder;
mod embedding;
pub mod gan;
mod prior;
pub mod spectral;
pub mod vae;

use std::collections::BTreeMap;

use mtl_registry::Entry;
use mtl_rng::Stream;
use mtl_tensor::{Ctx, Scope, Tensor, Var, optim};
use mtl_trunk::{TapSpec, Trunk};
use serde::{Deserialize, Serialize};

/// What a generator is built for.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// How the shared trunk was built: critics with a trunk of their own copy its shape.
    pub trunk: &'a mtl_trunk::Config,
    /// What the shared trunk offers.
    pub taps: &'a [TapSpec],
    /// Height and width of images, divisible by 8, from 32 to 256.
    pub size: (usize, usize),
    /// 1 or 3.
    pub channels: usize,
    /// Number of classes; 0 for generation without any.
    pub classes: usize,
}

impl Setting<'_> {
    /// # Errors
    /// A size or number of channels that no generator can be built for.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let fits = |side: usize| side.is_multiple_of(8) && (32..=256).contains(&side);
        if !fits(self.size.0) || !fits(self.size.1) {
            return Err(Error::Size { height: self.size.0, width: self.size.1 });
        }
        if self.channels != 1 && self.channels != 3 {
            return Err(Error::Channels { channels: self.channels });
        }
        Ok(())
    }
}

/// One step's data.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The shared trunk, as learnt so far.
    pub trunk: &'a dyn Trunk,
    /// `[B, C, H, W]` in `[-1, 1]`.
    pub images: &'a Tensor,
    /// One class an image, negative where missing.
    pub classes: &'a [i32],
    /// Share of this stage's training that is done, 0 to 1.
    pub progress: f64,
}

/// A part of a training step with parameters of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// `vae`, `critic`, `generator`: what progress bars and logs call it.
    pub name: &'static str,
    /// Full names below which its parameters live.
    pub prefixes: Vec<String>,
    /// Parameters below these names learn at this multiple of the rate.
    pub slower: Vec<(String, f64)>,
    /// The rule that was found to work.
    pub optimizer: optim::Config,
    /// The peak learning rate that was found to work.
    pub lr: f64,
}

impl Phase {
    /// The parameters this phase optimises; gradients of all others are to be dropped.
    pub fn of(&self, parameters: &BTreeMap<String, Var>) -> BTreeMap<String, Var> {
        let own = |name: &str| self.prefixes.iter().any(|prefix| below(name, prefix));
        parameters.iter().filter(|(name, _)| own(name)).map(|(name, var)| (name.clone(), var.clone())).collect()
    }

    /// Multiple of the learning rate for one of its parameters.
    pub fn rate(&self, name: &str) -> f64 {
        self.slower.iter().find(|(prefix, _)| below(name, prefix)).map_or(1.0, |(_, rate)| *rate)
    }
}

/// True if `name` is `prefix` or lies below it.
pub(crate) fn below(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The loss of one phase.
#[derive(Clone, Debug)]
pub struct Loss {
    /// A scalar, to be descended.
    pub total: Tensor,
    /// What it is made of and what is worth plotting beside it, in a fixed order.
    pub terms: Vec<(&'static str, f64)>,
}

/// A network that draws new images.
pub trait Generator: Send + Sync + std::fmt::Debug {
    /// The phases of one training step, in order.
    fn phases(&self) -> &[Phase];

    /// To be called once, before the first step of a stage (not when a run is resumed: what it sets is saved with the
    /// model): copies or measures the shared trunk, whose parameters are below `trunk_name`, where the generator needs it.
    ///
    /// # Errors
    /// Images that do not fit, a trunk of another shape than this generator was built for.
    fn prepare(&self, trunk_name: &str, trunk: &dyn Trunk, images: &Tensor) -> Result<(), Error>;

    /// The loss of the phase called `phase`. Only gradients of that phase's parameters are meant to be used.
    ///
    /// # Errors
    /// An unknown phase, labels or images that do not fit.
    fn phase_loss(&self, phase: &str, batch: &Batch<'_>, cx: &Ctx) -> Result<Loss, Error>;

    /// The name below which the parameters live that images are drawn with: what to keep a weight average of.
    fn sampled(&self) -> &str;

    /// Length of the latent vector.
    fn latent(&self) -> usize;

    /// `labels.len()` latent vectors `[B, latent]`, drawn image by image.
    ///
    /// # Errors
    /// A label that is no class.
    fn latents(&self, labels: &[i32], stream: &mut Stream) -> Result<Tensor, Error>;

    /// The images of latent vectors, `[B, C, H, W]` in `(-1, 1)`. An image does not depend on the others of its batch.
    ///
    /// # Errors
    /// A label that is no class, shapes that do not fit.
    fn decode(&self, z: &Tensor, labels: &[i32]) -> Result<Tensor, Error>;

    /// New images, one a label. Equal streams give equal images, and drawing 64 at once equals drawing 8 times 8 from
    /// one stream.
    ///
    /// # Errors
    /// A label that is no class.
    fn sample(&self, labels: &[i32], stream: &mut Stream) -> Result<Tensor, Error> {
        Ok(self.decode(&self.latents(labels, stream)?, labels)?.detach())
    }
}

/// Which generator, and how it is built: one table `[generator.gan]` in a configuration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Config {
    /// See [`vae`].
    Vae(vae::Config),
    /// See [`gan`].
    Gan(gan::Config),
}

impl Default for Config {
    fn default() -> Self {
        Self::Gan(gan::Config::default())
    }
}

impl Config {
    /// Builds the generator with its parameters in `scope`.
    ///
    /// # Errors
    /// A setting or option out of range, a name that is taken.
    pub fn build(&self, scope: &Scope, setting: &Setting<'_>) -> Result<Box<dyn Generator>, Error> {
        Ok(match self {
            Self::Vae(config) => Box::new(vae::Vae::new(config, scope, setting)?),
            Self::Gan(config) => Box::new(gan::Gan::new(config, scope, setting)?),
        })
    }
}

/// All generators: name, one line, default configuration.
pub const GENERATORS: &[Entry<fn() -> Config>] = &[
    Entry {
        name: "vae",
        summary: "variational auto-encoder whose encoder is the trunk; optimal-sigma likelihood, optional perceptual loss",
        item: || Config::Vae(vae::Config::default()),
    },
    Entry {
        name: "gan",
        summary: "class-conditional GAN whose critic sees through the trunk: scratch, frozen, live or hybrid",
        item: || Config::Gan(gan::Config::default()),
    },
];

/// Why a generator cannot be built, trained or sampled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A size generators are not made for.
    #[error("images of {height}x{width}: generators need sides divisible by 8, from 32 to 256; set another --size")]
    Size {
        /// Height asked for.
        height: usize,
        /// Width asked for.
        width: usize,
    },
    /// Neither grey nor colour.
    #[error("images of {channels} channels: generators draw 1 (grey) or 3 (colour)")]
    Channels {
        /// Channels asked for.
        channels: usize,
    },
    /// A trunk that offers nothing.
    #[error("the trunk offers no features to encode or judge with; use one with at least one tap")]
    NoTaps,
    /// An option out of range.
    #[error("{key}: {problem}")]
    Option {
        /// The option or table.
        key: &'static str,
        /// What is wrong and what is allowed.
        problem: String,
    },
    /// A label that is no class.
    #[error("class {class} of a generator with {classes} classes (0 to {}; negative for none)", .classes.saturating_sub(1))]
    Class {
        /// The label.
        class: i32,
        /// How many there are.
        classes: usize,
    },
    /// Not one label an image.
    #[error("{labels} labels for {images} images; one each is needed (negative where missing)")]
    Labels {
        /// Labels given.
        labels: usize,
        /// Images or rows given.
        images: usize,
    },
    /// A phase this generator does not have.
    #[error("no phase `{name}`; there are: {}", .known.join(", "))]
    Phase {
        /// The name asked for.
        name: String,
        /// The phases there are.
        known: Vec<&'static str>,
    },
    /// Numbers that diverged.
    #[error(
        "{what} is not finite; the model has diverged: lower the learning rate or go back to an earlier checkpoint"
    )]
    NotFinite {
        /// What.
        what: &'static str,
    },
    /// A shape or device problem in the arithmetic.
    #[error(transparent)]
    Tensor(#[from] mtl_tensor::Error),
}

/// The value of a scalar.
pub(crate) fn value(scalar: &Tensor) -> Result<f64, Error> {
    Ok(mtl_tensor::to_f64(scalar)?.iter().sum())
}

pub(crate) fn unknown_phase(name: &str, phases: &[Phase]) -> Error {
    Error::Phase { name: name.to_owned(), known: phases.iter().map(|phase| phase.name).collect() }
}
