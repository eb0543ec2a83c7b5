//! The objective of a labelled task: its head's loss on the labels that are present.

use mtl_heads::Head;
use mtl_metrics::MetricSet;
use mtl_task::Task;
use mtl_tensor::{Ctx, Tensor};
use mtl_trunk::Features;

use crate::batch::DeviceBatch;
use crate::error::Result;
use crate::objective::{Labelled, Metrics, Objective, Output, Views};

/// A task with its head.
#[derive(Debug)]
pub struct HeadObjective {
    /// The task.
    pub task: Task,
    /// Its network, loss and decisions.
    pub head: Box<dyn Head>,
    /// Position of the task's labels in [`DeviceBatch::targets`].
    pub target: usize,
    /// Name prefix of the head's parameters.
    pub prefix: String,
}

impl HeadObjective {
    fn probabilities(&self, features: &Features) -> Result<Tensor> {
        Ok(self.head.probabilities(&self.head.forward(features, &Ctx::eval())?)?)
    }
}

impl Objective for HeadObjective {
    fn name(&self) -> &str {
        &self.task.name
    }

    fn prefix(&self) -> &str {
        &self.prefix
    }

    fn loss(&self, features: &Features, batch: &DeviceBatch, cx: &Ctx) -> Result<Option<Tensor>> {
        let target = &batch.targets[self.target];
        if target.present() == 0 {
            return Ok(None);
        }
        Ok(self.head.loss(&self.head.forward(features, cx)?, target)?)
    }

    fn min_loss(&self) -> f64 {
        self.head.min_loss()
    }

    fn output(&self, views: &Views<'_>) -> Result<Output> {
        let mut probabilities = self.probabilities(views.plain)?;
        if let Some(flipped) = views.flipped {
            let other = self.probabilities(flipped)?;
            let other = if other.rank() == 4 { flip(&other)? } else { other };
            probabilities = ((probabilities + other)? * 0.5)?;
        }
        let prediction = Labelled { task: &self.task, head: &*self.head }.predict(&probabilities)?;
        Ok(Output::Task { probabilities, prediction })
    }

    fn metrics(&self) -> Metrics {
        Metrics::Task(MetricSet::new(&self.task.kind))
    }

    fn labelled(&self) -> Option<Labelled<'_>> {
        Some(Labelled { task: &self.task, head: &*self.head })
    }
}

/// The horizontal flip of `[B, C, H, W]`.
pub(crate) fn flip(x: &Tensor) -> Result<Tensor> {
    let width = x.dim(3)? as u32;
    let backwards = Tensor::from_iter((0..width).rev(), x.device())?;
    Ok(x.detach().contiguous()?.index_select(&backwards, 3)?)
}
