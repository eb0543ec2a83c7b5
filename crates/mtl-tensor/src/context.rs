//! Context of a forward pass: mode, random seed, step.

use candle_core::{DType, Device, Result, Shape, Tensor};
use mtl_rng::{Seed, Stream};

/// Behaviour of batch norm and dropout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, recorded into the running averages; dropout on.
    Train,
    /// Batch statistics that do not update the running averages: for generated images and look-ahead passes. Dropout on.
    TrainFrozenStats,
    /// Batch statistics, which replace the running averages: for a network that starts with the statistics of given images and
    /// keeps them. Dropout on.
    Calibrate,
    /// Running statistics; dropout off; the result of an image does not depend on its batch.
    Eval,
}

/// Mode and random streams of one forward pass. Equal contexts give equal results.
#[derive(Clone, Copy, Debug)]
pub struct Ctx {
    /// See [`Mode`].
    pub mode: Mode,
    /// The run's seed.
    pub seed: Seed,
    /// The step that random streams belong to.
    pub step: u64,
}

impl Ctx {
    /// Inference: no random numbers.
    pub const fn eval() -> Self {
        Self { mode: Mode::Eval, seed: Seed::new(0), step: 0 }
    }

    /// Training step `step` of the run with this seed.
    pub const fn train(seed: Seed, step: u64) -> Self {
        Self { mode: Mode::Train, seed, step }
    }

    /// The same step with another mode.
    pub const fn with_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// True in training.
    pub fn is_training(&self) -> bool {
        self.mode != Mode::Eval
    }

    /// The stream called `name` of this step.
    pub fn stream(&self, name: &str) -> Stream {
        self.seed.stream(name, &[self.step])
    }

    /// Standard normal noise of this step.
    ///
    /// # Errors
    /// The device is out of memory.
    pub fn noise(&self, name: &str, shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Tensor> {
        let shape = shape.into();
        let values = self.stream(name).normals(shape.elem_count());
        Tensor::from_vec(values, shape, device)?.to_dtype(dtype)
    }
}
