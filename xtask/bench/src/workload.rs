//! What a workload is.

use mtl_tensor::optim::{self, Optimizer};
use mtl_tensor::{Params, Tensor, backward_once};
use serde::Serialize;
use serde_json::Value;

/// One thing that is timed.
#[derive(Serialize)]
pub struct Workload {
    /// Unique; `FAMILY/SHAPE/PART` for kernels.
    pub name: String,
    /// What a step is.
    pub about: String,
    /// The numbers of images (or rows) a step it is measured at.
    pub batches: Vec<usize>,
    /// Whether it is a single operation: peers then run it without compiling anything.
    pub kernel: bool,
    /// What a peer has to build, beside the batch: `op`, and the numbers it needs.
    pub case: Value,
    /// Who else plays it.
    pub peers: Vec<&'static str>,
    /// Additions and multiplications of a step by definition, where they were counted.
    #[serde(skip)]
    pub flop: Box<dyn Fn(usize) -> Option<f64>>,
    /// Makes it ready for batches of this many.
    #[serde(skip)]
    pub build: Box<dyn Fn(usize) -> anyhow::Result<Box<dyn Job>>>,
}

/// A workload that is ready to run.
pub trait Job {
    /// Trained values: what both sides must agree on.
    fn parameters(&self) -> usize {
        0
    }

    /// One step, and its loss if it has one.
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

/// Parameters and how they learn.
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
        let optimizer = Optimizer::new(optim::Config::default(), &params.trained(), |_| 1.0)?;
        Ok(Self { params, optimizer })
    }

    /// How many values learn.
    pub fn count(&self) -> usize {
        self.params.count()
    }

    /// Backward pass of a loss and one update; the loss.
    ///
    /// # Errors
    /// A loss that is no scalar.
    pub fn descend(&mut self, loss: Tensor) -> anyhow::Result<Option<f64>> {
        let value = f64::from(loss.to_scalar::<f32>()?);
        let grads = optim::collect(&backward_once(loss)?, &self.params.trained());
        self.optimizer.step(&grads, Self::RATE, 1.0)?;
        Ok(Some(value))
    }
}
