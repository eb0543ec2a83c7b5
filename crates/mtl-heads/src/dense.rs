//! Dense regression head (depth): a U-Net-like decoder to one value per pixel, with Huber loss.
//!
//! Labels in a unit are scaled inside, to a standard deviation of 1/4 around 0: the spread of relative labels, which cover
//! 0..1. Loss and learning rate then do not depend on the unit. Relative labels stay as they are.

use mtl_metrics::Prediction;
use mtl_task::{Target, Task, TaskKind};
use mtl_tensor::layers::NormKind;
use mtl_tensor::ops::loss;
use mtl_tensor::{Ctx, Scope, Tensor, to_f64};
use mtl_trunk::Features;
use serde::{Deserialize, Serialize};

use crate::decoder::Decoder;
use crate::standardised::Standardised;
use crate::{Error, Head, HeadConfig, HeadInput, Result, wrong_target};

/// Settings of the dense regression head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Normalisation in the decoder: `batch` (default) or `group`.
    pub norm: NormKind,
    /// Error at which the Huber loss changes from quadratic to linear, as a fraction of the labels' extent: of 0..1 for relative
    /// labels, of four standard deviations of the training labels in a unit. 0 is the absolute error. Default 0.1.
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

/// Standard deviations of labels that are scaled to 1.
const EXTENT: f64 = 4.0;

/// Dense regression head: output `[B, 1, H, W]`; predictions are in the unit of the labels.
#[derive(Debug)]
pub struct Dense {
    task: String,
    /// `None` for relative labels.
    labels: Option<Standardised>,
    decoder: Decoder,
    delta: f64,
    scale: f64,
}

impl Dense {
    /// Builds the head with its parameters in `scope`.
    ///
    /// # Errors
    /// Settings out of range, training labels that are all the same, a parameter name that is taken.
    pub fn new(config: &Config, scope: &Scope, task: &Task, input: &HeadInput) -> Result<Self> {
        if !(config.delta >= 0.0 && config.scale > 0.0) {
            let problem =
                format!("delta = {} and scale = {}; delta at least 0, scale above 0", config.delta, config.scale);
            return Err(Error::Config { task: task.name.clone(), problem });
        }
        let labels = match task.kind.unit() {
            TaskKind::RELATIVE => None,
            _ => Some(Standardised::new(scope, task, input.values, EXTENT)?),
        };
        Ok(Self {
            task: task.name.clone(),
            labels,
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
        let scaled = self.labels.as_ref().map(|labels| labels.labels(values)).transpose()?;
        let values = scaled.as_ref().unwrap_or(values);
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
        match &self.labels {
            Some(labels) => labels.values(output),
            None => Ok(output.detach()),
        }
    }
}
