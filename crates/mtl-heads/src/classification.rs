//! Classification head: pooled features and a linear layer, with softmax cross-entropy.

use mtl_metrics::Prediction;
use mtl_task::{Target, Task, TaskKind};
use mtl_tensor::ops::loss;
use mtl_tensor::{Ctx, Scope, Tensor};
use mtl_trunk::Features;
use serde::{Deserialize, Serialize};

use crate::class_weights::class_weights;
use crate::pooled::{Layers, Pooled};
use crate::{Error, Head, HeadConfig, HeadInput, Result, argmax, wrong_target};

pub use crate::pooled::Pool;

/// Settings of the classification head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Pooling: `average`, `pyramid` (default) or `flatten`.
    pub pool: Pool,
    /// Width of a hidden layer with ReLU. Default: no hidden layer.
    pub hidden: Option<usize>,
    /// Dropout probability of the pooled features in training. Default 0.2.
    pub dropout: f64,
    /// Label smoothing, at least 0 and below 1. Default 0.05.
    pub label_smoothing: f64,
    /// Class weights `(mean count / count)^class_weight_power`, from 0 (equal weights, default) to 1 (inverse frequency).
    pub class_weight_power: f64,
    /// Class weights in class order. Default: those of `class_weight_power`.
    pub class_weights: Option<Vec<f64>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pool: Pool::Pyramid,
            hidden: None,
            dropout: 0.2,
            label_smoothing: 0.05,
            class_weight_power: 0.0,
            class_weights: None,
        }
    }
}

impl HeadConfig for Config {
    fn build(&self, scope: &Scope, task: &Task, input: &HeadInput) -> Result<Box<dyn Head>> {
        Ok(Box::new(Classification::new(self, scope, task, input)?))
    }

    fn serves(&self, kind: &TaskKind) -> bool {
        matches!(kind, TaskKind::Classification { .. })
    }
}

/// Classification head: logits `[B, classes]`.
#[derive(Debug)]
pub struct Classification {
    task: String,
    network: Pooled,
    label_smoothing: f64,
    weights: Option<Vec<f64>>,
}

impl Classification {
    /// Builds the head with its parameters in `scope`.
    ///
    /// # Errors
    /// Settings out of range, a parameter name that is taken.
    pub fn new(config: &Config, scope: &Scope, task: &Task, input: &HeadInput) -> Result<Self> {
        if !(0.0..1.0).contains(&config.label_smoothing) {
            return Err(Error::Config {
                task: task.name.clone(),
                problem: format!("label_smoothing = {}; it must be at least 0 and below 1", config.label_smoothing),
            });
        }
        let layers = Layers { pool: config.pool, hidden: config.hidden, dropout: config.dropout };
        Ok(Self {
            task: task.name.clone(),
            network: Pooled::new(scope, task, input, layers)?,
            label_smoothing: config.label_smoothing,
            weights: class_weights(task, &config.class_weights, config.class_weight_power, input)?,
        })
    }
}

impl Head for Classification {
    fn forward(&self, features: &Features, cx: &Ctx) -> Result<Tensor> {
        self.network.forward(features, cx)
    }

    fn loss(&self, logits: &Tensor, target: &Target) -> Result<Option<Tensor>> {
        let Target::Class(labels) = target else {
            return Err(wrong_target(&self.task, target, "classification"));
        };
        if target.present() == 0 {
            return Ok(None);
        }
        let weighting = loss::ClassWeighting { weights: self.weights.as_deref(), smoothing: self.label_smoothing };
        Ok(Some(loss::cross_entropy(logits, labels, &weighting)?))
    }

    fn predict(&self, probabilities: &Tensor) -> Result<Prediction> {
        Ok(Prediction::Class(argmax(probabilities, &self.task)?))
    }

    fn probabilities(&self, logits: &Tensor) -> Result<Tensor> {
        Ok(loss::probabilities(logits)?)
    }
}
