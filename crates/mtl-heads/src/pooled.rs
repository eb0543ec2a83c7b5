//! Image-level outputs: pooled features, dropout, an optional hidden layer and a linear layer.

use mtl_task::Task;
use mtl_tensor::layers::Linear;
use mtl_tensor::{Ctx, Scope, Tensor, from_host, ops};
use mtl_trunk::Features;
use serde::{Deserialize, Serialize};

use crate::{Error, HeadInput, Result};

/// Pooling: features to one vector per image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Mean over the pixels of the deepest tap. Works for any image size.
    Average,
    /// Means over the pixels of every tap, concatenated: includes the textures of the fine taps.
    #[default]
    Pyramid,
    /// The deepest tap flattened. The head then fits one image size only.
    Flatten,
}

/// Layers between features and logits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layers {
    pub(crate) pool: Pool,
    /// Width of the hidden layer.
    pub(crate) hidden: Option<usize>,
    /// Probability of setting a pooled feature to zero in training.
    pub(crate) dropout: f64,
}

/// The network of image-level tasks: `[B, outputs]` logits.
#[derive(Debug)]
pub(crate) struct Pooled {
    task: String,
    layers: Layers,
    hidden: Option<Linear>,
    last: Linear,
}

impl Pooled {
    pub(crate) fn new(scope: &Scope, task: &Task, input: &HeadInput, layers: Layers) -> Result<Self> {
        let dropout = layers.dropout;
        if !(0.0..1.0).contains(&dropout) {
            return Err(Error::Config {
                task: task.name.clone(),
                problem: format!("dropout = {dropout}; it must be at least 0 and below 1"),
            });
        }
        let deepest = input.deepest()?;
        let inputs = match layers.pool {
            Pool::Average => deepest.channels,
            Pool::Pyramid => input.taps.iter().map(|tap| tap.channels).sum(),
            Pool::Flatten => deepest.channels * (input.height / deepest.stride) * (input.width / deepest.stride),
        };
        let (hidden, width) = match layers.hidden {
            Some(width) => (Some(Linear::new(&scope.sub("hidden"), inputs, width)?), width),
            None => (None, inputs),
        };
        Ok(Self {
            task: task.name.clone(),
            layers,
            hidden,
            last: Linear::new(&scope.sub("last"), width, task.kind.outputs())?,
        })
    }

    pub(crate) fn forward(&self, features: &Features, cx: &Ctx) -> Result<Tensor> {
        let mut x = match self.layers.pool {
            Pool::Average => ops::global_avg_pool(features.deepest()?)?,
            Pool::Pyramid => {
                let means = features.taps.iter().map(ops::global_avg_pool).collect::<mtl_tensor::Result<Vec<_>>>()?;
                Tensor::cat(&means, 1)?
            }
            Pool::Flatten => features.deepest()?.clone(),
        };
        let dropout = self.layers.dropout;
        if cx.is_training() && dropout > 0.0 {
            let mut stream = cx.stream(&format!("dropout/{}", self.task));
            let kept = 1.0 / (1.0 - dropout);
            let mask: Vec<f64> = (0..x.elem_count()).map(|_| if stream.chance(dropout) { 0.0 } else { kept }).collect();
            x = (&x * from_host(mask, x.shape(), &x)?)?;
        }
        if let Some(hidden) = &self.hidden {
            x = ops::relu(&hidden.forward(&x)?)?;
        }
        Ok(self.last.forward(&x)?)
    }
}
