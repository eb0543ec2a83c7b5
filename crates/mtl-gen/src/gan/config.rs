//! Settings of the GAN.

use std::sync::Arc;

use mtl_tensor::Scope;
use serde::{Deserialize, Serialize};

use super::Gan;
use super::losses::Adversarial;
use super::penalty::Penalty;
use crate::{Error, Generator, GeneratorConfig, GeneratorInput, StageDefaults, StageLength, augment, decoder};

/// Backbone of the discriminator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// `hybrid` in a stage of at least [`HYBRID_STEPS`] steps, or of at least [`HYBRID_MINUTES`] minutes; else `frozen`.
    #[default]
    Auto,
    /// Own trunk, randomly initialised.
    Scratch,
    /// The shared trunk, without changes.
    Frozen,
    /// Own trunk, initialised from the shared trunk.
    Finetuned,
    /// `scratch` and `frozen` together.
    Hybrid,
}

impl Mode {
    /// All modes but `auto`.
    pub const ALL: [Self; 4] = [Self::Scratch, Self::Frozen, Self::Finetuned, Self::Hybrid];

    pub(super) fn has_own_trunk(self) -> bool {
        matches!(self, Self::Scratch | Self::Finetuned | Self::Hybrid)
    }

    pub(super) fn uses_shared_trunk(self) -> bool {
        matches!(self, Self::Auto | Self::Frozen | Self::Hybrid)
    }
}

/// Shortest stage in steps for which `auto` is `hybrid`.
pub const HYBRID_STEPS: u64 = 2000;
/// Shortest stage in minutes for which `auto` is `hybrid`.
pub const HYBRID_MINUTES: f64 = 3.0;

/// Settings of the GAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Backbone of the discriminator. Default `auto`, which the settings of a run resolve; a GAN that is built with it is
    /// `frozen`.
    pub mode: Mode,
    /// Loss of the discriminator's own trunk. Default `relativistic`.
    pub loss: Adversarial,
    /// Name of a generator whose decoder and prior initialise the generator network, if that generator exists and its
    /// decoder has the same settings; `none`: random initialisation. Default `vae`.
    pub init_from: String,
    /// Architecture of the generator network.
    pub decoder: decoder::Config,
    /// Augmentation of real and generated images before the discriminator.
    pub augment: augment::Config,
    /// Whether the probability of the augmentation follows the discriminator's signs (ADA); it starts at 0. Without it the
    /// augmentation is applied to every image. Default true.
    pub adaptive: bool,
    /// Channels of the discriminator's heads, at least 1. Default 64.
    pub head_width: usize,
    /// Spectral normalisation of the heads on the shared trunk, as in Projected GANs. Default: in mode `hybrid`, whose runs of many
    /// thousand steps need it, or the heads overpower the generator; not in mode `frozen`, for runs of a few hundred steps.
    pub spectral: Option<bool>,
    /// Computation of the gradient penalties of an own trunk. Default `approximated`.
    pub penalty: Penalty,
    /// Taps of an own trunk that have a head, from the coarsest on, at least 1. Default 2: a head at the finest tap sees textures of
    /// a few pixels alone, and costs a quarter of the discriminator.
    pub own_taps: usize,
    /// Weight of the gradient penalties of an own trunk, at least 0. Default: 0.02 for 32x32 images, in proportion to the number
    /// of pixels.
    pub gamma: Option<f64>,
    /// Standard deviation of the noise that approximates the gradient penalties, and the step of the exact ones, in pixel values of
    /// `[-1, 1]`, above 0. Default 0.01.
    pub sigma: f64,
    /// Weight of LeCam, which keeps scores near running means, for few images; at least 0. Default 0. The paper has 0.3.
    pub lecam: f64,
    /// Weight of consistency regularisation: squared difference of an own trunk's scores of one real image under two
    /// augmentations (Zhang et al. 2020, arXiv 1910.12027), at least 0. Default 0. The paper has 10.
    pub consistency: f64,
    /// Whether an own trunk's deepest head reads the standard deviation over the batch (Karras et al. 2018, arXiv 1710.10196), which
    /// shows a generator without variety. Default true.
    pub minibatch_std: bool,
    /// Weight of the heads on the shared trunk in mode `hybrid`, at least 0; the own trunk has weight 1. Default 0.5.
    pub frozen_weight: f64,
    /// Weight of feature matching in the generator's loss of the modes `frozen` and `hybrid`: MMD^2 between features of the batch
    /// and of all training images ([`super::matching`]). Default 1; 0 turns it off.
    pub feature_matching: f64,
    /// Untrained trunks whose features are matched besides those of the shared trunk. Default 2. With `frozen` they have
    /// heads of the discriminator, too.
    pub random_trunks: usize,
    /// Peak learning rate of the heads on trunks that are not trained, above 0. Default: 5e-3 in mode `frozen` (with a lower one,
    /// samples get ringing and saturated colours after some hundred steps), else 1e-3.
    pub heads_lr: Option<f64>,
    /// Peak learning rate of the discriminator's own trunk and its heads, above 0. Default 1e-3.
    pub own_lr: f64,
    /// Peak learning rate of the generator network, above 0. Default: 2e-4 in mode `frozen`, else 5e-4.
    pub generator_lr: Option<f64>,
    /// Decay of the mean of gradients in Adam, of both phases, 0 to below 1. Default: 0.5 in mode `frozen`, else 0.
    pub beta1: Option<f64>,
    /// Weight of the labelled tasks' losses on real images in the discriminator's loss of mode `finetuned`, at least 0. Default
    /// 1; 0 turns them off. Cost: one pass of trunk and heads, half as much again per step on built-in scenes at 32x32.
    pub task_weight: f64,
    /// Fractions of training between which the weight of the class condition in the discriminator rises from 0 to 1 (Shahbazi
    /// et al. 2022, arXiv 2201.06578: conditioning from the start causes mode collapse on small data sets). Default
    /// `[0, 0]`: weight 1 from the start.
    pub class_ramp: [f64; 2],
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            init_from: "vae".to_owned(),
            decoder: decoder::Config::default(),
            loss: Adversarial::default(),
            augment: augment::Config::default(),
            adaptive: true,
            head_width: 64,
            spectral: None,
            penalty: Penalty::default(),
            own_taps: 2,
            gamma: None,
            sigma: 0.01,
            lecam: 0.0,
            consistency: 0.0,
            minibatch_std: true,
            frozen_weight: 0.5,
            feature_matching: 1.0,
            random_trunks: 2,
            heads_lr: None,
            own_lr: 1e-3,
            generator_lr: None,
            beta1: None,
            task_weight: 1.0,
            class_ramp: [0.0, 0.0],
        }
    }
}

impl GeneratorConfig for Config {
    fn build(&self, scope: &Scope, input: &GeneratorInput<'_>) -> Result<Arc<dyn Generator>, Error> {
        Ok(Arc::new(Gan::new(self, scope, input)?))
    }

    fn stage_defaults(&self) -> StageDefaults {
        StageDefaults { batch: 32, steps_ratio: 1.0, minutes_share: 0.8, validations: 8, patience: 0 }
    }

    fn resolved(&self, length: StageLength) -> Option<crate::Config> {
        let long = match length {
            StageLength::Steps(steps) => steps >= HYBRID_STEPS,
            StageLength::Minutes(minutes) => minutes >= HYBRID_MINUTES,
        };
        let mode = match self.mode {
            Mode::Auto if long => Mode::Hybrid,
            Mode::Auto => Mode::Frozen,
            other => other,
        };
        Some(crate::Config::Gan(Self { mode, ..self.clone() }))
    }

    fn init_from(&self) -> Option<&str> {
        Some(&self.init_from)
    }
}

impl Config {
    /// # Errors
    /// A setting out of range.
    pub(super) fn check(&self) -> Result<(), Error> {
        for (key, value) in [("head_width", self.head_width), ("own_taps", self.own_taps)] {
            if value == 0 {
                return Err(Error::option(key, value, "must be at least 1"));
            }
        }
        if !(self.sigma > 0.0 && self.sigma.is_finite()) {
            return Err(Error::option("sigma", self.sigma, "must be above 0"));
        }
        for (key, value) in
            [("heads_lr", self.heads_lr()), ("own_lr", self.own_lr), ("generator_lr", self.generator_lr())]
        {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::option(key, value, "must be above 0"));
            }
        }
        if !(0.0..1.0).contains(&self.beta1()) {
            return Err(Error::option("beta1", self.beta1(), "must be from 0 to below 1"));
        }
        for (key, value) in [
            ("gamma", self.gamma.unwrap_or_default()),
            ("lecam", self.lecam),
            ("consistency", self.consistency),
            ("frozen_weight", self.frozen_weight),
            ("feature_matching", self.feature_matching),
            ("task_weight", self.task_weight),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::option(key, value, "must be 0 or more"));
            }
        }
        let [from, to] = self.class_ramp;
        if !(0.0 <= from && from <= to && to <= 1.0) {
            return Err(Error::option("class_ramp", self.class_ramp, "must be two fractions from 0 to 1 in order"));
        }
        self.decoder.check().map_err(|error| error.below("decoder"))?;
        self.augment.check().map_err(|error| error.below("augment"))
    }

    /// Whether no trunk is trained.
    fn heads_alone(&self) -> bool {
        !self.mode.has_own_trunk()
    }

    /// Peak learning rate of the heads on trunks that are not trained.
    pub(super) fn heads_lr(&self) -> f64 {
        self.heads_lr.unwrap_or(if self.heads_alone() { 5e-3 } else { 1e-3 })
    }

    /// Peak learning rate of the generator network.
    pub(super) fn generator_lr(&self) -> f64 {
        self.generator_lr.unwrap_or(if self.heads_alone() { 2e-4 } else { 5e-4 })
    }

    /// First decay of Adam.
    pub(super) fn beta1(&self) -> f64 {
        self.beta1.unwrap_or(if self.heads_alone() { 0.5 } else { 0.0 })
    }

    /// Weight of the gradient penalties for images of this size.
    pub(crate) fn gamma(&self, (height, width): (usize, usize)) -> f64 {
        self.gamma.unwrap_or(0.02 * (height * width) as f64 / 1024.0)
    }

    /// Weight of the class condition in the discriminator.
    pub(super) fn class_weight(&self, progress: f64) -> f64 {
        let [from, to] = self.class_ramp;
        if progress >= to { 1.0 } else { ((progress - from) / (to - from)).max(0.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_ramp() {
        let config = Config { class_ramp: [0.2, 0.4], ..Config::default() };
        assert_eq!([0.1, 0.2, 0.4, 0.9].map(|at| config.class_weight(at)), [0.0, 0.0, 1.0, 1.0]);
        assert!((config.class_weight(0.3) - 0.5).abs() < 1e-12);
        assert_eq!(Config::default().class_weight(0.0), 1.0);
    }
}
