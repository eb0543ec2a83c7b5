//! Settings of the GAN.

use std::sync::Arc;

use mtl_tensor::Scope;
use serde::{Deserialize, Serialize};

use super::Gan;
use crate::{Error, Generator, GeneratorConfig, GeneratorInput, StageDefaults, augment, decoder};

/// Backbone of the discriminator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Own trunk, randomly initialised.
    Scratch,
    /// The shared trunk, without changes.
    #[default]
    Frozen,
    /// Own trunk, initialised from the shared trunk.
    Finetuned,
    /// `scratch` and `frozen` together.
    Hybrid,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 4] = [Self::Scratch, Self::Frozen, Self::Finetuned, Self::Hybrid];

    pub(super) fn has_own_trunk(self) -> bool {
        self != Self::Frozen
    }

    pub(super) fn uses_shared_trunk(self) -> bool {
        matches!(self, Self::Frozen | Self::Hybrid)
    }
}

/// Settings of the GAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Backbone of the discriminator. Default `frozen`.
    pub mode: Mode,
    /// Name of a generator whose decoder and prior initialise the generator network, if that generator exists and its
    /// decoder has the same settings; `none`: random initialisation. Default `vae`.
    pub init_from: String,
    /// Architecture of the generator network.
    pub decoder: decoder::Config,
    /// Augmentation of real and generated images before the discriminator.
    pub augment: augment::Config,
    /// Channels of the discriminator's heads, at least 1. Default 64.
    pub head_width: usize,
    /// Spectral normalisation of the heads on the shared trunk, as in Projected GANs. Default false, for runs of a few hundred
    /// steps; runs of many thousand steps need it, or the heads overpower the generator.
    pub spectral: bool,
    /// Weight of the gradient penalties of an own trunk, at least 0. Default 0.05, for 32x32 images; the right value grows
    /// about fourfold when the side doubles.
    pub gamma: f64,
    /// Standard deviation of the noise that approximates the gradient penalties, in pixel values of `[-1, 1]`, above 0.
    /// Default 0.01.
    pub sigma: f64,
    /// Weight of the heads on the shared trunk in mode `hybrid`, at least 0; the own trunk has weight 1. Default 0.5.
    pub frozen_weight: f64,
    /// Weight of feature matching in the generator's loss of the modes `frozen` and `hybrid`: squared difference of the batch
    /// means of the shared trunk's features (Salimans et al. 2016, arXiv 1606.03498). Default 1; 0 turns it off.
    pub feature_matching: f64,
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
            augment: augment::Config::default(),
            head_width: 64,
            spectral: false,
            gamma: 0.05,
            sigma: 0.01,
            frozen_weight: 0.5,
            feature_matching: 1.0,
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
        StageDefaults { batch: 32, steps_ratio: 1.0, minutes_share: 0.22, validations: 8, patience: 0 }
    }

    fn init_from(&self) -> Option<&str> {
        Some(&self.init_from)
    }
}

impl Config {
    /// Value of `init_from` for a random initialisation.
    pub const RANDOM_START: &'static str = "none";

    /// # Errors
    /// A setting out of range.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.head_width == 0 {
            return Err(Error::option("head_width", self.head_width, "must be at least 1"));
        }
        if !(self.sigma > 0.0 && self.sigma.is_finite()) {
            return Err(Error::option("sigma", self.sigma, "must be above 0"));
        }
        for (key, value) in [
            ("gamma", self.gamma),
            ("frozen_weight", self.frozen_weight),
            ("feature_matching", self.feature_matching),
            ("task_weight", self.task_weight),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::option(key, value, "must be 0 or more"));
            }
        }
        let [from, to] = self.class_ramp;
        if from.is_nan() || to.is_nan() || from > to {
            return Err(Error::option("class_ramp", self.class_ramp, "must be two fractions of training in order"));
        }
        self.decoder.check().map_err(|error| error.below("decoder"))?;
        self.augment.check().map_err(|error| error.below("augment"))
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
