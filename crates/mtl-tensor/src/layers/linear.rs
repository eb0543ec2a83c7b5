//! The fully connected layer.

use candle_core::{Result, Tensor, Var};

use crate::ops;
use crate::params::{Init, Scope};

/// `y = x W^T + b`; weight `[O, I]`, bias `[O]`.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Var,
    bias: Var,
}

impl Linear {
    /// Uniform weights in `+- 1 / sqrt(I)`, zero bias.
    ///
    /// # Errors
    /// The name is taken.
    pub fn new(scope: &Scope, inputs: usize, outputs: usize) -> Result<Self> {
        Self::with_init(scope, inputs, outputs, Init::Uniform { fan_in: inputs })
    }

    /// The same with another first value of the weights.
    ///
    /// # Errors
    /// The name is taken.
    pub fn with_init(scope: &Scope, inputs: usize, outputs: usize, init: Init) -> Result<Self> {
        Ok(Self {
            weight: scope.param("weight", (outputs, inputs), init)?,
            bias: scope.param("bias", outputs, Init::Constant(0.0))?,
        })
    }

    /// `[B, I] -> [B, O]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::linear(x, &self.weight, &self.bias)
    }
}
