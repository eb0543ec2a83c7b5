//! Segmentation head: a decoder to one logit per class and pixel, with cross-entropy and soft Dice loss.

use mtl_metrics::Prediction;
use mtl_task::{Target, Task, TaskKind};
use mtl_tensor::layers::{Conv2d, NormKind};
use mtl_tensor::ops::{self, loss};
use mtl_tensor::{Ctx, Scope, Tensor};
use mtl_trunk::Features;
use serde::{Deserialize, Serialize};

use crate::class_weights::class_weights;
use crate::decoder::Decoder;
use crate::{Error, Head, HeadConfig, HeadInput, Result, argmax, wrong_target};

/// Width of the hidden layer of [`Network::Fcn`].
const FCN_WIDTH: usize = 64;

/// Network between features and logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// U-Net-like decoder over all taps (Ronneberger et al. 2015, arXiv 1505.04597).
    #[default]
    Unet,
    /// Fully convolutional head on the deepest tap (Long et al. 2015, arXiv 1411.4038): 3x3 convolution to 64 channels,
    /// ReLU, 3x3 convolution to the classes, bilinear interpolation to full resolution.
    Fcn,
}

/// Settings of the segmentation head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Network: `unet` (default) or `fcn`.
    pub network: Network,
    /// Normalisation in the U-Net: `batch` (default) or `group`.
    pub norm: NormKind,
    /// Weight of the cross-entropy, at least 0. Default 1.
    pub cross_entropy: f64,
    /// Weight of the Dice loss, at least 0. Default 1.
    pub dice: f64,
    /// Class weights of the cross-entropy, `(mean count / count)^class_weight_power`, from 0 (equal weights, default) to 1
    /// (inverse frequency).
    pub class_weight_power: f64,
    /// Class weights in class order. Default: those of `class_weight_power`.
    pub class_weights: Option<Vec<f64>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            network: Network::Unet,
            norm: NormKind::Batch,
            cross_entropy: 1.0,
            dice: 1.0,
            class_weight_power: 0.0,
            class_weights: None,
        }
    }
}

impl HeadConfig for Config {
    fn build(&self, scope: &Scope, task: &Task, input: &HeadInput) -> Result<Box<dyn Head>> {
        Ok(Box::new(Segmentation::new(self, scope, task, input)?))
    }

    fn serves(&self, kind: &TaskKind) -> bool {
        matches!(kind, TaskKind::Segmentation { .. })
    }

    fn norm(&self) -> Option<NormKind> {
        (self.network == Network::Unet).then_some(self.norm)
    }
}

#[derive(Debug)]
enum Net {
    Unet(Decoder),
    Fcn { first: Conv2d, second: Conv2d, height: usize, width: usize },
}

/// Segmentation head: logits `[B, classes, H, W]`.
#[derive(Debug)]
pub struct Segmentation {
    task: String,
    net: Net,
    cross_entropy: f64,
    dice: f64,
    weights: Option<Vec<f64>>,
}

impl Segmentation {
    /// Builds the head with its parameters in `scope`.
    ///
    /// # Errors
    /// Settings out of range, a parameter name that is taken.
    pub fn new(config: &Config, scope: &Scope, task: &Task, input: &HeadInput) -> Result<Self> {
        let classes = task.kind.outputs();
        if !(config.cross_entropy >= 0.0 && config.dice >= 0.0 && config.cross_entropy + config.dice > 0.0) {
            let problem = format!(
                "cross_entropy = {} and dice = {}; both at least 0, not both 0",
                config.cross_entropy, config.dice
            );
            return Err(Error::Config { task: task.name.clone(), problem });
        }
        let net = match config.network {
            Network::Unet => Net::Unet(Decoder::new(scope, input, config.norm, classes)?),
            Network::Fcn => Net::Fcn {
                first: Conv2d::new(&scope.sub("conv1"), (input.deepest()?.channels, FCN_WIDTH), 3, 1, true)?,
                second: Conv2d::new(&scope.sub("conv2"), (FCN_WIDTH, classes), 3, 1, true)?,
                height: input.height,
                width: input.width,
            },
        };
        Ok(Self {
            task: task.name.clone(),
            net,
            cross_entropy: config.cross_entropy,
            dice: config.dice,
            weights: class_weights(task, &config.class_weights, config.class_weight_power, input)?,
        })
    }
}

impl Head for Segmentation {
    fn forward(&self, features: &Features, cx: &Ctx) -> Result<Tensor> {
        match &self.net {
            Net::Unet(decoder) => decoder.forward(features, cx),
            Net::Fcn { first, second, height, width } => {
                let x = second.forward(&first.forward_relu(features.deepest()?)?)?;
                Ok(ops::upsample_bilinear(&x, *height, *width)?)
            }
        }
    }

    fn loss(&self, logits: &Tensor, target: &Target) -> Result<Option<Tensor>> {
        let Target::Mask(pixels) = target else {
            return Err(wrong_target(&self.task, target, "segmentation"));
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
        Ok(Prediction::Mask(argmax(probabilities, &self.task)?.into_iter().map(|class| class as u8).collect()))
    }

    fn probabilities(&self, logits: &Tensor) -> Result<Tensor> {
        Ok(loss::probabilities(logits)?)
    }
}
