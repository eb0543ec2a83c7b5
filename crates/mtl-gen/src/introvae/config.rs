//! Settings of the Soft-IntroVAE.

use std::sync::Arc;

use mtl_tensor::Scope;
use serde::{Deserialize, Serialize};

use super::IntroVae;
use crate::{Error, Generator, GeneratorConfig, GeneratorInput, StageDefaults, decoder};

/// Settings of the Soft-IntroVAE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of a VAE whose encoder layers and decoder are the start, if its decoder has the same settings; `none`: random
    /// initialisation. Default `vae`.
    pub init_from: String,
    /// Architecture of the decoder.
    pub decoder: decoder::Config,
    /// Weight of the divergence of generated images in the encoder's loss, at least 0. Default 256, as in the paper for 32x32
    /// images.
    pub beta_neg: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { init_from: "vae".to_owned(), decoder: decoder::Config::default(), beta_neg: 256.0 }
    }
}

impl Config {
    /// # Errors
    /// A weight that is negative or not finite.
    pub(super) fn check(&self) -> Result<(), Error> {
        if !self.beta_neg.is_finite() || self.beta_neg < 0.0 {
            return Err(Error::option("beta_neg", self.beta_neg, "must be 0 or more"));
        }
        self.decoder.check().map_err(|error| error.below("decoder"))
    }
}

impl GeneratorConfig for Config {
    fn build(&self, scope: &Scope, input: &GeneratorInput<'_>) -> Result<Arc<dyn Generator>, Error> {
        Ok(Arc::new(IntroVae::new(self, scope, input)?))
    }

    fn stage_defaults(&self) -> StageDefaults {
        StageDefaults { batch: 32, steps_ratio: 1.0, minutes_share: 0.8, validations: 8, patience: 0 }
    }

    fn init_from(&self) -> Option<&str> {
        Some(&self.init_from)
    }
}
