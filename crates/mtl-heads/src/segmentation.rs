//! One class a pixel: cross-entropy plus soft Dice over the labelled pixels.

use mtl_metrics::Prediction;
use mtl_task::{Target, Task};
use mtl_tensor::layers::{Conv2d, NormKind};
use mtl_tensor::ops::{self, loss};
use mtl_tensor::{Ctx, Scope, Tensor};
use mtl_trunk::Features;
use serde::{Deserialize, Serialize};

use crate::class_weights::weights;
use crate::decoder::Decoder;
use crate::{Error, Head, Place, Result, argmax};

/// The network between features and logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// U-Net-like, over all taps.
    #[default]
    Unet,
    /// The tutorial's: conv 3x3 to 64, ReLU, conv 3x3 to the classes, on the deepest tap; its logits, which the tutorial
    /// compared with masks four times their size, are interpolated to full resolution.
    Tutorial,
}

/// Settings of the head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `unet` (default) or `tutorial`.
    pub network: Network,
    /// `batch` (default) or `group` normalisation in the decoder.
    pub norm: NormKind,
    /// Weight of the cross-entropy. Default 1.
    pub cross_entropy: f64,
    /// Weight of the Dice loss. Default 1.
    pub dice: f64,
    /// Class weights of the cross-entropy, `(mean count / count)^balance`, 0 (default, none) to 1 (inverse frequency).
    pub balance: f64,
    /// Class weights in class order, instead of `balance`.
    pub class_weights: Option<Vec<f64>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            network: Network::Unet,
            norm: NormKind::Batch,
            cross_entropy: 1.0,
            dice: 1.0,
            balance: 0.0,
            class_weights: None,
        }
    }
}

#[derive(Debug)]
enum Net {
    Unet(Decoder),
    Tutorial { first: Conv2d, second: Conv2d, height: usize, width: usize },
}

/// See the module. Logits `[B, classes, H, W]`.
#[derive(Debug)]
pub struct Segmentation {
    name: String,
    net: Net,
    cross_entropy: f64,
    dice: f64,
    weights: Option<Vec<f64>>,
}

impl Segmentation {
    /// Built on `place`.
    ///
    /// # Errors
    /// Settings out of range.
    pub fn new(config: &Config, scope: &Scope, task: &Task, place: &Place) -> Result<Self> {
        let classes = task.kind.outputs();
        if !(config.cross_entropy >= 0.0 && config.dice >= 0.0 && config.cross_entropy + config.dice > 0.0) {
            let problem = format!(
                "cross_entropy = {} and dice = {}; both at least 0, not both 0",
                config.cross_entropy, config.dice
            );
            return Err(Error::Config { task: task.name.clone(), problem });
        }
        let net = match config.network {
            Network::Unet => Net::Unet(Decoder::new(scope, place, config.norm, classes)?),
            Network::Tutorial => Net::Tutorial {
                first: Conv2d::new(&scope.scope("conv1"), (place.deepest()?.channels, 64), 3, 1, true)?,
                second: Conv2d::new(&scope.scope("conv2"), (64, classes), 3, 1, true)?,
                height: place.height,
                width: place.width,
            },
        };
        Ok(Self {
            name: task.name.clone(),
            net,
            cross_entropy: config.cross_entropy,
            dice: config.dice,
            weights: weights(&task.name, &config.class_weights, config.balance, classes, place)?,
        })
    }
}

impl Head for Segmentation {
    fn forward(&self, features: &Features, cx: &Ctx) -> Result<Tensor> {
        match &self.net {
            Net::Unet(decoder) => decoder.forward(features, cx),
            Net::Tutorial { first, second, height, width } => {
                let x = second.forward(&first.forward_relu(features.deepest()?)?)?;
                Ok(ops::upsample_bilinear(&x, *height, *width)?)
            }
        }
    }

    fn loss(&self, logits: &Tensor, target: &Target) -> Result<Option<Tensor>> {
        let Target::Mask(pixels) = target else {
            return Err(Error::Kind { task: self.name.clone(), kind: "labelled otherwise", head: "segmentation" });
        };
        if target.present() == 0 {
            return Ok(None);
        }
        let labels: Vec<i32> =
            pixels.iter().map(|&pixel| if pixel == Target::NO_PIXEL { -1 } else { i32::from(pixel) }).collect();
        let weighting = loss::ClassWeighting { weights: self.weights.as_deref(), smoothing: 0.0 };
        let mut total = (loss::cross_entropy(logits, &labels, &weighting)? * self.cross_entropy)?;
        if self.dice > 0.0 {
            total = (total + (loss::dice(logits, &labels)? * self.dice)?)?;
        }
        Ok(Some(total))
    }

    fn predict(&self, probabilities: &Tensor) -> Result<Prediction> {
        Ok(Prediction::Mask(argmax(probabilities)?.into_iter().map(|class| class as u8).collect()))
    }

    fn probabilities(&self, logits: &Tensor) -> Result<Tensor> {
        Ok(loss::probabilities(logits)?)
    }
}
