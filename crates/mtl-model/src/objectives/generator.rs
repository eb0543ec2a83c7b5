//! `generator`: a generator as an objective of the joint stage. The encoder is its encoder, the first images of each batch
//! are encoded and reconstructed.

use std::sync::Arc;

use mtl_gen::Generator;
use mtl_metrics::Psnr;
use mtl_registry::UnknownName;
use mtl_tensor::{Ctx, Tensor};
use mtl_trunk::Features;
use serde::{Deserialize, Serialize};

use crate::batch::DeviceBatch;
use crate::error::{Error, Result};
use crate::objective::{
    Metrics, Objective, ObjectiveConfig, ObjectiveInput, Output, Views, check_weight, first_images,
};

/// Which generator, and its weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of the generator, `NAME` of `[generators.NAME.KIND]`. Default `vae`.
    pub name: String,
    /// Weight of its loss. Default 0.2: enough to train its encoder, and meant to be too small to dominate the encoder's
    /// gradient; other values have not been compared.
    pub weight: f64,
    /// Number of images per batch that are reconstructed: the decoder is the most expensive part of a step, and the first
    /// images of a shuffled batch are a random sample. Default 16.
    pub images: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { name: "vae".into(), weight: 0.2, images: 16 }
    }
}

impl ObjectiveConfig for Config {
    fn build(&self, input: &ObjectiveInput<'_>) -> Result<Option<Box<dyn Objective>>> {
        check_weight(input.name, "generator", self.weight)?;
        let names = || input.generators.keys().map(String::as_str);
        let wrong = |problem| Error::Setting { key: format!("objectives.{}.generator.name", input.name), problem };
        let unknown = || wrong(UnknownName::new("generator", &self.name, names()).to_string());
        let generator = input.generators.get(&self.name).ok_or_else(unknown)?;
        if generator.joint().is_none() {
            return Err(wrong(format!("the generator `{}` has no loss for the joint stage; a VAE has one", self.name)));
        }
        let generator = Arc::clone(generator);
        Ok(Some(Box::new(GeneratorObjective { name: input.name.to_owned(), config: self.clone(), generator })))
    }

    fn generator(&self) -> Option<&str> {
        Some(&self.name)
    }
}

/// See the module.
#[derive(Debug)]
struct GeneratorObjective {
    name: String,
    config: Config,
    generator: Arc<dyn Generator>,
}

impl GeneratorObjective {
    fn joint(&self) -> Result<&dyn mtl_gen::JointObjective> {
        let missing = || Error::Setting { key: self.config.name.clone(), problem: "has no joint loss".into() };
        self.generator.joint().ok_or_else(missing)
    }
}

impl Objective for GeneratorObjective {
    fn name(&self) -> &str {
        &self.name
    }

    /// A generator's parameters lie below its name.
    fn prefix(&self) -> &str {
        &self.config.name
    }

    fn loss(&self, features: &Features, batch: &DeviceBatch, cx: &Ctx) -> Result<Option<Tensor>> {
        let (features, images, count) = first_images(features, batch, self.config.images)?;
        let loss = self.joint()?.loss(&features, &images, &batch.classes[..count], cx)?;
        Ok(Some((loss.total * self.config.weight)?))
    }

    fn output(&self, views: &Views<'_>) -> Result<Output> {
        Ok(Output::Images(self.joint()?.reconstruct(views.plain, views.classes)?.detach()))
    }

    fn metrics(&self) -> Metrics {
        Metrics::Images(Psnr::new())
    }

    fn generator(&self) -> Option<&str> {
        Some(&self.config.name)
    }
}
