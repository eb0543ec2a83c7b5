//! One class an image: features pooled over pixels, then a linear map; softmax cross-entropy.

use mtl_metrics::Prediction;
use mtl_task::{Target, Task};
use mtl_tensor::layers::Linear;
use mtl_tensor::ops::{self, loss};
use mtl_tensor::{Ctx, Scope, Tensor, from_host};
use mtl_trunk::Features;
use serde::{Deserialize, Serialize};

use crate::class_weights::weights;
use crate::{Error, Head, Place, Result, argmax};

/// How pixels become one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Mean over pixels of the deepest tap: any image size, no parameters.
    Average,
    /// Means of all taps beside each other: textures of fine taps count too.
    #[default]
    Pyramid,
    /// All pixels of the deepest tap in a row: the tutorial's; one image size only.
    Flatten,
}

/// Settings of the head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `average`, `pyramid` (default) or `flatten`.
    pub pool: Pool,
    /// Width of a hidden layer with ReLU, none by default.
    pub hidden: Option<usize>,
    /// Share of pooled features set to zero while learning. Default 0.2.
    pub dropout: f64,
    /// Label smoothing, 0 to below 1. Default 0.05.
    pub smoothing: f64,
    /// Class weights `(mean count / count)^balance`, 0 (default, none) to 1 (inverse frequency).
    pub balance: f64,
    /// Class weights in class order, instead of `balance`.
    pub class_weights: Option<Vec<f64>>,
}

impl Default for Config {
    fn default() -> Self {
        Self { pool: Pool::Pyramid, hidden: None, dropout: 0.2, smoothing: 0.05, balance: 0.0, class_weights: None }
    }
}

/// See the module. Logits `[B, classes]`.
#[derive(Debug)]
pub struct Classification {
    name: String,
    vector: Vectorise,
    smoothing: f64,
    weights: Option<Vec<f64>>,
}

impl Classification {
    /// Built on `place`.
    ///
    /// # Errors
    /// Settings out of range.
    pub fn new(config: &Config, scope: &Scope, task: &Task, place: &Place) -> Result<Self> {
        let classes = task.kind.outputs();
        if !(0.0..1.0).contains(&config.smoothing) {
            return Err(Error::Config {
                task: task.name.clone(),
                problem: format!("smoothing = {}; it must lie in 0..1", config.smoothing),
            });
        }
        Ok(Self {
            name: task.name.clone(),
            vector: Vectorise::new(scope, task, place, config.pool, config.hidden, config.dropout, classes)?,
            smoothing: config.smoothing,
            weights: weights(&task.name, &config.class_weights, config.balance, classes, place)?,
        })
    }
}

impl Head for Classification {
    fn forward(&self, features: &Features, cx: &Ctx) -> Result<Tensor> {
        self.vector.forward(features, cx)
    }

    fn loss(&self, logits: &Tensor, target: &Target) -> Result<Option<Tensor>> {
        let Target::Class(labels) = target else {
            return Err(Error::Kind { task: self.name.clone(), kind: "labelled otherwise", head: "classification" });
        };
        if target.present() == 0 {
            return Ok(None);
        }
        let weighting = loss::ClassWeighting { weights: self.weights.as_deref(), smoothing: self.smoothing };
        Ok(Some(loss::cross_entropy(logits, labels, &weighting)?))
    }

    fn predict(&self, probabilities: &Tensor) -> Result<Prediction> {
        Ok(Prediction::Class(argmax(probabilities)?))
    }

    fn probabilities(&self, logits: &Tensor) -> Result<Tensor> {
        Ok(loss::probabilities(logits)?)
    }
}

/// Features to one row of outputs an image: pool, dropout, optional hidden layer, linear map.
#[derive(Debug)]
pub(crate) struct Vectorise {
    name: String,
    pool: Pool,
    dropout: f64,
    hidden: Option<Linear>,
    last: Linear,
}

impl Vectorise {
    pub(crate) fn new(
        scope: &Scope,
        task: &Task,
        place: &Place,
        pool: Pool,
        hidden: Option<usize>,
        dropout: f64,
        outputs: usize,
    ) -> Result<Self> {
        if !(0.0..1.0).contains(&dropout) {
            return Err(Error::Config {
                task: task.name.clone(),
                problem: format!("dropout = {dropout}; it must lie in 0..1"),
            });
        }
        let deepest = place.deepest()?;
        let inputs = match pool {
            Pool::Average => deepest.channels,
            Pool::Pyramid => place.taps.iter().map(|tap| tap.channels).sum(),
            Pool::Flatten => deepest.channels * (place.height / deepest.stride) * (place.width / deepest.stride),
        };
        let (hidden, width) = match hidden {
            Some(width) => (Some(Linear::new(&scope.scope("hidden"), inputs, width)?), width),
            None => (None, inputs),
        };
        Ok(Self {
            name: task.name.clone(),
            pool,
            dropout,
            hidden,
            last: Linear::new(&scope.scope("last"), width, outputs)?,
        })
    }

    pub(crate) fn forward(&self, features: &Features, cx: &Ctx) -> Result<Tensor> {
        let mut x = match self.pool {
            Pool::Average => ops::global_avg_pool(features.deepest()?)?,
            Pool::Pyramid => {
                let means = features.taps.iter().map(ops::global_avg_pool).collect::<mtl_tensor::Result<Vec<_>>>()?;
                Tensor::cat(&means, 1)?
            }
            Pool::Flatten => features.deepest()?.clone(),
        };
        if cx.is_training() && self.dropout > 0.0 {
            let mut stream = cx.stream(&format!("dropout/{}", self.name));
            let kept = 1.0 / (1.0 - self.dropout);
            let mask: Vec<f64> =
                (0..x.elem_count()).map(|_| if stream.chance(self.dropout) { 0.0 } else { kept }).collect();
            x = (&x * from_host(mask, x.shape(), &x)?)?;
        }
        if let Some(hidden) = &self.hidden {
            x = ops::relu(&hidden.forward(&x)?)?;
        }
        Ok(self.last.forward(&x)?)
    }
}
