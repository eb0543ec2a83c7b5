//! Multi-label head: pooled features and a linear layer, with binary cross-entropy per label.

use mtl_metrics::Prediction;
use mtl_task::{Target, Task, TaskKind};
use mtl_tensor::ops::loss;
use mtl_tensor::{Ctx, Scope, Tensor, to_f64};
use mtl_trunk::Features;
use serde::{Deserialize, Serialize};

use crate::pooled::{Layers, Pool, Pooled};
use crate::{Error, Head, HeadConfig, HeadInput, Result, wrong_target};

/// Settings of the multi-label head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Pooling: `average`, `pyramid` (default) or `flatten`; see [`Pool`].
    pub pool: Pool,
    /// Width of a hidden layer with ReLU. Default: no hidden layer.
    pub hidden: Option<usize>,
    /// Dropout probability of the pooled features in training. Default 0.2.
    pub dropout: f64,
    /// Weight of the positive examples of each label, in label order. Default: all 1.
    pub positive_weights: Option<Vec<f64>>,
}

impl Default for Config {
    fn default() -> Self {
        Self { pool: Pool::Pyramid, hidden: None, dropout: 0.2, positive_weights: None }
    }
}

impl HeadConfig for Config {
    fn build(&self, scope: &Scope, task: &Task, input: &HeadInput) -> Result<Box<dyn Head>> {
        Ok(Box::new(MultiLabel::new(self, scope, task, input)?))
    }

    fn serves(&self, kind: &TaskKind) -> bool {
        matches!(kind, TaskKind::MultiLabel { .. })
    }
}

/// Multi-label head: logits `[B, labels]`.
#[derive(Debug)]
pub struct MultiLabel {
    task: String,
    network: Pooled,
    positive_weights: Option<Vec<f64>>,
}

impl MultiLabel {
    /// Builds the head with its parameters in `scope`.
    ///
    /// # Errors
    /// Settings out of range, a parameter name that is taken.
    pub fn new(config: &Config, scope: &Scope, task: &Task, input: &HeadInput) -> Result<Self> {
        let labels = task.kind.outputs();
        if let Some(weights) = &config.positive_weights
            && (weights.len() != labels || weights.iter().any(|w| !w.is_finite() || *w < 0.0))
        {
            let problem = format!("positive_weights = {weights:?}; {labels} weights of at least 0 are needed");
            return Err(Error::Config { task: task.name.clone(), problem });
        }
        let layers = Layers { pool: config.pool, hidden: config.hidden, dropout: config.dropout };
        let network = Pooled::new(scope, task, input, layers)?;
        Ok(Self { task: task.name.clone(), network, positive_weights: config.positive_weights.clone() })
    }
}

impl Head for MultiLabel {
    fn forward(&self, features: &Features, cx: &Ctx) -> Result<Tensor> {
        self.network.forward(features, cx)
    }

    fn loss(&self, logits: &Tensor, target: &Target) -> Result<Option<Tensor>> {
        let Target::MultiLabel(values) = target else {
            return Err(wrong_target(&self.task, target, "multi_label"));
        };
        if target.present() == 0 {
            return Ok(None);
        }
        Ok(Some(loss::binary_cross_entropy(logits, values, self.positive_weights.as_deref())?))
    }

    fn predict(&self, probabilities: &Tensor) -> Result<Prediction> {
        let probabilities = to_f64(&probabilities.detach())?;
        if probabilities.iter().any(|p| !p.is_finite()) {
            return Err(Error::NonFinite { task: self.task.clone() });
        }
        Ok(Prediction::MultiLabel(probabilities.into_iter().map(|p| p > 0.5).collect()))
    }

    fn probabilities(&self, logits: &Tensor) -> Result<Tensor> {
        Ok((((logits.detach() * 0.5)?.tanh()? + 1.0)? * 0.5)?)
    }
}
