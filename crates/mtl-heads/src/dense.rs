//! Dense regression head (depth): a U-Net-like decoder to one value per pixel, with Huber loss.

use mtl_metrics::Prediction;
use mtl_task::{Target, Task, TaskKind};
use mtl_tensor::layers::NormKind;
use mtl_tensor::ops::loss;
use mtl_tensor::{Ctx, Scope, Tensor, to_f64};
use mtl_trunk::Features;
use serde::{Deserialize, Serialize};

use crate::decoder::Decoder;
use crate::{Error, Head, HeadConfig, HeadInput, Result, wrong_target};

/// Settings of the dense regression head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Normalisation in the decoder: `batch` (default) or `group`.
    pub norm: NormKind,
    /// Error at which the Huber loss changes from quadratic to linear, in the unit of the labels; 0 is the absolute error.
    /// Default 0.1, for labels scaled to 0..1.
    pub delta: f64,
    /// Factor of the loss, which brings it to the scale of the other tasks' losses. Default 10.
    pub scale: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { norm: NormKind::Batch, delta: 0.1, scale: 10.0 }
    }
}

impl HeadConfig for Config {
    fn build(&self, scope: &Scope, task: &Task, input: &HeadInput) -> Result<Box<dyn Head>> {
        Ok(Box::new(Dense::new(self, scope, task, input)?))
    }

    fn serves(&self, kind: &TaskKind) -> bool {
        matches!(kind, TaskKind::Dense { .. })
    }

    fn norm(&self) -> Option<NormKind> {
        Some(self.norm)
    }
}

/// Dense regression head: output `[B, 1, H, W]`, in the unit of the labels.
#[derive(Debug)]
pub struct Dense {
    task: String,
    decoder: Decoder,
    delta: f64,
    scale: f64,
}

impl Dense {
    /// Builds the head with its parameters in `scope`.
    ///
    /// # Errors
    /// Settings out of range, a parameter name that is taken.
    pub fn new(config: &Config, scope: &Scope, task: &Task, input: &HeadInput) -> Result<Self> {
        if !(config.delta >= 0.0 && config.scale > 0.0) {
            let problem =
                format!("delta = {} and scale = {}; delta at least 0, scale above 0", config.delta, config.scale);
            return Err(Error::Config { task: task.name.clone(), problem });
        }
        Ok(Self {
            task: task.name.clone(),
            decoder: Decoder::new(scope, input, config.norm, 1)?,
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
            return Err(wrong_target(&self.task, target, "dense"));
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

    fn predict(&self, values: &Tensor) -> Result<Prediction> {
        let values: Vec<f32> = to_f64(&values.detach())?.into_iter().map(|value| value as f32).collect();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Error::NonFinite { task: self.task.clone() });
        }
        Ok(Prediction::Dense(values))
    }

    fn probabilities(&self, output: &Tensor) -> Result<Tensor> {
        Ok(output.detach())
    }
}
