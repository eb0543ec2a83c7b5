//! Settings of the flow.

use std::sync::Arc;

use mtl_tensor::Scope;
use serde::{Deserialize, Serialize};

use super::Flow;
use crate::{Error, Generator, GeneratorConfig, GeneratorInput, StageDefaults};

/// What the flow generates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// Maps of the trunk's features at an eighth of the image's size, which a decoder turns into images.
    #[default]
    Latent,
    /// Pixels: blocks of 4x4 (from 128 pixels on 8x8) as channels.
    Pixels,
}

/// Settings of the flow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What the flow generates. Default `latent`.
    pub space: Space,
    /// Channels of the latent map, at least 1; `latent` only. Default 16.
    pub channels: usize,
    /// Channels of the flow's network, a positive multiple of 16. Default 96.
    pub width: usize,
    /// Residual blocks of the flow's network, at least 1, and at least 3 for maps of 16x16 and more. Default 6.
    pub blocks: usize,
    /// Length of the class embedding, at least 1. Default 32.
    pub embedding: usize,
    /// Probability that training drops a class, 0 to 1, so that the network can also sample without one, for guidance.
    /// Default 0.1.
    pub class_dropout: f64,
    /// Default strength of classifier-free guidance, at least 0 (Ho and Salimans 2022, arXiv 2207.12598): 0 ignores the class,
    /// 1 samples the learned distribution of the class, more gives more typical and less varied images. Default 1.5.
    pub guidance: f64,
    /// Default number of midpoint steps of the solver, 1 to 1000; each evaluates the network twice. Default 10: images are 2 grey
    /// levels (root mean square) from those of 60 steps on built-in scenes, with 20 steps 0.7.
    pub steps: usize,
    /// Share of the stage that trains encoder and decoder of the latent map, above 0 and below 1; `latent` only. Default 0.4.
    pub tokenizer_share: f64,
    /// Images per step that encoder and decoder of the latent map are trained on, the first of the batch, at least 1; `latent`
    /// only. Default 32.
    pub tokenizer_images: usize,
    /// Standard deviation of the noise on the normalised latent map while the decoder is trained, at least 0: it makes the
    /// decoder robust to the flow's errors. Default 0.2.
    pub noise: f64,
    /// Weight of the perceptual loss of the decoder, at least 0. Default 1.
    pub perceptual: f64,
    /// Weight of the adversarial loss of the decoder, which draws details instead of their mean, at least 0; `latent` only. Default
    /// 0.1; 0 turns the discriminator off.
    pub adversarial: f64,
    /// How many of `tokenizer_images` the discriminator sees per step, at least 1; all, if it is larger. Default 16.
    pub adversarial_images: usize,
    /// Share of the training of encoder and decoder after which discriminator and adversarial loss begin, 0 to below 1. Default
    /// 0.25.
    pub adversarial_from: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            space: Space::default(),
            channels: 16,
            width: 96,
            blocks: 6,
            embedding: 32,
            class_dropout: 0.1,
            guidance: 1.5,
            steps: 10,
            tokenizer_share: 0.4,
            tokenizer_images: 32,
            noise: 0.2,
            perceptual: 1.0,
            adversarial: 0.1,
            adversarial_images: 16,
            adversarial_from: 0.25,
        }
    }
}

impl GeneratorConfig for Config {
    fn build(&self, scope: &Scope, input: &GeneratorInput<'_>) -> Result<Arc<dyn Generator>, Error> {
        Ok(Arc::new(Flow::new(self, scope, input)?))
    }

    fn stage_defaults(&self) -> StageDefaults {
        StageDefaults { batch: 64, steps_ratio: 2.0, minutes_share: 0.8, validations: 10, patience: 3 }
    }
}

/// Largest number of steps of the solver.
const MAX_STEPS: usize = 1000;

impl Config {
    /// # Errors
    /// A setting out of range.
    pub(super) fn check(&self) -> Result<(), Error> {
        for (key, value) in [
            ("channels", self.channels),
            ("blocks", self.blocks),
            ("embedding", self.embedding),
            ("tokenizer_images", self.tokenizer_images),
            ("adversarial_images", self.adversarial_images),
        ] {
            if value == 0 {
                return Err(Error::option(key, value, "must be at least 1"));
            }
        }
        if self.width == 0 || !self.width.is_multiple_of(16) {
            return Err(Error::option("width", self.width, "must be a positive multiple of 16"));
        }
        if !(0.0..=1.0).contains(&self.class_dropout) {
            return Err(Error::option("class_dropout", self.class_dropout, "must be from 0 to 1"));
        }
        if !(self.tokenizer_share > 0.0 && self.tokenizer_share < 1.0) {
            return Err(Error::option("tokenizer_share", self.tokenizer_share, "must be above 0 and below 1"));
        }
        if !(0.0..1.0).contains(&self.adversarial_from) {
            return Err(Error::option("adversarial_from", self.adversarial_from, "must be from 0 to below 1"));
        }
        for (key, value) in [("noise", self.noise), ("perceptual", self.perceptual), ("adversarial", self.adversarial)]
        {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::option(key, value, "must be 0 or more"));
            }
        }
        self.solver(Some(self.guidance), Some(self.steps)).map(|_| ())
    }

    /// Whether the discriminator of the tokenizer acts when `progress` of the stage is completed.
    pub(super) fn judges(&self, progress: f64) -> bool {
        progress >= self.tokenizer_share * self.adversarial_from
    }

    /// Images per step that the discriminator sees.
    pub(super) fn judged_images(&self) -> usize {
        self.adversarial_images.min(self.tokenizer_images)
    }

    /// Guidance and steps of sampling; those not given are the configured ones.
    ///
    /// # Errors
    /// A setting out of range.
    pub(super) fn solver(&self, guidance: Option<f64>, steps: Option<usize>) -> Result<(f64, usize), Error> {
        let (guidance, steps) = (guidance.unwrap_or(self.guidance), steps.unwrap_or(self.steps));
        if !(guidance >= 0.0 && guidance.is_finite()) {
            return Err(Error::option("guidance", guidance, "must be 0 or more"));
        }
        if !(1..=MAX_STEPS).contains(&steps) {
            return Err(Error::option("steps", steps, format!("must be from 1 to {MAX_STEPS}")));
        }
        Ok((guidance, steps))
    }
}
