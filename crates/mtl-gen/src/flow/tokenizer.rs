//! Encoder and decoder of the flow's latent maps.
//!
//! ```text
//! frozen trunk taps up to stride 8, pixel-unshuffled to stride 8 -> conv1x1, leaky relu, conv3x3   [B, channels, H/8, W/8]
//! normalised per channel, noise -> conv3x3, residual convolution
//! three times: relu(norm(x)), nearest x2, conv3x3, residual convolution (the last level: as in the vector decoder)
//! tanh                                                                                               [B, C, H, W] in (-1, 1)
//! ```
//! The maps have mean 0 and variance 1 per channel: by the moments of the batch while encoder and decoder are trained,
//! afterwards by those of training images. No KL term is needed to bound them. The noise makes the decoder robust to errors of
//! the flow (RAE, Zheng et al. 2025, arXiv 2510.11690).

use mtl_tensor::layers::{Conv2d, GroupNorm};
use mtl_tensor::{Ctx, Init, Scope, Tensor, Var, ops, to_f64};
use mtl_trunk::{Features, TapSpec};

use crate::{Error, GeneratorInput, PriorFit};

/// Image pixels per cell of the map.
pub(super) const STRIDE: usize = 8;
/// Channels between the encoder's convolutions.
const ENCODER_WIDTH: usize = 64;
/// Channels of the decoder at 1/8, 1/4 and 1/2 of the image's size.
const WIDTHS: [usize; 3] = [128, 96, 64];
/// Channels of the map at full resolution.
const FULL_WIDTH: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Tokenizer {
    /// The taps that are read, with their positions among all taps.
    taps: Vec<(usize, TapSpec)>,
    mix: Conv2d,
    encode: Conv2d,
    statistics: Statistics,
    start: Conv2d,
    levels: Vec<Level>,
    last_norm: GroupNorm,
    narrow: Conv2d,
    paint: Conv2d,
}

/// Residual convolution of a level, and the convolution to the next finer one.
#[derive(Debug)]
struct Level {
    residual_norm: GroupNorm,
    residual: Conv2d,
    next: Option<(GroupNorm, Conv2d)>,
}

/// Moments of the encoder's maps over training images, stored with the model's parameters.
#[derive(Debug)]
pub(super) struct Statistics {
    mean: Var,
    variance: Var,
    /// Number of images; 0 before the fit.
    images: Var,
    /// Scale and shift of the normalisation.
    one: Tensor,
    zero: Tensor,
}

impl Tokenizer {
    /// Parameters below `encoder`, `decoder`; buffers below `statistics`.
    ///
    /// # Errors
    /// A trunk without a tap up to stride 8, a parameter name that is taken.
    pub(super) fn new(scope: &Scope, channels: usize, input: &GeneratorInput<'_>) -> Result<Self, Error> {
        let read = input.taps.iter().copied().enumerate().filter(|(_, tap)| STRIDE.is_multiple_of(tap.stride));
        let taps: Vec<(usize, TapSpec)> = read.collect();
        if taps.is_empty() {
            return Err(Error::MissingTap { stride: STRIDE, reader: "the flow's encoder" });
        }
        let inputs = taps.iter().map(|(_, tap)| tap.channels * (STRIDE / tap.stride).pow(2)).sum();
        let (encoder, decoder) = (scope.sub("encoder"), scope.sub("decoder"));
        let conv = |scope: Scope, from, to| Conv2d::new(&scope, (from, to), 3, 1, true);
        let levels = WIDTHS.iter().enumerate().map(|(at, &width)| {
            let place = decoder.sub(format!("level{}", at + 1));
            let next = match WIDTHS.get(at + 1) {
                Some(&finer) => {
                    Some((GroupNorm::new(&place.sub("norm"), width)?, conv(place.sub("conv"), width, finer)?))
                }
                None => None,
            };
            let place = place.sub("residual");
            // Small initial weights: the residual branch starts as a small correction.
            let init = Init::Normal { fan_in: width * 9, gain: 0.2 };
            Ok::<_, Error>(Level {
                residual_norm: GroupNorm::new(&place.sub("norm"), width)?,
                residual: Conv2d::with_init(&place.sub("conv"), (width, width), 3, 1, true, init)?,
                next,
            })
        });
        let gentle = Init::Normal { fan_in: FULL_WIDTH * 9, gain: 0.5 };
        Ok(Self {
            mix: Conv2d::new(&encoder.sub("mix"), (inputs, ENCODER_WIDTH), 1, 1, true)?,
            encode: conv(encoder.sub("map"), ENCODER_WIDTH, channels)?,
            statistics: Statistics::new(&scope.sub("statistics"), channels)?,
            start: conv(decoder.sub("start"), channels, WIDTHS[0])?,
            levels: levels.collect::<Result<_, _>>()?,
            last_norm: GroupNorm::new(&decoder.sub("last.norm"), WIDTHS[2])?,
            narrow: conv(decoder.sub("last.narrow"), WIDTHS[2], FULL_WIDTH)?,
            paint: Conv2d::with_init(&decoder.sub("last.paint"), (FULL_WIDTH, input.channels), 3, 1, true, gentle)?,
            taps,
        })
    }

    /// The maps before normalisation.
    fn raw(&self, features: &Features) -> Result<Tensor, Error> {
        let missing = Error::MissingTap { stride: STRIDE, reader: "the flow's encoder" };
        let mut unshuffled = Vec::with_capacity(self.taps.len());
        for (at, spec) in &self.taps {
            let Some(tap) = features.taps.get(*at) else { return Err(missing) };
            unshuffled.push(match STRIDE / spec.stride {
                1 => tap.clone(),
                factor => ops::pixel_unshuffle(tap, factor)?,
            });
        }
        let all = ops::cat_channels(&unshuffled.iter().collect::<Vec<_>>())?;
        Ok(self.encode.forward(&ops::leaky_relu(&self.mix.forward(&all)?, 0.2)?)?)
    }

    /// Normalised maps of images from their features, `[B, channels, H/8, W/8]`.
    ///
    /// # Errors
    /// Features of another trunk.
    pub(super) fn encode(&self, features: &Features) -> Result<Tensor, Error> {
        self.statistics.normalise(&self.raw(features)?)
    }

    /// Reconstructions in training: maps normalised by the batch, with noise of standard deviation `noise`.
    ///
    /// # Errors
    /// Features of another trunk.
    pub(super) fn reconstruct(
        &self,
        features: &Features,
        noise: f64,
        (name, cx): (&str, &Ctx),
    ) -> Result<Tensor, Error> {
        let (z, _) = ops::batch_norm(&self.raw(features)?, &self.statistics.one, &self.statistics.zero, false)?;
        let noise = (cx.noise(name, z.shape(), z.dtype(), z.device())? * noise)?;
        self.decode(&(z + noise)?)
    }

    /// Normalised maps to images in `(-1, 1)`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub(super) fn decode(&self, z: &Tensor) -> Result<Tensor, Error> {
        let mut x = self.start.forward(z)?;
        for level in &self.levels {
            x = ops::add(&x, &level.residual.forward(&level.residual_norm.forward(&x, true)?)?)?;
            if let Some((norm, conv)) = &level.next {
                x = conv.forward_upsampled(&norm.forward(&x, true)?)?;
            }
        }
        let x = ops::leaky_relu(&self.narrow.forward(&self.last_norm.forward(&x, true)?)?, 0.2)?;
        Ok(ops::tanh(&self.paint.forward_upsampled(&x)?)?)
    }

    /// Moments over training images.
    pub(super) fn statistics(&self) -> &Statistics {
        &self.statistics
    }
}

impl Statistics {
    fn new(scope: &Scope, channels: usize) -> Result<Self, Error> {
        let mean = scope.buffer("mean", channels, Init::Constant(0.0))?;
        Ok(Self {
            one: mean.as_tensor().ones_like()?.detach(),
            zero: mean.as_tensor().zeros_like()?.detach(),
            variance: scope.buffer("variance", channels, Init::Constant(1.0))?,
            images: scope.buffer("images", 1, Init::Constant(0.0))?,
            mean,
        })
    }

    /// Whether they are those of training images.
    ///
    /// # Errors
    /// A device that fails.
    pub(super) fn fitted(&self) -> Result<bool, Error> {
        Ok(to_f64(&self.images)?.iter().any(|images| *images > 0.0))
    }

    fn normalise(&self, raw: &Tensor) -> Result<Tensor, Error> {
        Ok(ops::batch_norm_with(raw, &self.one, &self.zero, &self.mean, &self.variance, false)?)
    }
}

/// Moments of maps, collected image by image.
pub(super) struct Fit<'a> {
    tokenizer: &'a Tokenizer,
    sums: Vec<f64>,
    squares: Vec<f64>,
    /// Numbers per channel, and images.
    cells: usize,
    images: usize,
}

impl<'a> Fit<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        let channels = tokenizer.statistics.one.elem_count();
        Self { tokenizer, sums: vec![0.0; channels], squares: vec![0.0; channels], cells: 0, images: 0 }
    }
}

impl PriorFit for Fit<'_> {
    fn add(&mut self, features: &Features, _: &[i32]) -> Result<(), Error> {
        let raw = self.tokenizer.raw(features)?.detach();
        let (images, channels, height, width) = raw.dims4()?;
        for (at, cells) in to_f64(&raw)?.chunks(height * width).enumerate() {
            self.sums[at % channels] += cells.iter().sum::<f64>();
            self.squares[at % channels] += cells.iter().map(|v| v * v).sum::<f64>();
        }
        self.cells += images * height * width;
        self.images += images;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        if self.images == 0 {
            return Err(Error::Labels { labels: 0, images: 0 });
        }
        let n = self.cells as f64;
        let means: Vec<f64> = self.sums.iter().map(|sum| sum / n).collect();
        let variances: Vec<f64> =
            self.squares.iter().zip(&means).map(|(square, mean)| (square / n - mean * mean).max(0.0)).collect();
        if !means.iter().chain(&variances).all(|value| value.is_finite()) {
            return Err(Error::NonFinite { what: "an encoding".to_owned() });
        }
        let Statistics { mean, variance, images, .. } = &self.tokenizer.statistics;
        for (var, values) in [(mean, means), (variance, variances), (images, vec![self.images as f64])] {
            let values = Tensor::from_vec(values, var.shape(), &mtl_tensor::Device::Cpu)?.to_dtype(var.dtype())?;
            var.set(&values.to_device(var.device())?)?;
        }
        Ok(())
    }
}
