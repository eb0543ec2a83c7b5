//! `autoencoder`: reconstruction of the image from a tap of stride 4 by two transposed convolutions, mean squared error.

use mtl_gen::autoencoder::Autoencoder;
use mtl_metrics::Psnr;
use mtl_tensor::{Ctx, Tensor};
use mtl_trunk::Features;
use serde::{Deserialize, Serialize};

use crate::batch::DeviceBatch;
use crate::error::{Error, Result};
use crate::objective::{
    Metrics, Objective, ObjectiveConfig, ObjectiveInput, Output, Views, check_weight, first_images,
};

/// Weight and number of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Weight of its loss. Default 0.2.
    pub weight: f64,
    /// Number of images per batch that are reconstructed. Default 16.
    pub images: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { weight: 0.2, images: 16 }
    }
}

/// Prefix of its parameters.
const PREFIX: &str = "autoencoder";

impl ObjectiveConfig for Config {
    fn build(&self, input: &ObjectiveInput<'_>) -> Result<Option<Box<dyn Objective>>> {
        check_weight(input.name, "autoencoder", self.weight)?;
        if input.params.trainable().keys().any(|name| name.starts_with("autoencoder.")) {
            let problem =
                "is a second autoencoder: the parameters `autoencoder` exist already; one is enough".to_owned();
            return Err(Error::Setting { key: format!("objectives.{}", input.name), problem });
        }
        let network = Autoencoder::new(&input.params.scope(PREFIX), input.taps, input.schema.channels)?;
        Ok(Some(Box::new(AutoencoderObjective { name: input.name.to_owned(), config: self.clone(), network })))
    }
}

/// See the module.
#[derive(Debug)]
struct AutoencoderObjective {
    name: String,
    config: Config,
    network: Autoencoder,
}

impl Objective for AutoencoderObjective {
    fn name(&self) -> &str {
        &self.name
    }

    fn prefix(&self) -> &str {
        PREFIX
    }

    fn loss(&self, features: &Features, batch: &DeviceBatch, _: &Ctx) -> Result<Option<Tensor>> {
        let (features, images, _) = first_images(features, batch, self.config.images)?;
        let loss = self.network.loss(&self.network.forward(&features)?, &images)?;
        Ok(Some((loss * self.config.weight)?))
    }

    fn output(&self, views: &Views<'_>) -> Result<Output> {
        Ok(Output::Images(self.network.forward(views.plain)?.detach()))
    }

    fn metrics(&self) -> Metrics {
        Metrics::Images(Psnr::new())
    }
}
