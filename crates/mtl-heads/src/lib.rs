//! A task's network, its loss and its decisions.
//!
//! A [`Head`] reads the shared [`Features`], gives logits, a loss that is the mean over the labels that are PRESENT (and
//! `None` if none is), and the decisions its scores are computed from. A new kind of head is one file with a `Config`
//! that builds it, and one line in [`HEADS`]; which head serves a task follows from the task's kind unless the
//! configuration names another.
//!
//! Cost, relative to the `s` trunk: classification nothing, segmentation and dense regression about half of it each.
//!
//! ```
//! use mtl_rng::Seed;
//! use mtl_task::{Target, Task, TaskKind};
//! use mtl_tensor::{Ctx, DType, Device, Params, Tensor};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
//! let trunk = mtl_trunk::Config::default().build(&params.scope("trunk"), 3)?;
//! let task = Task::new("leaf", TaskKind::Segmentation { classes: vec!["background".into(), "leaf".into()] });
//! let place = mtl_heads::Place { taps: trunk.taps().to_vec(), height: 32, width: 32, class_counts: None };
//! let head = mtl_heads::Config::for_task(&task.kind).build(&params.scope("heads.leaf"), &task, &place)?;
//! let images = Tensor::zeros((1, 3, 32, 32), DType::F32, &Device::Cpu)?;
//! let logits = head.forward(&trunk.forward(&images, &Ctx::eval())?, &Ctx::eval())?;
//! assert_eq!(logits.dims(), [1, 2, 32, 32]);
//! assert!(head.loss(&logits, &task.kind.missing(1, 32, 32))?.is_none()); // nobody labelled it
//! # Ok(())
//! # }
//! ```

mod class_weights;
pub mod classification;
mod decoder;
pub mod dense;
pub mod multi_label;
pub mod reconstruction;
pub mod segmentation;

use mtl_metrics::Prediction;
use mtl_registry::Entry;
use mtl_task::{Target, Task, TaskKind};
use mtl_tensor::layers::NormKind;
use mtl_tensor::{Ctx, Scope, Tensor};
use mtl_trunk::{Features, TapSpec};
use serde::{Deserialize, Serialize};

/// What can be wrong with a head.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The head serves another kind of task.
    #[error(
        "task `{task}` is {kind}, which the head `{head}` does not serve; leave out `heads.{task}` to get the head that does"
    )]
    Kind {
        /// The task.
        task: String,
        /// Its kind.
        kind: &'static str,
        /// The head asked for.
        head: &'static str,
    },
    /// Settings out of range.
    #[error("heads.{task}: {problem}")]
    Config {
        /// The task.
        task: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] mtl_tensor::Error),
}

/// `Result` of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Where a head is put: on which features, for which images.
#[derive(Clone, Debug)]
pub struct Place {
    /// The trunk's taps, finest first.
    pub taps: Vec<TapSpec>,
    /// Image rows.
    pub height: usize,
    /// Image columns.
    pub width: usize,
    /// Training labels of each class (images or pixels), for class weights.
    pub class_counts: Option<Vec<u64>>,
}

impl Place {
    fn deepest(&self) -> Result<TapSpec> {
        self.taps.last().copied().ok_or_else(|| mtl_tensor::Error::Msg("the trunk offers no features".into()).into())
    }
}

/// A task's network on the shared features.
pub trait Head: Send + Sync + std::fmt::Debug {
    /// Features to logits: `[B, K]` for image tasks, `[B, K, H, W]` for pixel tasks.
    ///
    /// # Errors
    /// Shapes that do not fit.
    fn forward(&self, features: &Features, cx: &Ctx) -> Result<Tensor>;

    /// What the loss never falls below: balancers that take its logarithm refuse one that can be negative.
    fn least_loss(&self) -> f64 {
        0.0
    }

    /// Scalar mean over the labels that are present; `None` if there are none.
    ///
    /// # Errors
    /// Labels of another kind or number than the logits.
    fn loss(&self, logits: &Tensor, target: &Target) -> Result<Option<Tensor>>;

    /// Decisions, on the host, from what [`Head::probabilities`] gives (or an average of several such).
    ///
    /// # Errors
    /// Shapes that do not fit.
    fn predict(&self, probabilities: &Tensor) -> Result<Prediction>;

    /// Probabilities (classification, segmentation: softmax; multi-label: logistic) or values (dense), same shape as the
    /// logits.
    ///
    /// # Errors
    /// Shapes that do not fit.
    fn probabilities(&self, logits: &Tensor) -> Result<Tensor>;
}

/// Which head serves a task, and its settings: one table `[heads.TASK.classification]` in a configuration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Config {
    /// See [`classification`].
    Classification(classification::Config),
    /// See [`multi_label`].
    MultiLabel(multi_label::Config),
    /// See [`segmentation`].
    Segmentation(segmentation::Config),
    /// See [`dense`].
    Dense(dense::Config),
}

impl Config {
    /// The head that serves a kind of task by default.
    pub fn for_task(kind: &TaskKind) -> Self {
        match kind {
            TaskKind::Classification { .. } => Self::Classification(Default::default()),
            TaskKind::MultiLabel { .. } => Self::MultiLabel(Default::default()),
            TaskKind::Segmentation { .. } => Self::Segmentation(Default::default()),
            TaskKind::Dense { .. } => Self::Dense(Default::default()),
        }
    }

    /// How it normalises, if it does.
    pub fn norm(&self) -> Option<NormKind> {
        match self {
            Self::Classification(_) | Self::MultiLabel(_) => None,
            Self::Segmentation(config) => (config.network == segmentation::Network::Unet).then_some(config.norm),
            Self::Dense(config) => Some(config.norm),
        }
    }

    /// Its name in configuration files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Classification(_) => "classification",
            Self::MultiLabel(_) => "multi_label",
            Self::Segmentation(_) => "segmentation",
            Self::Dense(_) => "dense",
        }
    }

    /// Builds the head.
    ///
    /// # Errors
    /// A task of another kind, settings out of range.
    pub fn build(&self, scope: &Scope, task: &Task, place: &Place) -> Result<Box<dyn Head>> {
        let wrong = |head| Err(Error::Kind { task: task.name.clone(), kind: task.kind.name(), head });
        Ok(match (self, &task.kind) {
            (Self::Classification(config), TaskKind::Classification { .. }) => {
                Box::new(classification::Classification::new(config, scope, task, place)?)
            }
            (Self::MultiLabel(config), TaskKind::MultiLabel { .. }) => {
                Box::new(multi_label::MultiLabel::new(config, scope, task, place)?)
            }
            (Self::Segmentation(config), TaskKind::Segmentation { .. }) => {
                Box::new(segmentation::Segmentation::new(config, scope, task, place)?)
            }
            (Self::Dense(config), TaskKind::Dense { .. }) => Box::new(dense::Dense::new(config, scope, place)?),
            (Self::Classification(_) | Self::MultiLabel(_) | Self::Segmentation(_) | Self::Dense(_), _) => {
                return wrong(self.name());
            }
        })
    }
}

/// All heads: name, one line, default configuration.
pub const HEADS: &[Entry<fn() -> Config>] = &[
    Entry {
        name: "classification",
        summary: "pooled features to one class an image; cross-entropy, label smoothing, class weights",
        item: || Config::Classification(Default::default()),
    },
    Entry {
        name: "multi_label",
        summary: "pooled features to yes or no for each label; binary cross-entropy, each cell may be missing",
        item: || Config::MultiLabel(Default::default()),
    },
    Entry {
        name: "segmentation",
        summary: "U-Net-like decoder to one class a pixel; cross-entropy + Dice, class weights",
        item: || Config::Segmentation(Default::default()),
    },
    Entry {
        name: "dense",
        summary: "the same decoder to one number a pixel (depth); Huber loss over labelled pixels",
        item: || Config::Dense(Default::default()),
    },
];

/// `[B, K, ...]` to the index of the largest, row-major `[B, ...]`.
fn argmax(scores: &Tensor) -> Result<Vec<u32>> {
    Ok(scores.detach().argmax(1)?.flatten_all()?.to_vec1::<u32>()?)
}
