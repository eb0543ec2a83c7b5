//! Task heads: networks on the trunk's features, their losses and their predictions.
//!
//! A [`Head`] maps the trunk's [`Features`] to logits. Its loss is the mean over the labels that are present, and `None`
//! without labels. Its predictions are the input of the metrics. By default the kind of a task determines its head; the
//! configuration can name another. A new kind of head is one file whose settings implement [`HeadConfig`], and one line in
//! the registry below.
//!
//! Cost, relative to the `s` trunk: classification, multi-label and regression negligible, segmentation and dense regression about half
//! of it each.
//!
//! ```
//! use mtl_rng::Seed;
//! use mtl_task::{Target, Task, TaskKind, ValueStatistics};
//! use mtl_tensor::{Ctx, DType, Device, Params, Tensor};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
//! let trunk = mtl_trunk::Config::default().build(&params.scope("trunk"), 3)?;
//! let task = Task::new("leaf", TaskKind::Segmentation { classes: vec!["background".into(), "leaf".into()] });
//! let input =
//!     mtl_heads::HeadInput { taps: trunk.taps().to_vec(), height: 32, width: 32, class_counts: None, values: None };
//! let head = mtl_heads::Config::for_task(&task.kind).build(&params.scope("heads.leaf"), &task, &input)?;
//! let images = Tensor::zeros((1, 3, 32, 32), DType::F32, &Device::Cpu)?;
//! let logits = head.forward(&trunk.forward(&images, &Ctx::eval())?, &Ctx::eval())?;
//! assert_eq!(logits.dims(), [1, 2, 32, 32]);
//! assert!(head.loss(&logits, &task.kind.missing(1, 32, 32))?.is_none()); // no labels, no loss
//! # Ok(())
//! # }
//! ```

mod class_weights;
pub mod classification;
mod decoder;
pub mod dense;
mod error;
pub mod multi_label;
mod pooled;
pub mod regression;
pub mod segmentation;
mod standardised;

pub use error::{Error, Result};

use error::wrong_target;
use mtl_metrics::Prediction;
use mtl_task::{Target, Task, TaskKind, ValueStatistics};
use mtl_tensor::layers::NormKind;
use mtl_tensor::{Ctx, Scope, Tensor, to_f64};
use mtl_trunk::{Features, TapSpec};

/// Input of a head: the trunk's taps, the image size, statistics of the training labels.
#[derive(Clone, Debug)]
pub struct HeadInput {
    /// The trunk's taps, finest first.
    pub taps: Vec<TapSpec>,
    /// Height of the images, in pixels.
    pub height: usize,
    /// Width of the images, in pixels.
    pub width: usize,
    /// Training labels per class (images or pixels), for class weights. `None`: all classes weigh the same.
    pub class_counts: Option<Vec<u64>>,
    /// Statistics of the training labels of a task of numbers, by which its head standardises. `None`: labels stay as they are.
    pub values: Option<ValueStatistics>,
}

impl HeadInput {
    fn deepest(&self) -> Result<TapSpec> {
        self.taps.last().copied().ok_or_else(|| mtl_tensor::Error::Msg("the trunk has no taps".into()).into())
    }
}

/// Network, loss and predictions of one task.
pub trait Head: Send + Sync + std::fmt::Debug {
    /// Features to logits: `[B, K]` for image-level tasks, `[B, K, H, W]` for pixel-level tasks.
    ///
    /// # Errors
    /// Shapes that do not fit.
    fn forward(&self, features: &Features, cx: &Ctx) -> Result<Tensor>;

    /// Lower bound of the loss. Default 0. Balancers that take the logarithm of losses refuse a negative bound.
    fn min_loss(&self) -> f64 {
        0.0
    }

    /// Loss: a scalar, the mean over the labels that are present. `None` without labels.
    ///
    /// # Errors
    /// Labels of another kind or number than the logits.
    fn loss(&self, logits: &Tensor, target: &Target) -> Result<Option<Tensor>>;

    /// Predictions on the host, from the output of [`Head::probabilities`] or an average of several outputs.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for NaN or infinite values; shapes that do not fit.
    fn predict(&self, probabilities: &Tensor) -> Result<Prediction>;

    /// Probabilities (classification and segmentation: softmax; multi-label: sigmoid) or values in the unit of the labels
    /// (regression, dense regression), in the shape of the logits and without their graph.
    ///
    /// # Errors
    /// Shapes that do not fit.
    fn probabilities(&self, logits: &Tensor) -> Result<Tensor>;
}

/// Settings of a head. A type from another crate that implements this trait is built in the same way as the built-in ones.
pub trait HeadConfig: Send + Sync + std::fmt::Debug {
    /// Builds the head for a task that it serves (the caller has checked it), with its parameters in `scope`.
    ///
    /// # Errors
    /// Settings out of range, a parameter name that is taken.
    fn build(&self, scope: &Scope, task: &Task, input: &HeadInput) -> Result<Box<dyn Head>>;

    /// Whether the head fits this kind of task.
    fn serves(&self, kind: &TaskKind) -> bool;

    /// The normalisation of its layers. Default: none.
    fn norm(&self) -> Option<NormKind> {
        None
    }
}

mtl_registry::registry! {
    /// Head of a task and its settings: one table `[heads.TASK.classification]` in a configuration file.
    pub enum Config: "head" as dyn HeadConfig;
    /// All heads.
    pub const HEADS;

    Classification(classification::Config), "classification",
        "pooled features to one class per image; cross-entropy, label smoothing, class weights";
    MultiLabel(multi_label::Config), "multi_label",
        "pooled features to yes or no per label; binary cross-entropy, missing cells allowed";
    Segmentation(segmentation::Config), "segmentation",
        "U-Net-like decoder to one class per pixel; cross-entropy and Dice, class weights", "Ronneberger et al. 2015, arXiv 1505.04597";
    Dense(dense::Config), "dense",
        "U-Net-like decoder to one value per pixel (depth); Huber loss", "Ronneberger et al. 2015, arXiv 1505.04597";
    Regression(regression::Config), "regression",
        "pooled features to one value per image; standardised labels, smooth L1 or squared loss";
}

impl Config {
    /// The default head of a kind of task, with its default settings: the first of [`HEADS`] that serves the kind.
    ///
    /// # Panics
    /// Never: a test holds the list to one head for each kind.
    pub fn for_task(kind: &TaskKind) -> Self {
        let mut all = HEADS.iter().map(|entry| (entry.item.default)());
        all.find(|config| config.member().serves(kind)).expect("every kind of task has a head")
    }

    /// The normalisation of its layers, if there is one.
    pub fn norm(&self) -> Option<NormKind> {
        self.member().norm()
    }

    /// Checks that the head serves tasks of this kind.
    ///
    /// # Errors
    /// [`Error::Kind`].
    pub fn check(&self, task: &Task) -> Result<()> {
        if self.member().serves(&task.kind) {
            return Ok(());
        }
        Err(Error::Kind { task: task.name.clone(), kind: task.kind.name(), head: self.name() })
    }

    /// Builds the head with its parameters in `scope`.
    ///
    /// # Errors
    /// A task of a kind that this head does not serve, settings out of range, a parameter name that is taken.
    pub fn build(&self, scope: &Scope, task: &Task, input: &HeadInput) -> Result<Box<dyn Head>> {
        self.check(task)?;
        self.member().build(scope, task, input)
    }
}

/// `[B, K, ...]` probabilities to the index of the largest, row-major `[B, ...]`.
fn argmax(probabilities: &Tensor, task: &str) -> Result<Vec<u32>> {
    let probabilities = probabilities.detach();
    // A comparison with NaN is false, so the arg max of NaN would be class 0. The sum is finite only if every value is.
    if to_f64(&probabilities.sum_all()?)?.iter().any(|sum| !sum.is_finite()) {
        return Err(Error::NonFinite { task: task.to_owned() });
    }
    Ok(probabilities.argmax(1)?.flatten_all()?.to_vec1::<u32>()?)
}
