//! Workloads: timed steps and their batches.

use mtl_tensor::optim::{self, Optimizer};
use mtl_tensor::{Params, Tensor, backward};
use serde::Serialize;
use serde_json::Value;

/// One timed step and its settings.
#[derive(Serialize)]
pub struct Workload {
    /// Unique; `FAMILY/SHAPE/PART` for kernels.
    pub name: String,
    /// Description of a step.
    pub about: String,
    /// The measured batch sizes: images (or rows) per step.
    pub batches: Vec<usize>,
    /// Whether it is a single operation; peers run it without compilation.
    pub kernel: bool,
    /// Specification for peers, in addition to the batch: `op` and its numbers.
    pub case: Value,
    /// Peers that implement it.
    pub peers: Vec<&'static str>,
    /// Floating-point operations (additions and multiplications) per step by definition, where counted.
    #[serde(skip)]
    pub flop: Box<dyn Fn(usize) -> Option<f64>>,
    /// Builds it for this batch size.
    #[serde(skip)]
    pub build: Box<dyn Fn(usize) -> anyhow::Result<Box<dyn Job>>>,
}

/// A workload that is ready to run.
pub trait Job {
    /// Number of trained values; both sides must have the same.
    fn parameters(&self) -> usize {
        0
    }

    /// One step, with its loss if any.
    ///
    /// # Errors
    /// Shapes that do not fit.
    fn step(&mut self) -> anyhow::Result<Option<f64>>;
}

/// A step without parameters.
pub struct Repeated<F>(pub F);

impl<F: FnMut() -> anyhow::Result<()>> Job for Repeated<F> {
    fn step(&mut self) -> anyhow::Result<Option<f64>> {
        (self.0)()?;
        Ok(None)
    }
}

/// Parameters and their optimizer.
pub struct Learner {
    params: Params,
    optimizer: Optimizer,
}

impl Learner {
    /// The learning rate of all workloads.
    const RATE: f64 = 1e-3;

    /// AdamW on all of them.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(params: Params) -> anyhow::Result<Self> {
        let optimizer = Optimizer::new(optim::Config::default(), &params.trainable(), |_| 1.0)?;
        Ok(Self { params, optimizer })
    }

    /// Number of trained values.
    pub fn count(&self) -> usize {
        self.params.count()
    }

    /// Backward pass of a loss and one update; returns the loss.
    ///
    /// # Errors
    /// A loss that is no scalar.
    pub fn descend(&mut self, loss: Tensor) -> anyhow::Result<Option<f64>> {
        let value = f64::from(loss.to_scalar::<f32>()?);
        let grads = optim::collect(&backward(&loss)?, &self.params.trainable());
        self.optimizer.step(&grads, Self::RATE, 1.0)?;
        Ok(Some(value))
    }
}
