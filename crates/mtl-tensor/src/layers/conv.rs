//! Convolution layers.

use candle_core::{Result, Tensor, Var};

use crate::ops;
use crate::params::{Init, Scope};

/// [`ops::conv2d`] with its parameters. Weight `[Co, Ci, k, k]`, bias `[Co]` if any.
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: Var,
    bias: Option<Var>,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// A `k x k` convolution, He-normal weights, zero bias, padded by `k / 2` (same size at stride 1 for odd `k`).
    ///
    /// # Errors
    /// The name is taken.
    pub fn new(scope: &Scope, channels: (usize, usize), k: usize, stride: usize, bias: bool) -> Result<Self> {
        let gain = std::f64::consts::SQRT_2;
        Self::with_init(scope, channels, k, stride, bias, Init::Normal { fan_in: channels.0 * k * k, gain })
    }

    /// The same with another first value of the weights.
    ///
    /// # Errors
    /// The name is taken.
    pub fn with_init(
        scope: &Scope,
        (from, to): (usize, usize),
        k: usize,
        stride: usize,
        bias: bool,
        init: Init,
    ) -> Result<Self> {
        let weight = scope.param("weight", (to, from, k, k), init)?;
        let bias = if bias { Some(scope.param("bias", to, Init::Constant(0.0))?) } else { None };
        Ok(Self { weight, bias, stride, padding: k / 2 })
    }

    /// The weight, for normalisations that act on it.
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// Stride and padding.
    pub(super) fn steps(&self) -> (usize, usize) {
        (self.stride, self.padding)
    }

    /// `[B, Ci, H, W] -> [B, Co, ceil(H / stride), ceil(W / stride)]` for odd kernels.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_with(x, &self.weight)
    }

    /// `relu(forward(x))`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward_relu(&self, x: &Tensor) -> Result<Tensor> {
        ops::conv2d_relu(x, &self.weight, self.bias.as_deref(), self.stride, self.padding)
    }

    /// `max_pool2d(relu(forward(x)), 2)`: `[B, Ci, H, W] -> [B, Co, H / 2, W / 2]` at stride 1.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward_relu_pool(&self, x: &Tensor) -> Result<Tensor> {
        ops::conv2d_relu_pool(x, &self.weight, self.bias.as_deref(), self.stride, self.padding)
    }

    /// `forward(upsample_nearest(x, 2))` of a 3x3 kernel at stride 1: `[B, Ci, H, W] -> [B, Co, 2 H, 2 W]`.
    ///
    /// # Errors
    /// Another kernel or stride, shapes that do not fit.
    pub fn forward_upsampled(&self, x: &Tensor) -> Result<Tensor> {
        if self.stride != 1 {
            candle_core::bail!("forward_upsampled: of a convolution at stride {}", self.stride);
        }
        ops::upsample_conv2d(x, &self.weight, self.bias.as_deref())
    }

    /// [`Conv2d::forward`] with another weight in place of the stored one (spectral normalisation, frozen copies).
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward_with(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        ops::conv2d(x, weight, self.bias.as_deref(), self.stride, self.padding)
    }
}

/// [`ops::conv_transpose2d`] with kernel 4, stride 2, padding 1: doubles height and width.
#[derive(Clone, Debug)]
pub struct ConvTranspose2d {
    weight: Var,
    bias: Var,
}

impl ConvTranspose2d {
    /// Weight `[Ci, Co, 4, 4]`; each output pixel sums `4 Ci` products, which sets the scale of the first weights.
    ///
    /// # Errors
    /// The name is taken.
    pub fn new(scope: &Scope, (from, to): (usize, usize)) -> Result<Self> {
        let init = Init::Normal { fan_in: from * 4, gain: std::f64::consts::SQRT_2 };
        Ok(Self {
            weight: scope.param("weight", (from, to, 4, 4), init)?,
            bias: scope.param("bias", to, Init::Constant(0.0))?,
        })
    }

    /// `[B, Ci, H, W] -> [B, Co, 2 H, 2 W]`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::conv_transpose2d(x, &self.weight, Some(&self.bias), 2, 1)
    }

    /// `relu(forward(x))`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn forward_relu(&self, x: &Tensor) -> Result<Tensor> {
        ops::conv_transpose2d_relu(x, &self.weight, Some(&self.bias), 2, 1)
    }
}
