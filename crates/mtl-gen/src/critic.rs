//! Judges of real and generated images: heads over trunk features, and the fixed random mix that frozen features go
//! through first.
//!
//! A [`Head`] gives one number a feature pixel, `t (w + e_class / sqrt(c)) + b` with `t = lrelu(conv3x3(f))`: its
//! receptive field is judged for realism by `w`, and for belonging to the class by the projection on the embedding `e`
//! (Miyato and Koyama 2018, arXiv 1802.05637).
//!
//! [`Projection`] is that of Projected GANs (Sauer et al. 2021, arXiv 2111.01007): fixed random 1x1 convolutions mix the
//! channels of each tap, and, from the coarsest tap down, the taps with each other, so that a critic cannot live on a
//! few prominent features.

use mtl_tensor::{Init, Scope, Tensor, Var, ops};
use mtl_trunk::{Features, TapSpec};

use crate::Error;
use crate::embedding::Embedding;
use crate::spectral::Spectral;

/// How a pass treats the heads' parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The critic learns: gradients for the parameters, a power iteration for the spectral norms.
    Learn,
    /// The generator learns: parameters are constants.
    Judge,
}

/// One number a pixel of one tap.
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
    /// For `channels` feature channels. `normalised`: spectral normalisation of both layers, as hinge losses need.
    ///
    /// # Errors
    /// A name that is taken.
    pub fn new(scope: &Scope, channels: usize, width: usize, classes: usize, normalised: bool) -> Result<Self, Error> {
        let spectral = if normalised {
            Some([Spectral::new(&scope.scope("conv"), width)?, Spectral::new(&scope.scope("direction"), 1)?])
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
            classes: Embedding::new(&scope.scope("classes"), classes, width, Init::Normal { fan_in: 1, gain: 0.1 })?,
            spectral,
            width,
        })
    }

    /// `[B, C, H, W]` to logits `[B, H W]`, high where real. `class_weight` scales the class's part.
    ///
    /// # Errors
    /// Shapes or labels that do not fit.
    pub fn forward(&self, x: &Tensor, labels: &[i32], class_weight: f64, how: Use) -> Result<Tensor, Error> {
        let judge = how == Use::Judge;
        let constant = |tensor: &Tensor| if judge { tensor.detach() } else { tensor.clone() };
        let (mut kernel, mut direction) = (constant(&self.kernel), constant(&self.direction));
        if let Some([conv, last]) = &self.spectral {
            kernel = conv.forward(&kernel, !judge)?;
            direction = last.forward(&direction, !judge)?;
        }
        let t = ops::leaky_relu(&ops::conv2d(x, &kernel, Some(&constant(&self.kernel_bias)), 1, 1)?, 0.2)?;
        let class = (self.classes.forward(labels, judge)? * (class_weight / (self.width as f64).sqrt()))?;
        let logits = ops::channel_product(&t, &class.broadcast_add(&direction)?)?;
        Ok(logits.broadcast_add(&constant(&self.bias))?)
    }
}

/// A head on every tap.
#[derive(Debug)]
pub struct Heads(Vec<Head>);

impl Heads {
    /// For features of these taps.
    ///
    /// # Errors
    /// No taps, a name that is taken.
    pub fn new(scope: &Scope, taps: &[TapSpec], width: usize, classes: usize, normalised: bool) -> Result<Self, Error> {
        if taps.is_empty() {
            return Err(Error::NoTaps);
        }
        let heads = taps.iter().enumerate().map(|(at, tap)| {
            Head::new(&scope.scope(format!("tap{}", at + 1)), tap.channels, width, classes, normalised)
        });
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
        how: Use,
    ) -> Result<Vec<Tensor>, Error> {
        self.0.iter().zip(&features.taps).map(|(head, tap)| head.forward(tap, labels, class_weight, how)).collect()
    }
}

/// Fixed random mixing of features; nothing in it is trained.
#[derive(Debug)]
pub struct Projection {
    /// `1 / root mean square` of each tap over real images: what makes any trunk's features equally loud.
    loudness: Var,
    /// 1x1 convolutions within each tap.
    within: Vec<Var>,
    /// 1x1 convolutions from a tap to the next finer one; one fewer.
    across: Vec<Var>,
}

impl Projection {
    /// For features of these taps.
    ///
    /// # Errors
    /// A name that is taken.
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
            loudness: scope.buffer("loudness", taps.len(), Init::Constant(1.0))?,
            within: within.collect::<Result<_, _>>()?,
            across: across.collect::<Result<_, _>>()?,
        })
    }

    /// Measures the loudness of each tap on features of real images.
    ///
    /// # Errors
    /// Features that are not finite.
    pub fn calibrate(&self, features: &Features) -> Result<(), Error> {
        let mut loudness = Vec::with_capacity(features.taps.len());
        for tap in &features.taps {
            let square = mtl_tensor::optim::square_norm(&tap.detach())? / tap.elem_count().max(1) as f64;
            if !square.is_finite() {
                return Err(Error::NotFinite { what: "a feature of the trunk" });
            }
            loudness.push(1.0 / square.sqrt().max(1e-6));
        }
        Ok(self.loudness.set(
            &Tensor::from_vec(loudness, self.loudness.shape(), self.loudness.device())?
                .to_dtype(self.loudness.dtype())?,
        )?)
    }

    /// Mixed features, of the same shapes.
    ///
    /// # Errors
    /// Features of another trunk.
    pub fn forward(&self, features: &Features) -> Result<Features, Error> {
        let loudness = mtl_tensor::to_f64(&self.loudness)?;
        let mut taps: Vec<Tensor> = Vec::with_capacity(features.taps.len());
        for (at, tap) in features.taps.iter().enumerate().rev() {
            // Factors go into the small kernels, not the large maps.
            let mix = |x: &Tensor, kernel: &Var, factor: f64| -> Result<Tensor, Error> {
                Ok(ops::conv2d(x, &(kernel.as_tensor().detach() * factor)?, None, 1, 0)?)
            };
            let mixed = match taps.last() {
                Some(coarser) => {
                    // Both halves are equally loud, and so is their sum.
                    let half = std::f64::consts::FRAC_1_SQRT_2;
                    let moved = mix(coarser, &self.across[at], half)?;
                    let moved = ops::upsample_nearest(&moved, tap.dim(2)? / coarser.dim(2)?)?;
                    ops::add(&mix(tap, &self.within[at], loudness[at] * half)?, &moved)?
                }
                None => mix(tap, &self.within[at], loudness[at])?,
            };
            taps.push(mixed);
        }
        taps.reverse();
        Ok(Features { taps })
    }
}
