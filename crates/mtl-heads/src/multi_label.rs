//! Any subset of labels an image: pooled features to one logit a label; binary cross-entropy over the cells present.

use mtl_metrics::Prediction;
use mtl_task::{Target, Task};
use mtl_tensor::ops::loss;
use mtl_tensor::{Ctx, Scope, Tensor, to_f64};
use mtl_trunk::Features;
use serde::{Deserialize, Serialize};

use crate::classification::{Pool, Vectorise};
use crate::{Error, Head, Place, Result};

/// Settings of the head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `average`, `pyramid` (default) or `flatten`; see [`Pool`].
    pub pool: Pool,
    /// Width of a hidden layer with ReLU, none by default.
    pub hidden: Option<usize>,
    /// Share of pooled features set to zero while learning. Default 0.2.
    pub dropout: f64,
    /// Weight of the yes labels of each column; all 1 by default.
    pub positive_weights: Option<Vec<f64>>,
}

impl Default for Config {
    fn default() -> Self {
        Self { pool: Pool::Pyramid, hidden: None, dropout: 0.2, positive_weights: None }
    }
}

/// See the module. Logits `[B, labels]`.
#[derive(Debug)]
pub struct MultiLabel {
    name: String,
    vector: Vectorise,
    positive_weights: Option<Vec<f64>>,
}

impl MultiLabel {
    /// Built on `place`.
    ///
    /// # Errors
    /// Settings out of range.
    pub fn new(config: &Config, scope: &Scope, task: &Task, place: &Place) -> Result<Self> {
        let labels = task.kind.outputs();
        if let Some(weights) = &config.positive_weights
            && (weights.len() != labels || weights.iter().any(|w| !w.is_finite() || *w < 0.0))
        {
            let problem = format!("positive_weights = {weights:?}; {labels} weights of at least 0 are needed");
            return Err(Error::Config { task: task.name.clone(), problem });
        }
        let vector = Vectorise::new(scope, task, place, config.pool, config.hidden, config.dropout, labels)?;
        Ok(Self { name: task.name.clone(), vector, positive_weights: config.positive_weights.clone() })
    }
}

impl Head for MultiLabel {
    fn forward(&self, features: &Features, cx: &Ctx) -> Result<Tensor> {
        self.vector.forward(features, cx)
    }

    fn loss(&self, logits: &Tensor, target: &Target) -> Result<Option<Tensor>> {
        let Target::MultiLabel(values) = target else {
            return Err(Error::Kind { task: self.name.clone(), kind: "labelled otherwise", head: "multi_label" });
        };
        if target.present() == 0 {
            return Ok(None);
        }
        Ok(Some(loss::binary_cross_entropy(logits, values, self.positive_weights.as_deref())?))
    }

    fn predict(&self, probabilities: &Tensor) -> Result<Prediction> {
        Ok(Prediction::MultiLabel(to_f64(&probabilities.detach())?.into_iter().map(|p| p > 0.5).collect()))
    }

    fn probabilities(&self, logits: &Tensor) -> Result<Tensor> {
        Ok((((logits.detach() * 0.5)?.tanh()? + 1.0)? * 0.5)?)
    }
}
