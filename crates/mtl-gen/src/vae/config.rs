//! Settings of the VAE.

use std::sync::Arc;

use mtl_tensor::Scope;
use serde::{Deserialize, Serialize};

use super::Vae;
use crate::prior::COMPONENTS;
use crate::{Error, Generator, GeneratorConfig, GeneratorInput, StageDefaults, decoder};

/// Settings of the VAE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Architecture of the decoder.
    pub decoder: decoder::Config,
    /// Weight of the KL term, at least 0. Default 1, the evidence lower bound: the variance of the likelihood adapts instead.
    pub beta: f64,
    /// Free bits: nats per latent dimension below which the KL term is constant (Kingma et al. 2016, arXiv 1606.04934).
    /// Default 0.
    pub free_bits: f64,
    /// Weight of the perceptual loss in the VAE's own stage, at least 0. Default 0: a positive weight makes a step two to three
    /// times as long and outlines slightly sharper.
    pub perceptual: f64,
    /// Largest number of Gaussians per class in the prior that is fitted after training, 1 to 8; there is one per 32 images at
    /// most. Default 8.
    pub prior_components: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            decoder: decoder::Config::default(),
            beta: 1.0,
            free_bits: 0.0,
            perceptual: 0.0,
            prior_components: COMPONENTS,
        }
    }
}

impl Config {
    /// # Errors
    /// A weight that is negative or not finite.
    pub(super) fn check(&self) -> Result<(), Error> {
        let weights = [("beta", self.beta), ("free_bits", self.free_bits), ("perceptual", self.perceptual)];
        if !(1..=COMPONENTS).contains(&self.prior_components) {
            let problem = format!("must be from 1 to {COMPONENTS}");
            return Err(Error::option("prior_components", self.prior_components, problem));
        }
        match weights.into_iter().find(|(_, weight)| !weight.is_finite() || *weight < 0.0) {
            Some((key, weight)) => Err(Error::option(key, weight, "must be 0 or more")),
            None => self.decoder.check().map_err(|error| error.below("decoder")),
        }
    }
}

impl GeneratorConfig for Config {
    fn build(&self, scope: &Scope, input: &GeneratorInput<'_>) -> Result<Arc<dyn Generator>, Error> {
        Ok(Arc::new(Vae::new(self, scope, input)?))
    }

    fn stage_defaults(&self) -> StageDefaults {
        StageDefaults { batch: 64, steps_ratio: 0.5, minutes_share: 0.08, validations: 8, patience: 0 }
    }
}
