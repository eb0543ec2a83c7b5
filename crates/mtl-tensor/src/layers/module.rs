//! Layers as candle's [`Module`] and [`ModuleT`], so that they fit into `candle_nn::Sequential` and into generic code.

use candle_core::{Module, ModuleT, Result, Tensor};
use mtl_rng::Seed;

use super::{BatchNorm, Conv2d, ConvNorm, ConvTranspose2d, GroupNorm, Linear, Norm};
use crate::Ctx;

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Self::forward(self, x)
    }
}

impl Module for ConvTranspose2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Self::forward(self, x)
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Self::forward(self, x)
    }
}

/// Without ReLU.
impl Module for GroupNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Self::forward(self, x, false)
    }
}

/// Normalisations use no random numbers: seed and step do not matter.
fn context(train: bool) -> Ctx {
    if train { Ctx::train(Seed::new(0), 0) } else { Ctx::eval() }
}

/// Without ReLU. Training records the batch's statistics.
impl ModuleT for BatchNorm {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.forward(x, false, &context(train))
    }
}

/// Without ReLU. Training records the batch's statistics.
impl ModuleT for Norm {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.forward(x, false, &context(train))
    }
}

/// Without ReLU. Training records the batch's statistics.
impl ModuleT for ConvNorm {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.forward(x, false, &context(train))
    }
}
