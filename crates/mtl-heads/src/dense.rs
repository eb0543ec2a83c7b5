//! One number a pixel (depth): Huber loss over the labelled pixels.

use mtl_metrics::Prediction;
use mtl_task::Target;
use mtl_tensor::layers::NormKind;
use mtl_tensor::ops::loss;
use mtl_tensor::{Ctx, Scope, Tensor, to_f64};
use mtl_trunk::Features;
use serde::{Deserialize, Serialize};

use crate::decoder::Decoder;
use crate::{Error, Head, Place, Result};

/// Settings of the head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `batch` (default) or `group` normalisation in the decoder.
    pub norm: NormKind,
    /// Where the loss turns from square to linear, in the unit of the labels; 0 is the plain absolute difference.
    /// Default 0.1: labels are usually scaled to 0..1.
    pub delta: f64,
    /// Multiplies the loss, so that it is of the size of the other tasks'. Default 10.
    pub scale: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { norm: NormKind::Batch, delta: 0.1, scale: 10.0 }
    }
}

/// See the module. Output `[B, 1, H, W]`.
#[derive(Debug)]
pub struct Dense {
    name: String,
    decoder: Decoder,
    delta: f64,
    scale: f64,
}

impl Dense {
    /// Built on `place`.
    ///
    /// # Errors
    /// Settings out of range.
    pub fn new(config: &Config, scope: &Scope, place: &Place) -> Result<Self> {
        let name = scope.name().rsplit('.').next().unwrap_or_default().to_owned();
        if !(config.delta >= 0.0 && config.scale > 0.0) {
            let problem =
                format!("delta = {} and scale = {}; delta at least 0, scale above 0", config.delta, config.scale);
            return Err(Error::Config { task: name, problem });
        }
        Ok(Self {
            name,
            decoder: Decoder::new(scope, place, config.norm, 1)?,
            delta: config.delta,
            scale: config.scale,
        })
    }
}

impl Head for Dense {
    fn forward(&self, features: &Features, cx: &Ctx) -> Result<Tensor> {
        self.decoder.forward(features, cx)
    }

    fn loss(&self, output: &Tensor, target: &Target) -> Result<Option<Tensor>> {
        let Target::Dense(values) = target else {
            return Err(Error::Kind { task: self.name.clone(), kind: "labelled otherwise", head: "dense" });
        };
        if target.present() == 0 {
            return Ok(None);
        }
        let loss = if self.delta == 0.0 {
            loss::l1(output, values)?
        } else {
            (loss::huber(output, values, self.delta)? / self.delta)?
        };
        Ok(Some((loss * self.scale)?))
    }

    fn predict(&self, probabilities: &Tensor) -> Result<Prediction> {
        Ok(Prediction::Dense(to_f64(&probabilities.detach())?.into_iter().map(|value| value as f32).collect()))
    }

    fn probabilities(&self, output: &Tensor) -> Result<Tensor> {
        Ok(output.detach())
    }
}
