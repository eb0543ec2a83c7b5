//! Objectives: the losses of the joint stage, one per labelled task and one per unlabelled objective.

use std::collections::BTreeMap;
use std::sync::Arc;

use mtl_gen::Generator;
use mtl_heads::Head;
use mtl_metrics::{MetricSet, Prediction, Psnr, Score};
use mtl_task::{Target, Task};
use mtl_tensor::{Ctx, Params, Tensor};
use mtl_trunk::{Features, TapSpec};

use crate::batch::DeviceBatch;
use crate::error::{Error, Result};
use crate::schema::Schema;

/// One loss of the joint stage.
pub trait Objective: Send + Sync + std::fmt::Debug {
    /// Name in logs, tables and balancers.
    fn name(&self) -> &str;

    /// Name prefix of its own parameters.
    fn prefix(&self) -> &str;

    /// Scalar loss of a batch, weight included; `None` if no image of the batch has a label for it.
    ///
    /// # Errors
    /// Labels or shapes that do not fit.
    fn loss(&self, features: &Features, batch: &DeviceBatch, cx: &Ctx) -> Result<Option<Tensor>>;

    /// Lower bound of the loss; balancers that take its logarithm refuse a negative bound.
    fn min_loss(&self) -> f64 {
        0.0
    }

    /// Its prediction for a batch, in evaluation mode.
    ///
    /// # Errors
    /// [`Error::NonFinitePrediction`], shapes that do not fit.
    fn output(&self, views: &Views<'_>) -> Result<Output>;

    /// The empty accumulator of its scores.
    fn metrics(&self) -> Metrics;

    /// The labelled task it serves, with its head; `None` for unlabelled objectives.
    fn labelled(&self) -> Option<Labelled<'_>> {
        None
    }

    /// Name of the generator it trains, if it trains one.
    fn generator(&self) -> Option<&str> {
        None
    }
}

/// A labelled task with its head.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<'a> {
    /// The task.
    pub task: &'a Task,
    /// Its network, loss and decisions.
    pub head: &'a dyn Head,
}

impl Labelled<'_> {
    /// The decisions that follow from probabilities (of any size, for pixel tasks).
    ///
    /// # Errors
    /// [`Error::NonFinitePrediction`], shapes that do not fit.
    pub fn predict(&self, probabilities: &Tensor) -> Result<Prediction> {
        self.head.predict(probabilities).map_err(|error| Error::of_prediction(&self.task.name, error))
    }
}

/// The features an objective predicts from.
#[derive(Clone, Copy, Debug)]
pub struct Views<'a> {
    /// Features of the images.
    pub plain: &'a Features,
    /// Features of the horizontally flipped images, for flip test-time augmentation.
    pub flipped: Option<&'a Features>,
    /// `[B]` predicted classes of the task that conditions the generators, -1 without one.
    pub classes: &'a [i32],
}

/// Prediction of one objective for a batch.
#[derive(Debug)]
pub enum Output {
    /// Of a labelled task.
    Task {
        /// Probabilities (or values, for tasks of numbers), averaged over the views.
        probabilities: Tensor,
        /// The decisions that follow from them.
        prediction: Prediction,
    },
    /// `[B, C, H, W]` reconstructed images.
    Images(Tensor),
}

/// Accumulator of an objective's scores.
#[derive(Clone, Debug)]
pub enum Metrics {
    /// Of a labelled task.
    Task(MetricSet),
    /// Of reconstructed images.
    Images(Psnr),
}

impl Metrics {
    /// Adds a batch: its labels (`None` if the data set has none for this task), its images as `[B, C, H, W]` values, and the
    /// objective's output.
    ///
    /// # Errors
    /// Labels and predictions that do not fit together; values that are not finite.
    pub fn add(&mut self, truth: Option<&Target>, images: &[f32], output: &Output, count: usize) -> Result<()> {
        match (&mut *self, output, truth) {
            (Self::Task(scores), Output::Task { prediction, .. }, Some(truth)) => {
                scores.add(truth, prediction, count)?
            }
            (Self::Images(psnr), Output::Images(drawn), _) => {
                let drawn: Vec<f32> =
                    mtl_tensor::to_f64(drawn)?.into_iter().map(|v| v.clamp(-1.0, 1.0) as f32).collect();
                psnr.add(images, &drawn, count)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The scores, the primary one first.
    pub fn scores(&self, task: Option<&Task>) -> Vec<Score> {
        match (self, task) {
            (Self::Task(scores), Some(task)) => mtl_metrics::primary_first(&task.kind, scores.scores()),
            (Self::Task(scores), None) => scores.scores(),
            (Self::Images(psnr), _) => psnr.scores(),
        }
    }
}

/// The surroundings an unlabelled objective is built in.
pub struct ObjectiveInput<'a> {
    /// Its name, `NAME` of `[objectives.NAME.KIND]`.
    pub name: &'a str,
    /// The model's parameters.
    pub params: &'a Params,
    /// Taps of the encoder.
    pub taps: &'a [TapSpec],
    /// Image size and channels.
    pub schema: &'a Schema,
    /// The model's generators by name.
    pub generators: &'a BTreeMap<String, Arc<dyn Generator>>,
}

/// Settings of a kind of unlabelled objective. A type from another crate that implements this trait is built in the same way as
/// the built-in ones ([`crate::ModelParts`]).
pub trait ObjectiveConfig: Send + Sync + std::fmt::Debug {
    /// Builds the objective; `None` for kind `none`.
    ///
    /// # Errors
    /// A setting out of range, a generator that does not exist or cannot be trained jointly.
    fn build(&self, input: &ObjectiveInput<'_>) -> Result<Option<Box<dyn Objective>>>;

    /// Name of the generator it trains, if it trains one.
    fn generator(&self) -> Option<&str> {
        None
    }
}

/// The first images of the batch that are reconstructed, at most `limit` per batch.
pub(crate) fn first_images(
    features: &Features,
    batch: &DeviceBatch,
    limit: usize,
) -> Result<(Features, Tensor, usize)> {
    let count = batch.len().min(limit.div_ceil(batch.parts.max(1)).max(1));
    let first = |x: &Tensor| x.narrow(0, 0, count)?.contiguous();
    let taps = features.taps.iter().map(first).collect::<mtl_tensor::Result<_>>()?;
    Ok((Features { taps }, first(&batch.images)?, count))
}

/// Refuses a loss weight below 0 or not finite.
pub(crate) fn check_weight(name: &str, kind: &str, weight: f64) -> Result<()> {
    if weight >= 0.0 && weight.is_finite() {
        return Ok(());
    }
    Err(Error::Setting {
        key: format!("objectives.{name}.{kind}.weight"),
        problem: format!("{weight} must be at least 0"),
    })
}
