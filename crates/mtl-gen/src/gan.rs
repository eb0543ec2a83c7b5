//! GAN: class-conditional generative adversarial network with the trunk as discriminator backbone (Goodfellow et al. 2014,
//! arXiv 1406.2661).
//!
//! | mode | discriminator | its loss |
//! |---|---|---|
//! | `scratch` | own trunk of the same architecture, randomly initialised, with a head on each tap | relativistic + aR1 + aR2 |
//! | `finetuned` | the same, initialised from the shared trunk, with a quarter of the learning rate | relativistic + aR1 + aR2 + tasks |
//! | `frozen` | the shared trunk as it is and two untrained ones, fixed random projections, heads on each tap | hinge |
//! | `hybrid` | `scratch`, and `frozen` on the shared trunk alone | both |
//!
//! Relativistic loss (Jolicoeur-Martineau 2018, arXiv 1807.00734; R3GAN, Huang et al. 2024, arXiv 2501.05441): discriminator
//! `softplus(D(G z) - D(x))`, generator `softplus(D(x) - D(G z))`, on pairs of a real and a generated image of the same class.
//! Approximated R1 and R2 penalties: `gamma / (2 sigma^2) mean (D(x) - D(x + sigma noise))^2` on real and on generated images.
//! To first order in sigma they are the gradient penalties `gamma / 2 |grad D|^2`, without second-order gradients. Hinge loss,
//! per feature pixel: discriminator `max(0, 1 - D(x)) + max(0, 1 + D(G z))`, generator `-D(G z)`. All images pass through the
//! same augmentation ([`crate::augment`]). Generated images never enter running statistics: the batch normalisation of an own
//! trunk has constant statistics, in `finetuned` those of the shared trunk, else those of the first real images.
//!
//! In mode `finetuned` the losses of the labelled tasks on real images, times [`Config::task_weight`], are added to the
//! discriminator's loss: its trunk keeps features that serve the tasks.
//!
//! Measured on built-in scenes at 32x32 with the `xs` trunk, 200 to 400 steps of 32 images from a VAE's decoder: `frozen`
//! gives sharp shapes and clean colours; `finetuned` is rougher and takes twice the time per step; `scratch` loses the VAE's
//! shapes before its discriminator is trained, and needs runs of many thousand steps.

mod backbone;
mod balance;
mod config;
mod discriminator;
mod losses;
pub mod matching;
mod penalty;
mod step;
mod terms;

use mtl_rng::Stream;
use mtl_tensor::{Ctx, Scope, Tensor, optim};

pub use config::{Config, HYBRID_MINUTES, HYBRID_STEPS, Mode};
pub use losses::Adversarial;
pub use penalty::Penalty;

use backbone::Backbone;
pub(crate) use backbone::{Own, Rows};
use balance::Balance;
pub(crate) use penalty::{approximated, halves, noisy};
pub(crate) use terms::{Mean, Sum};

use crate::copy::copy_parameters;
use crate::decoder::Decoder;
use crate::prior::Prior;
use crate::{
    Batch, DecoderSource, Discriminator, Error, Generator, GeneratorInput, GeneratorStep, Phase, Prepare, ReferenceFit,
    Sampling,
};

/// Class-conditional GAN on the shared trunk.
#[derive(Debug)]
pub struct Gan {
    config: Config,
    scope: Scope,
    generator_name: String,
    prior_name: String,
    generator: Decoder,
    /// Distribution of the latents: `N(0, I)`, or that of the generator it starts from.
    prior: Prior,
    /// The trunk that is trained, if the mode has one.
    own: Option<Own>,
    /// Trunks that are not trained: the shared one first.
    backbones: Vec<Backbone>,
    balance: Balance,
    /// Weight of the gradient penalties.
    gamma: f64,
    phases: Vec<Phase>,
}

impl Gan {
    /// Builds the GAN with its parameters in `scope`: `generator`, `prior`, and `critic.own`, `critic.frozen` as the mode needs.
    ///
    /// # Errors
    /// An image format that is not supported, settings out of range, a parameter name that is taken.
    pub fn new(config: &Config, scope: &Scope, input: &GeneratorInput<'_>) -> Result<Self, Error> {
        config.check().map_err(|error| error.below(&format!("generators.{}.gan", scope.name())))?;
        input.check()?;
        let critic = scope.sub("critic");
        let own = match config.mode.has_own_trunk() {
            true => Some(Own::new(config, &critic.sub("own"), input)?),
            false => None,
        };
        let backbones = Backbone::all(config, &critic.sub("frozen"), input)?;
        let (generator, prior) = (scope.sub("generator"), scope.sub("prior"));
        let adam = optim::Config::Adam { beta1: config.beta1(), beta2: 0.99 };
        let own_scale = config.own_lr / config.heads_lr();
        let mut lr_scales = vec![(format!("{}.own", critic.name()), own_scale)];
        if config.mode == Mode::Finetuned {
            lr_scales.insert(0, (format!("{}.own.trunk", critic.name()), 0.25 * own_scale));
        }
        let phase = |name: &'static str, parameters: &Scope, lr_scales: Vec<(String, f64)>, lr: f64| Phase {
            name,
            prefixes: vec![parameters.name().to_owned()],
            lr_scales,
            optimizer: adam,
            lr,
        };
        let phases = vec![
            phase("critic", &critic, lr_scales, config.heads_lr()),
            phase("generator", &generator, Vec::new(), config.generator_lr()),
        ];
        Ok(Self {
            config: config.clone(),
            scope: scope.clone(),
            generator_name: generator.name().to_owned(),
            prior_name: prior.name().to_owned(),
            generator: Decoder::new(&config.decoder, &generator, input)?,
            prior: Prior::new(&prior, input.classes, config.decoder.latent)?,
            balance: Balance::new(&critic.sub("balance"), if config.adaptive { 0.0 } else { 1.0 })?,
            gamma: config.gamma(input.size),
            own,
            backbones,
            phases,
        })
    }

    /// Copies a trained decoder into the generator network, and its prior. The discriminator then improves blurred images
    /// instead of noise, so that a run of one minute gives recognisable images.
    ///
    /// # Errors
    /// A parameter of the source that is missing or has another shape; nothing is copied then.
    pub fn start_from(&self, source: &DecoderSource<'_>) -> Result<(), Error> {
        copy_parameters(&self.scope, source.decoder, &self.generator_name)?;
        copy_parameters(&self.scope, source.prior, &self.prior_name)
    }

    fn stream_name(&self, purpose: &str) -> String {
        format!("{}/{purpose}", self.scope.name())
    }

    /// Probability of augmentation.
    fn augment_probability(&self) -> Result<f64, Error> {
        if self.config.adaptive { self.balance.probability() } else { Ok(1.0) }
    }

    /// Weight of the heads on the frozen trunk.
    fn frozen_weight(&self) -> f64 {
        if self.own.is_some() { self.config.frozen_weight } else { 1.0 }
    }
}

impl Generator for Gan {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn prepare(&self, input: &Prepare<'_>) -> Result<Vec<String>, Error> {
        if self.config.mode == Mode::Finetuned {
            copy_parameters(&self.scope, input.trunk_name, &format!("{}.critic.own.trunk", self.scope.name()))?;
        } else if let Some(own) = &self.own {
            own.calibrate(input.images)?;
        }
        for backbone in &self.backbones {
            if let Some(heads) = &backbone.heads {
                let trunk = backbone.trunk(input.trunk);
                heads.projection.calibrate(&trunk.forward(input.images, &Ctx::eval())?)?;
            }
        }
        let (own, name) = (self.scope.name(), &self.config.init_from);
        if name == crate::RANDOM_START {
            return Ok(Vec::new());
        }
        let note = match input.source(own, name, &self.config.decoder) {
            Ok(source) => {
                self.start_from(&source)?;
                format!("generator `{own}` starts from the decoder and the prior of generator `{name}`")
            }
            Err(note) => note,
        };
        Ok(vec![note])
    }

    fn begin_step<'a>(&'a self, batch: &'a Batch<'a>, cx: &'a Ctx) -> Result<Box<dyn GeneratorStep + 'a>, Error> {
        Ok(Box::new(step::Step::new(self, batch, cx)?))
    }

    fn reference_fit(&self) -> Option<Box<dyn ReferenceFit + '_>> {
        let fit = backbone::Fit::new(&self.backbones, self.config.feature_matching > 0.0)?;
        Some(Box::new(fit))
    }

    fn discriminator(&self) -> Option<&dyn Discriminator> {
        Some(self)
    }

    fn sampled(&self) -> &str {
        &self.generator_name
    }

    fn latent(&self) -> usize {
        self.generator.latent()
    }

    fn latents(&self, labels: &[i32], sampling: &Sampling, stream: &mut Stream) -> Result<Tensor, Error> {
        self.prior.sample(labels, sampling.truncation, stream)
    }

    fn mean_latents(&self, labels: &[i32]) -> Result<Tensor, Error> {
        self.prior.mean(labels)
    }

    fn decode(&self, z: &Tensor, labels: &[i32], _: &Sampling) -> Result<Tensor, Error> {
        self.generator.forward(z, labels)
    }
}
