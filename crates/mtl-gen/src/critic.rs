//! Discriminator heads on trunk features, and the fixed random projection of frozen features.
//!
//! A [`Head`] gives one logit per feature pixel, `t (w + e_class / sqrt(c)) + b` with `t = lrelu(conv3x3(f))`. The term with `w`
//! scores realism. The term with the class embedding `e` scores the class (projection discriminator, Miyato and Koyama 2018,
//! arXiv 1802.05637).
//!
//! [`Projection`] is that of Projected GANs (Sauer et al. 2021, arXiv 2111.01007): fixed random 1x1 convolutions mix the
//! channels of each tap and, from the coarsest tap down, the taps with each other, so that the discriminator cannot rely on a
//! few prominent features.

use mtl_tensor::{Init, Scope, Tensor, Var, ops};
use mtl_trunk::{Features, TapSpec};

use crate::Error;
use crate::embedding::Embedding;
use crate::spectral::Spectral;

/// Phase of a pass through the heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// The discriminator's phase: parameters get gradients, spectral norms a power iteration.
    Critic,
    /// The generator's phase: parameters are constants.
    Generator,
}

/// Discriminator head on one tap.
#[derive(Debug)]
pub struct Head {
    kernel: Var,
    kernel_bias: Var,
    direction: Var,
    bias: Var,
    classes: Embedding,
    spectral: Option<[Spectral; 2]>,
    width: usize,
}

impl Head {
    /// Head on `channels` feature channels with `width` hidden channels. `spectral`: spectral normalisation of both layers.
    ///
    /// # Errors
    /// A parameter name that is taken.
    pub fn new(scope: &Scope, channels: usize, width: usize, classes: usize, spectral: bool) -> Result<Self, Error> {
        let spectral = if spectral {
            Some([Spectral::new(&scope.sub("conv"), width)?, Spectral::new(&scope.sub("direction"), 1)?])
        } else {
            None
        };
        Ok(Self {
            kernel: scope.param(
                "conv.weight",
                (width, channels, 3, 3),
                Init::Normal { fan_in: channels * 9, gain: std::f64::consts::SQRT_2 },
            )?,
            kernel_bias: scope.param("conv.bias", width, Init::Constant(0.0))?,
            direction: scope.param("direction.weight", (1, width), Init::Normal { fan_in: width, gain: 1.0 })?,
            bias: scope.param("direction.bias", 1, Init::Constant(0.0))?,
            classes: Embedding::new(&scope.sub("classes"), classes, width, Init::Normal { fan_in: 1, gain: 0.1 })?,
            spectral,
            width,
        })
    }

    /// `[B, C, H, W]` to logits `[B, H W]`, high for real images. `class_weight` scales the class term.
    ///
    /// # Errors
    /// Shapes or labels that do not fit.
    pub fn forward(&self, x: &Tensor, labels: &[i32], class_weight: f64, pass: Pass) -> Result<Tensor, Error> {
        let frozen = pass == Pass::Generator;
        let constant = |tensor: &Tensor| if frozen { tensor.detach() } else { tensor.clone() };
        let (mut kernel, mut direction) = (constant(&self.kernel), constant(&self.direction));
        if let Some([conv, last]) = &self.spectral {
            kernel = conv.forward(&kernel, !frozen)?;
            direction = last.forward(&direction, !frozen)?;
        }
        let t = ops::leaky_relu(&ops::conv2d(x, &kernel, Some(&constant(&self.kernel_bias)), 1, 1)?, 0.2)?;
        let class = (self.classes.forward(labels, frozen)? * (class_weight / (self.width as f64).sqrt()))?;
        let logits = ops::channel_product(&t, &class.broadcast_add(&direction)?)?;
        Ok(logits.broadcast_add(&constant(&self.bias))?)
    }
}

/// One discriminator head per tap.
#[derive(Debug)]
pub struct Heads(Vec<Head>);

impl Heads {
    /// Heads on these taps; see [`Head::new`].
    ///
    /// # Errors
    /// No taps, a parameter name that is taken.
    pub fn new(scope: &Scope, taps: &[TapSpec], width: usize, classes: usize, spectral: bool) -> Result<Self, Error> {
        if taps.is_empty() {
            return Err(Error::NoTaps);
        }
        let heads = taps
            .iter()
            .enumerate()
            .map(|(at, tap)| Head::new(&scope.sub(format!("tap{}", at + 1)), tap.channels, width, classes, spectral));
        Ok(Self(heads.collect::<Result<_, _>>()?))
    }

    /// Logits of each tap, `[B, H W]` each.
    ///
    /// # Errors
    /// Shapes or labels that do not fit.
    pub fn forward(
        &self,
        features: &Features,
        labels: &[i32],
        class_weight: f64,
        pass: Pass,
    ) -> Result<Vec<Tensor>, Error> {
        self.0.iter().zip(&features.taps).map(|(head, tap)| head.forward(tap, labels, class_weight, pass)).collect()
    }
}

/// Fixed random projection of features, without trained parameters.
#[derive(Debug)]
pub struct Projection {
    /// `1 / root mean square` of each tap over real images, which brings all taps to the same scale.
    scales: Var,
    /// One 1x1 convolution per tap.
    within: Vec<Var>,
    /// One 1x1 convolution from each tap to the next finer one.
    across: Vec<Var>,
}

impl Projection {
    /// Projection of features of these taps.
    ///
    /// # Errors
    /// A parameter name that is taken.
    pub fn new(scope: &Scope, taps: &[TapSpec]) -> Result<Self, Error> {
        let mix = |name: String, from: usize, to: usize| {
            scope.buffer(&name, (to, from, 1, 1), Init::Normal { fan_in: from, gain: 1.0 })
        };
        let within =
            taps.iter().enumerate().map(|(at, tap)| mix(format!("within{}", at + 1), tap.channels, tap.channels));
        let across = taps
            .windows(2)
            .enumerate()
            .map(|(at, pair)| mix(format!("across{}", at + 1), pair[1].channels, pair[0].channels));
        Ok(Self {
            scales: scope.buffer("loudness", taps.len(), Init::Constant(1.0))?,
            within: within.collect::<Result<_, _>>()?,
            across: across.collect::<Result<_, _>>()?,
        })
    }

    /// Measures the scale of each tap on features of real images.
    ///
    /// # Errors
    /// Features that are not finite.
    pub fn calibrate(&self, features: &Features) -> Result<(), Error> {
        let mut scales = Vec::with_capacity(features.taps.len());
        for tap in &features.taps {
            let square = mtl_tensor::optim::square_norm(&tap.detach())? / tap.elem_count().max(1) as f64;
            if !square.is_finite() {
                return Err(Error::NonFinite { what: "a feature of the trunk".to_owned() });
            }
            scales.push(1.0 / square.sqrt().max(1e-6));
        }
        let var = &self.scales;
        Ok(var.set(&Tensor::from_vec(scales, var.shape(), var.device())?.to_dtype(var.dtype())?)?)
    }

    /// Projected features, of the same shapes.
    ///
    /// # Errors
    /// Features of another trunk.
    pub fn forward(&self, features: &Features) -> Result<Features, Error> {
        let scales = mtl_tensor::to_f64(&self.scales)?;
        let mut taps: Vec<Tensor> = Vec::with_capacity(features.taps.len());
        for (at, tap) in features.taps.iter().enumerate().rev() {
            // The factor multiplies the kernel, which is smaller than the map.
            let mix = |x: &Tensor, kernel: &Var, factor: f64| -> Result<Tensor, Error> {
                Ok(ops::conv2d(x, &(kernel.as_tensor().detach() * factor)?, None, 1, 0)?)
            };
            let mixed = match taps.last() {
                Some(coarser) => {
                    // Both terms have half the variance, so the sum keeps the scale.
                    let half = std::f64::consts::FRAC_1_SQRT_2;
                    let moved = mix(coarser, &self.across[at], half)?;
                    let moved = ops::upsample_nearest(&moved, tap.dim(2)? / coarser.dim(2)?)?;
                    ops::add(&mix(tap, &self.within[at], scales[at] * half)?, &moved)?
                }
                None => mix(tap, &self.within[at], scales[at])?,
            };
            taps.push(mixed);
        }
        taps.reverse();
        Ok(Features { taps })
    }
}
