//! Normalisation layers.

use candle_core::{Result, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, Mode};
use crate::ops;
use crate::params::{Init, Scope};

/// Which normalisation a network uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Statistics of the batch: trains fastest at batches of 16 and more.
    #[default]
    Batch,
    /// Statistics of each image, groups of 8 channels: no dependence on the batch.
    Group,
}

/// Either normalisation, with scale and shift.
#[derive(Clone, Debug)]
pub enum Norm {
    /// See [`BatchNorm`].
    Batch(BatchNorm),
    /// See [`GroupNorm`].
    Group(GroupNorm),
}

impl Norm {
    /// A normalisation of `channels` channels.
    ///
    /// # Errors
    /// The name is taken.
    pub fn new(scope: &Scope, kind: NormKind, channels: usize) -> Result<Self> {
        Ok(match kind {
            NormKind::Batch => Self::Batch(BatchNorm::new(scope, channels)?),
            NormKind::Group => Self::Group(GroupNorm::new(scope, channels)?),
        })
    }

    /// Scale and shift.
    pub(super) fn weights(&self) -> (&Tensor, &Tensor) {
        match self {
            Self::Batch(norm) => (&norm.gamma, &norm.beta),
            Self::Group(norm) => (&norm.gamma, &norm.beta),
        }
    }

    /// `[B, C, H, W]` to the same shape, through a ReLU if `relu`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, x: &Tensor, relu: bool, cx: &Ctx) -> Result<Tensor> {
        match self {
            Self::Batch(norm) => norm.forward(x, relu, cx),
            Self::Group(norm) => norm.forward(x, relu),
        }
    }
}

/// Batch normalisation with running averages (momentum 0.1, unbiased variance, as PyTorch).
#[derive(Clone, Debug)]
pub struct BatchNorm {
    gamma: Var,
    beta: Var,
    running_mean: Var,
    running_var: Var,
}

/// Share of the newest batch in the running averages.
const MOMENTUM: f64 = 0.1;

impl BatchNorm {
    /// Scale 1, shift 0, running mean 0 and variance 1.
    ///
    /// # Errors
    /// The name is taken.
    pub fn new(scope: &Scope, channels: usize) -> Result<Self> {
        Ok(Self {
            gamma: scope.param("weight", channels, Init::Constant(1.0))?,
            beta: scope.param("bias", channels, Init::Constant(0.0))?,
            running_mean: scope.buffer("running_mean", channels, Init::Constant(0.0))?,
            running_var: scope.buffer("running_var", channels, Init::Constant(1.0))?,
        })
    }

    /// Batch statistics in training, running ones in [`Mode::Eval`].
    ///
    /// # Errors
    /// Shapes that do not fit; in training, one number per channel.
    pub fn forward(&self, x: &Tensor, relu: bool, cx: &Ctx) -> Result<Tensor> {
        if cx.mode == Mode::Eval {
            return ops::batch_norm_with(x, &self.gamma, &self.beta, &self.running_mean, &self.running_var, relu);
        }
        let (y, moments) = ops::batch_norm(x, &self.gamma, &self.beta, relu)?;
        self.record(moments, x.elem_count() / x.dim(1)?, cx)?;
        Ok(y)
    }

    /// Running mean and variance.
    pub(super) fn running(&self) -> (&Tensor, &Tensor) {
        (&self.running_mean, &self.running_var)
    }

    /// Takes the moments of `count` numbers per channel into the running averages, as the mode says.
    pub(super) fn record(&self, (mean, var): ops::norm::Moments, count: usize, cx: &Ctx) -> Result<()> {
        let share = match cx.mode {
            Mode::Train => MOMENTUM,
            Mode::Calibrate => 1.0,
            Mode::TrainFrozenStats | Mode::Eval => return Ok(()),
        };
        let unbiased = (var * (count as f64 / (count as f64 - 1.0).max(1.0)))?;
        for (running, now) in [(&self.running_mean, mean), (&self.running_var, unbiased)] {
            running.set(&((running.as_tensor().detach() * (1.0 - share))? + (now * share)?)?)?;
        }
        Ok(())
    }
}

/// Group normalisation, 8 channels per group (fewer groups where channels do not divide).
#[derive(Clone, Debug)]
pub struct GroupNorm {
    gamma: Var,
    beta: Var,
    groups: usize,
}

impl GroupNorm {
    /// Scale 1, shift 0.
    ///
    /// # Errors
    /// The name is taken.
    pub fn new(scope: &Scope, channels: usize) -> Result<Self> {
        let groups = if channels.is_multiple_of(8) { channels / 8 } else { 1 };
        Ok(Self {
            gamma: scope.param("weight", channels, Init::Constant(1.0))?,
            beta: scope.param("bias", channels, Init::Constant(0.0))?,
            groups,
        })
    }

    pub(super) fn groups(&self) -> usize {
        self.groups
    }

    /// See [`ops::group_norm`].
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, x: &Tensor, relu: bool) -> Result<Tensor> {
        ops::group_norm(x, &self.gamma, &self.beta, self.groups, relu)
    }
}
