//! ConvNorm: a convolution without bias and its normalisation, the building block of residual networks.

use candle_core::{Result, Tensor};

use super::{Conv2d, Norm, NormKind};
use crate::context::{Ctx, Mode};
use crate::ops;
use crate::params::Scope;

/// [`Conv2d`] (`conv`) followed by [`Norm`] (`norm`), one node of the graph in training.
#[derive(Clone, Debug)]
pub struct ConvNorm {
    conv: Conv2d,
    norm: Norm,
}

impl ConvNorm {
    /// A `k x k` convolution padded by `k / 2`.
    ///
    /// # Errors
    /// The name is taken.
    pub fn new(scope: &Scope, channels: (usize, usize), k: usize, stride: usize, norm: NormKind) -> Result<Self> {
        Ok(Self {
            conv: Conv2d::new(&scope.sub("conv"), channels, k, stride, false)?,
            norm: Norm::new(&scope.sub("norm"), norm, channels.1)?,
        })
    }

    /// `relu?(norm(conv(x)))`: `[B, Ci, H, W] -> [B, Co, ceil(H / stride), ceil(W / stride)]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, x: &Tensor, relu: bool, cx: &Ctx) -> Result<Tensor> {
        self.run(x, None, relu, cx)
    }

    /// `relu(norm(conv(x)) + kept)`: the end of a residual block.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward_onto(&self, x: &Tensor, kept: &Tensor, cx: &Ctx) -> Result<Tensor> {
        self.run(x, Some(kept), true, cx)
    }

    fn run(&self, x: &Tensor, kept: Option<&Tensor>, relu: bool, cx: &Ctx) -> Result<Tensor> {
        let (w, steps, weights) = (self.conv.weight(), self.conv.steps(), self.norm.weights());
        if let (Norm::Batch(norm), Mode::Eval) = (&self.norm, cx.mode) {
            let y = ops::conv_norm_with(x, w, steps, norm.running(), weights, relu && kept.is_none())?;
            return match kept {
                Some(kept) => ops::add_relu(&y, kept),
                None => Ok(y),
            };
        }
        let over = match &self.norm {
            Norm::Batch(_) => ops::Over::Batch,
            Norm::Group(norm) => ops::Over::Groups(norm.groups()),
        };
        let (y, moments) = ops::conv_norm(x, w, steps, over, weights, kept, relu)?;
        if let (Norm::Batch(norm), Some(moments)) = (&self.norm, moments) {
            norm.record(moments, y.elem_count() / y.dim(1)?, cx)?;
        }
        Ok(y)
    }
}
