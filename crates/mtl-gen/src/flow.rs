//! Flow: flow matching in the latent space of the trunk, or in pixels (Lipman et al. 2023, arXiv 2210.02747; Liu et al. 2023,
//! arXiv 2209.03003).
//!
//! ```text
//! training   z = encoder(trunk(x)),  z_t = t z + (1 - t) e,  e ~ N(0, I):   mean |v^(z_t, t, class) - (z - e)|^2
//! sampling   z_0 = e,  dz/dt = v_null + guidance (v_class - v_null) from t = 0 to 1,  x = decoder(z_1)
//! ```
//! Its stage has two parts. For the first [`Config::tokenizer_share`] of the stage an encoder from the frozen trunk to a small
//! map and a decoder are trained as an autoencoder, after a while against a discriminator (`flow/critic.rs`). Then the maps are
//! normalised by their moments over training images, and a network learns the velocity on the maps, which no longer change. In
//! pixels there is one part.
//!
//! [`Generator::validation_loss`] is the loss on held-out images at noise that is the same each time. It falls as long as
//! the network learns the distribution, and rises once it copies training images.
//!
//! Memory of sampling: one pass of the network; of gradients to the latents: two passes per step.

mod config;
mod critic;
mod network;
mod solver;
mod stage;
mod tokenizer;

use mtl_rng::Stream;
use mtl_tensor::{Ctx, Scope, Tensor, ops, optim, with_constant_weights};
use mtl_trunk::Trunk;

pub use config::{Config, Space};

use self::tokenizer::{Fit, STRIDE, Tokenizer};
use crate::{Batch, Error, Generator, GeneratorInput, GeneratorStep, Phase, Prepare, PriorFit, Sampling, value};

/// Draws of time and noise per image for the validation loss.
const VALIDATION_DRAWS: usize = 4;
/// Factor of pixels in `[-1, 1]`, which brings their variance near 1.
const PIXEL_SCALE: f64 = 2.0;

/// Where the flow takes place.
#[derive(Debug)]
enum Codec {
    Latent(Box<Tokenizer>),
    /// Side of the blocks of pixels.
    Pixels(usize),
}

/// A part of the stage; one phase each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The tokenizer's discriminator.
    Critic,
    Tokenizer,
    Flow,
}

/// Flow matching on the shared trunk.
#[derive(Debug)]
pub struct Flow {
    config: Config,
    name: String,
    classes: usize,
    codec: Codec,
    critic: Option<critic::Critic>,
    network: network::Network,
    /// Channels, height and width of the map.
    map: (usize, usize, usize),
    parts: Vec<Part>,
    phases: Vec<Phase>,
}

impl Flow {
    /// Builds the flow with its parameters in `scope`: `network`, and `encoder`, `decoder` in the latent space.
    ///
    /// # Errors
    /// An image format that is not supported, settings out of range, a trunk without a tap up to stride 8, a parameter name that
    /// is taken.
    pub fn new(config: &Config, scope: &Scope, input: &GeneratorInput<'_>) -> Result<Self, Error> {
        let below = |error: Error| error.below(&format!("generators.{}.flow", scope.name()));
        input.check()?;
        config.check().map_err(below)?;
        let (codec, channels, stride) = match config.space {
            Space::Latent => {
                let tokenizer = Tokenizer::new(scope, config.channels, input)?;
                (Codec::Latent(Box::new(tokenizer)), config.channels, STRIDE)
            }
            Space::Pixels => {
                let side = if input.size.0.max(input.size.1) < 128 { 4 } else { 8 };
                (Codec::Pixels(side), input.channels * side * side, side)
            }
        };
        let size = (input.size.0 / stride, input.size.1 / stride);
        let place = scope.sub("network");
        let network = network::Network::new(config, &place, channels, size, input.classes).map_err(below)?;
        let adversarial = config.space == Space::Latent && config.adversarial > 0.0;
        let critic = if adversarial { Some(critic::Critic::new(&scope.sub("critic"), input)?) } else { None };
        let phase = |name, prefixes: &[&str], lr| Phase {
            name,
            prefixes: prefixes.iter().map(|prefix| scope.sub(prefix).name().to_owned()).collect(),
            lr_scales: Vec::new(),
            optimizer: optim::Config::Adam { beta1: 0.9, beta2: 0.99 },
            lr,
        };
        let mut parts = vec![(Part::Flow, phase("flow", &["network"], 1e-3))];
        if config.space == Space::Latent {
            parts.insert(0, (Part::Tokenizer, phase("tokenizer", &["encoder", "decoder"], 2e-3)));
        }
        if adversarial {
            let adam = optim::Config::Adam { beta1: 0.0, beta2: 0.99 };
            parts.insert(0, (Part::Critic, Phase { optimizer: adam, ..phase("critic", &["critic"], 1e-3) }));
        }
        let (parts, phases) = parts.into_iter().unzip();
        Ok(Self {
            config: config.clone(),
            name: scope.name().to_owned(),
            classes: input.classes,
            codec,
            critic,
            network,
            map: (channels, size.0, size.1),
            parts,
            phases,
        })
    }

    fn tokenizer(&self) -> Option<&Tokenizer> {
        match &self.codec {
            Codec::Latent(tokenizer) => Some(tokenizer),
            Codec::Pixels(_) => None,
        }
    }

    /// Whether the part of the flow has begun.
    fn begun(&self) -> Result<bool, Error> {
        self.tokenizer().map_or(Ok(true), |tokenizer| tokenizer.statistics().fitted())
    }

    fn stream_name(&self, purpose: &str) -> String {
        format!("{}/{purpose}", self.name)
    }

    /// Maps of images, constants to the gradient.
    fn clean(&self, trunk: &dyn Trunk, images: &Tensor) -> Result<Tensor, Error> {
        match &self.codec {
            Codec::Latent(tokenizer) => {
                let features = trunk.forward(&images.detach(), &Ctx::eval())?.detach();
                Ok(with_constant_weights(|| tokenizer.encode(&features))?.detach())
            }
            Codec::Pixels(side) => Ok((ops::pixel_unshuffle(&images.detach(), *side)? * PIXEL_SCALE)?),
        }
    }

    /// Maps to images.
    fn image(&self, map: &Tensor) -> Result<Tensor, Error> {
        match &self.codec {
            Codec::Latent(tokenizer) => tokenizer.decode(map),
            Codec::Pixels(side) => Ok(ops::pixel_shuffle(&(map / PIXEL_SCALE)?, *side)?.clamp(-1.0, 1.0)?),
        }
    }

    /// The velocity with guidance; the parameters are constants.
    fn guided(&self, z: &Tensor, t: f64, labels: &[i32], guidance: f64) -> Result<Tensor, Error> {
        let batch = labels.len();
        let without = vec![-1; batch];
        let velocity = |z: &Tensor, labels: &[i32]| self.network.velocity(z, &vec![t; labels.len()], labels, true);
        if guidance == 0.0 {
            return velocity(z, &without);
        }
        if guidance == 1.0 || self.classes == 0 || labels.iter().all(|label| *label < 0) {
            return velocity(z, labels);
        }
        let both = velocity(&Tensor::cat(&[z, z], 0)?, &[labels, &without].concat())?;
        let (class, without) = (both.narrow(0, 0, batch)?, both.narrow(0, batch, batch)?);
        Ok((&without + ((class - &without)? * guidance)?)?)
    }

    /// Solves the equation between two times.
    fn solve(
        &self,
        z: &Tensor,
        span: (f64, f64),
        labels: &[i32],
        (guidance, steps): (f64, usize),
    ) -> Result<Tensor, Error> {
        solver::integrate(z, span, steps, |z, t| self.guided(z, t, labels, guidance))
    }
}

impl Generator for Flow {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn phase_progress(&self, phase: usize, progress: f64) -> Result<Option<f64>, Error> {
        let (begun, share) = (self.begun()?, self.config.tokenizer_share);
        let through = match self.parts.get(phase) {
            Some(Part::Critic) if !begun && self.config.judges(progress) => {
                let from = self.config.adversarial_from;
                Some((progress / share - from) / (1.0 - from))
            }
            Some(Part::Tokenizer) if !begun => Some(progress / share),
            Some(Part::Flow) if self.parts.len() == 1 => Some(progress),
            Some(Part::Flow) if begun => Some((progress - share) / (1.0 - share)),
            _ => None,
        };
        Ok(through.map(|through| through.clamp(0.0, 1.0)))
    }

    fn due_fit(&self, progress: f64) -> Result<Option<Box<dyn PriorFit + '_>>, Error> {
        Ok(match self.tokenizer() {
            Some(tokenizer) if progress >= self.config.tokenizer_share && !self.begun()? => {
                Some(Box::new(Fit::new(tokenizer)))
            }
            _ => None,
        })
    }

    fn can_sample(&self) -> Result<bool, Error> {
        self.begun()
    }

    fn prepare(&self, input: &Prepare<'_>) -> Result<Vec<String>, Error> {
        if let Some(critic) = &self.critic {
            critic.calibrate(input.images)?;
        }
        Ok(Vec::new())
    }

    fn begin_step<'a>(&'a self, batch: &'a Batch<'a>, cx: &'a Ctx) -> Result<Box<dyn GeneratorStep + 'a>, Error> {
        Error::check_labels(batch.classes, batch.images)?;
        Ok(Box::new(stage::Step { flow: self, batch, cx, reconstructed: None }))
    }

    fn sampled(&self) -> &str {
        &self.name
    }

    fn latent(&self) -> usize {
        self.map.0 * self.map.1 * self.map.2
    }

    fn check_sampling(&self, sampling: &Sampling) -> Result<(), Error> {
        sampling.check_truncation()?;
        self.config.solver(sampling.guidance, sampling.steps).map(|_| ())
    }

    fn latents(&self, labels: &[i32], sampling: &Sampling, stream: &mut Stream) -> Result<Tensor, Error> {
        labels.iter().try_for_each(|&label| crate::embedding::row_of(label, self.classes).map(|_| ()))?;
        let values = stream.normals(labels.len() * self.latent());
        let scaled: Vec<f32> = values.into_iter().map(|v| (f64::from(v) * sampling.truncation) as f32).collect();
        let (device, dtype) = self.network.place();
        Ok(Tensor::from_vec(scaled, (labels.len(), self.latent()), &device)?.to_dtype(dtype)?)
    }

    fn decode(&self, z: &Tensor, labels: &[i32], sampling: &Sampling) -> Result<Tensor, Error> {
        let solver = self.config.solver(sampling.guidance, sampling.steps)?;
        Error::check_labels(labels, z)?;
        let (channels, height, width) = self.map;
        // Gradients are those of `z` alone.
        with_constant_weights(|| {
            let noise = ops::reshape(z, (labels.len(), channels, height, width))?;
            self.image(&self.solve(&noise, (0.0, 1.0), labels, solver)?)
        })
    }

    fn encode(
        &self,
        trunk: &dyn Trunk,
        images: &Tensor,
        labels: &[i32],
        sampling: &Sampling,
    ) -> Result<Option<Tensor>, Error> {
        Error::check_labels(labels, images)?;
        let solver = self.config.solver(sampling.guidance, sampling.steps)?;
        let clean = self.clean(trunk, images)?;
        let noise = with_constant_weights(|| self.solve(&clean, (1.0, 0.0), labels, solver))?;
        Ok(Some(ops::reshape(&noise, (labels.len(), self.latent()))?))
    }

    fn validation_loss(&self, batch: &Batch<'_>, stream: &mut Stream) -> Result<Option<f64>, Error> {
        let clean = self.clean(batch.trunk, batch.images)?;
        let mut sum = 0.0;
        for _ in 0..VALIDATION_DRAWS {
            let (times, noise) = self.noise(&clean, stream)?;
            sum += value(&with_constant_weights(|| self.network.loss(&clean, &noise, &times, batch.classes))?)?;
        }
        Ok(Some(sum / VALIDATION_DRAWS as f64))
    }
}

#[cfg(test)]
mod tests;
