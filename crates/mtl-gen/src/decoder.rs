//! Decoder: a latent vector and a class to an image. The VAE's decoder and the GAN's generator network.
//!
//! ```text
//! c = [z ; embedding(class)]                                   [B, latent + embedding]
//! linear -> coarse map (4x4 for 32x32 and 64x64)               [B, w0, h, w]
//! per doubling: relu(norm(x | c)), nearest x2, conv3x3         ... up to half the image's size
//!               (+ residual: x + conv3x3(relu(norm(x | c))) in presets s and m)
//! relu(norm(x | c)), conv3x3 to 16 channels, leaky relu, nearest x2, conv3x3, tanh   [B, C, H, W] in (-1, 1)
//! ```
//! `norm(x | c)` is group normalisation whose scale and shift are linear functions of `c` (as the conditional norms of
//! Dumoulin et al. 2017, arXiv 1610.07629 and of BigGAN, arXiv 1809.11096, without their dependence on the batch).
//! Few channels are computed at full resolution. A pixel shuffle would be cheaper, but the four pixels of a block would have
//! separate biases, and a discriminator whose trunk begins with a pixel unshuffle does not penalise the resulting dots.

use mtl_tensor::layers::{Conv2d, Linear};
use mtl_tensor::{Init, Scope, Tensor, ops};
use serde::{Deserialize, Serialize};

use crate::embedding::Embedding;
use crate::{Error, GeneratorInput};

/// Sizes by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// 128, 64, 48 channels at 1/8, 1/4, 1/2 of the image's size: 13 M multiply-adds for one 32x32 image.
    #[default]
    Xs,
    /// 192, 128, 96 channels and one residual convolution per level.
    S,
    /// 256, 192, 128 channels and one residual convolution per level.
    M,
}

impl Preset {
    /// Channels from half the image's size downwards (the last one repeats).
    fn widths(self) -> [usize; 3] {
        match self {
            Self::Xs => [48, 64, 128],
            Self::S => [96, 128, 192],
            Self::M => [128, 192, 256],
        }
    }
}

/// Architecture of the decoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Size: `xs` (default), `s` or `m`.
    pub preset: Preset,
    /// Length of the latent vector, at least 1. Default 64.
    pub latent: usize,
    /// Length of the class embedding, at least 1. Default 32.
    pub embedding: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { preset: Preset::Xs, latent: 64, embedding: 32 }
    }
}

impl Config {
    /// # Errors
    /// A vector of length 0.
    pub(crate) fn check(&self) -> Result<(), Error> {
        for (key, value) in [("latent", self.latent), ("embedding", self.embedding)] {
            if value == 0 {
                return Err(Error::option(key, value, "must be at least 1"));
            }
        }
        Ok(())
    }
}

/// Largest number of cells of the coarse map that the linear layer computes directly; larger maps are interpolated from 8x8.
const MAX_START_CELLS: usize = 64;

/// Channels of the map at full resolution.
const FULL_WIDTH: usize = 16;

/// Latent vectors and classes to images; the module describes its layers.
#[derive(Debug)]
pub struct Decoder {
    config: Config,
    embedding: Embedding,
    start: Linear,
    /// Size of the linear layer's map, and of the coarsest level.
    start_size: (usize, usize),
    base_size: (usize, usize),
    base_width: usize,
    levels: Vec<Level>,
    last_norm: ConditionalNorm,
    narrow: Conv2d,
    paint: Conv2d,
}

#[derive(Debug)]
struct Level {
    norm: ConditionalNorm,
    conv: Conv2d,
    residual: Option<(ConditionalNorm, Conv2d)>,
}

impl Decoder {
    /// Builds the decoder for the image format and classes of `input` (its trunk and taps are not used).
    ///
    /// # Errors
    /// An image format that is not supported, settings out of range, a parameter name that is taken.
    pub fn new(config: &Config, scope: &Scope, input: &GeneratorInput<'_>) -> Result<Self, Error> {
        input.check()?;
        config.check()?;
        let (mut base_size, mut doublings) = (input.size, 0);
        while base_size.0 % 2 == 0 && base_size.1 % 2 == 0 && base_size.0.min(base_size.1) >= 8 {
            base_size = (base_size.0 / 2, base_size.1 / 2);
            doublings += 1;
        }
        let start_size = if base_size.0 * base_size.1 <= MAX_START_CELLS { base_size } else { (8, 8) };
        let table = config.preset.widths();
        let width = |doublings_left: usize| table[(doublings_left - 1).min(2)];
        let condition = config.latent + config.embedding;
        let base_width = width(doublings);
        let levels = (1..doublings)
            .map(|level| {
                let place = scope.sub(format!("level{level}"));
                let (from, to) = (width(doublings + 1 - level), width(doublings - level));
                let residual = if config.preset == Preset::Xs {
                    None
                } else {
                    let place = place.sub("residual");
                    // Small initial weights: the residual branch starts as a small correction.
                    let init = Init::Normal { fan_in: to * 9, gain: 0.2 };
                    let conv = Conv2d::with_init(&place.sub("conv"), (to, to), 3, 1, true, init)?;
                    Some((ConditionalNorm::new(&place.sub("norm"), to, condition)?, conv))
                };
                Ok(Level {
                    norm: ConditionalNorm::new(&place.sub("norm"), from, condition)?,
                    conv: Conv2d::new(&place.sub("conv"), (from, to), 3, 1, true)?,
                    residual,
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let finest = width(1);
        // Small initial weights give nearly grey images, which are closer to real ones than saturated noise.
        let gentle = Init::Normal { fan_in: FULL_WIDTH * 9, gain: 0.5 };
        Ok(Self {
            config: config.clone(),
            embedding: Embedding::new(
                &scope.sub("embedding"),
                input.classes,
                config.embedding,
                Init::Normal { fan_in: 1, gain: 1.0 },
            )?,
            start: Linear::with_init(
                &scope.sub("start"),
                condition,
                base_width * start_size.0 * start_size.1,
                Init::Normal { fan_in: condition, gain: 1.0 },
            )?,
            start_size,
            base_size,
            base_width,
            levels,
            last_norm: ConditionalNorm::new(&scope.sub("last.norm"), finest, condition)?,
            narrow: Conv2d::new(&scope.sub("last.narrow"), (finest, FULL_WIDTH), 3, 1, true)?,
            paint: Conv2d::with_init(&scope.sub("last.paint"), (FULL_WIDTH, input.channels), 3, 1, true, gentle)?,
        })
    }

    /// Length of the latent vector.
    pub fn latent(&self) -> usize {
        self.config.latent
    }

    /// `z [B, latent]` and one label per image (negative where missing) to images `[B, C, H, W]` in `(-1, 1)`.
    ///
    /// # Errors
    /// A label outside the classes, shapes that do not fit.
    pub fn forward(&self, z: &Tensor, labels: &[i32]) -> Result<Tensor, Error> {
        let batch = z.dim(0)?;
        Error::check_labels(labels, z)?;
        let condition = Tensor::cat(&[z, &self.embedding.forward(labels, false)?], 1)?;
        let (height, width) = self.start_size;
        let mut x = ops::reshape(&self.start.forward(&condition)?, (batch, self.base_width, height, width))?;
        if self.start_size != self.base_size {
            x = ops::upsample_bilinear(&x, self.base_size.0, self.base_size.1)?;
        }
        for level in &self.levels {
            x = level.conv.forward_upsampled(&level.norm.forward(&x, &condition)?)?;
            if let Some((norm, conv)) = &level.residual {
                x = ops::add(&x, &conv.forward(&norm.forward(&x, &condition)?)?)?;
            }
        }
        let x = ops::leaky_relu(&self.narrow.forward(&self.last_norm.forward(&x, &condition)?)?, 0.2)?;
        Ok(ops::tanh(&self.paint.forward_upsampled(&x)?)?)
    }
}

/// Group normalisation with scale and shift from a condition vector, then ReLU.
#[derive(Debug)]
pub(crate) struct ConditionalNorm {
    modulation: Linear,
    channels: usize,
}

impl ConditionalNorm {
    pub(crate) fn new(scope: &Scope, channels: usize, condition: usize) -> Result<Self, Error> {
        let init = Init::Normal { fan_in: condition, gain: 0.3 };
        Ok(Self { modulation: Linear::with_init(scope, condition, 2 * channels, init)?, channels })
    }

    /// `x [B, C, H, W]`, `condition [B, E]`.
    pub(crate) fn forward(&self, x: &Tensor, condition: &Tensor) -> Result<Tensor, Error> {
        let channels = self.channels;
        let modulation = self.modulation.forward(condition)?; // [B, 2 C]
        let scale = (modulation.narrow(1, 0, channels)? + 1.0)?;
        let shift = modulation.narrow(1, channels, channels)?.contiguous()?;
        let groups = if channels.is_multiple_of(8) { channels / 8 } else { 1 };
        Ok(ops::group_norm(x, &scale, &shift, groups, true)?)
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;
    use mtl_tensor::{DType, Device, Params, gradcheck};

    use super::*;

    fn decoder(params: &Params, size: (usize, usize), channels: usize) -> Decoder {
        let input = GeneratorInput { trunk: &mtl_trunk::Config::default(), taps: &[], size, channels, classes: 2 };
        Decoder::new(&Config { latent: 5, embedding: 3, ..Config::default() }, &params.scope("g"), &input).unwrap()
    }

    fn noise(shape: (usize, usize), dtype: DType) -> Tensor {
        let values = Seed::new(5).stream("z", &[]).normals(shape.0 * shape.1);
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    }

    #[test]
    fn any_size_divisible_by_eight() {
        for (size, channels) in [((32, 32), 3), ((64, 128), 3), ((40, 72), 1), ((248, 256), 3)] {
            let params = Params::new(Seed::new(1), DType::F32, &Device::Cpu);
            let image = decoder(&params, size, channels).forward(&noise((2, 5), DType::F32), &[0, -1]).unwrap();
            assert_eq!(image.dims(), [2, channels, size.0, size.1]);
            let values = mtl_tensor::to_f64(&image).unwrap();
            assert!(values.iter().all(|v| v.abs() < 1.0), "{size:?}");
        }
    }

    #[test]
    fn class_and_latent_both_matter_and_images_are_independent() {
        let params = Params::new(Seed::new(1), DType::F64, &Device::Cpu);
        let decoder = decoder(&params, (32, 32), 1);
        let z = noise((2, 5), DType::F64);
        let run = |z: &Tensor, labels: &[i32]| mtl_tensor::to_f64(&decoder.forward(z, labels).unwrap()).unwrap();
        let both = run(&z, &[0, 1]);
        assert_ne!(run(&z, &[1, 1])[..1024], both[..1024]);
        assert_ne!(both[..1024], both[1024..]);
        let alone = run(&z.narrow(0, 1, 1).unwrap(), &[1]);
        assert!(alone.iter().zip(&both[1024..]).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn gradient_of_the_conditional_norm() {
        let params = Params::new(Seed::new(1), DType::F64, &Device::Cpu);
        let norm = ConditionalNorm::new(&params.scope("n"), 16, 3).unwrap();
        let x = Tensor::from_vec(Seed::new(5).stream("x", &[]).normals(128), (2, 16, 2, 2), &Device::Cpu).unwrap();
        let inputs = [x.to_dtype(DType::F64).unwrap(), noise((2, 3), DType::F64)];
        let worst = gradcheck::worst_error(&inputs, |t| {
            norm.forward(&t[0], &t[1]).map_err(|error| mtl_tensor::Error::Msg(error.to_string()))
        });
        assert!(worst.unwrap() < 1e-6);
    }
}
