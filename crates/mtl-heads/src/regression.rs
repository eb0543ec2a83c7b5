//! Regression head: pooled features and a linear layer to one number per image, with smooth L1 or squared loss.

use mtl_metrics::Prediction;
use mtl_task::{Target, Task, TaskKind};
use mtl_tensor::ops::loss;
use mtl_tensor::{Ctx, Scope, Tensor, to_f64};
use mtl_trunk::Features;
use serde::{Deserialize, Serialize};

use crate::pooled::{Layers, Pool, Pooled};
use crate::standardised::Standardised;
use crate::{Error, Head, HeadConfig, HeadInput, Result, wrong_target};

/// Loss of the regression head, in standard deviations of the training labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Smooth L1 (Girshick 2015, arXiv 1504.08083): half of the squared error up to one standard deviation, the absolute error
    /// less a half beyond. Single wrong labels have a bounded gradient.
    #[default]
    SmoothL1,
    /// Squared error. Its best constant is the mean, that of the score RMSE.
    Mse,
}

/// Settings of the regression head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Pooling: `average`, `pyramid` (default) or `flatten`; see [`Pool`].
    pub pool: Pool,
    /// Width of a hidden layer with ReLU. Default: no hidden layer.
    pub hidden: Option<usize>,
    /// Dropout probability of the pooled features in training. Default 0: dropout changes the scale of the output.
    pub dropout: f64,
    /// Loss of the standardised labels: `smooth_l1` (default) or `mse`.
    pub loss: Loss,
}

impl Default for Config {
    fn default() -> Self {
        Self { pool: Pool::Pyramid, hidden: None, dropout: 0.0, loss: Loss::SmoothL1 }
    }
}

impl HeadConfig for Config {
    fn build(&self, scope: &Scope, task: &Task, input: &HeadInput) -> Result<Box<dyn Head>> {
        Ok(Box::new(Regression::new(self, scope, task, input)?))
    }

    fn serves(&self, kind: &TaskKind) -> bool {
        matches!(kind, TaskKind::Regression { .. })
    }
}

/// Regression head: output `[B, 1]`, in standard deviations of the training labels from their mean; predictions are in the
/// unit of the labels.
#[derive(Debug)]
pub struct Regression {
    task: String,
    network: Pooled,
    labels: Standardised,
    loss: Loss,
}

impl Regression {
    /// Builds the head with its parameters in `scope`.
    ///
    /// # Errors
    /// Settings out of range, training labels that are all the same, a parameter name that is taken.
    pub fn new(config: &Config, scope: &Scope, task: &Task, input: &HeadInput) -> Result<Self> {
        let layers = Layers { pool: config.pool, hidden: config.hidden, dropout: config.dropout };
        Ok(Self {
            task: task.name.clone(),
            network: Pooled::new(scope, task, input, layers)?,
            labels: Standardised::new(scope, task, input.values, 1.0)?,
            loss: config.loss,
        })
    }
}

impl Head for Regression {
    fn forward(&self, features: &Features, cx: &Ctx) -> Result<Tensor> {
        self.network.forward(features, cx)
    }

    fn loss(&self, output: &Tensor, target: &Target) -> Result<Option<Tensor>> {
        let Target::Value(values) = target else {
            return Err(wrong_target(&self.task, target, "regression"));
        };
        if target.present() == 0 {
            return Ok(None);
        }
        let values = self.labels.labels(values)?;
        Ok(Some(match self.loss {
            Loss::SmoothL1 => loss::huber(output, &values, 1.0)?,
            Loss::Mse => loss::mean_squared(output, &values)?,
        }))
    }

    fn predict(&self, values: &Tensor) -> Result<Prediction> {
        let values: Vec<f32> = to_f64(&values.detach())?.into_iter().map(|value| value as f32).collect();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Error::NonFinite { task: self.task.clone() });
        }
        Ok(Prediction::Value(values))
    }

    fn probabilities(&self, output: &Tensor) -> Result<Tensor> {
        self.labels.values(output)
    }
}
