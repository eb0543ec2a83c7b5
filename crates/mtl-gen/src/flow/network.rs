//! Network of the flow: a noisy map, its time and a class to the velocity.
//!
//! ```text
//! c = relu(linear([cos, sin of time ; embedding(class)]))                     [B, width]
//! conv3x3, residual blocks x + conv3x3(relu(norm(conv3x3(relu(norm(x | c))) | c))), conv3x3(relu(norm(x | c)))
//! ```
//! `norm(x | c)` is that of the decoder. Maps of 16x16 and more, with even sides, have one block with half the channels at full
//! size, the others at half the size, and one more at full size, joined by addition (a U-Net of two levels).
//!
//! The network's output `F` is scaled so that its target has variance 1 at every time, for data of variance 1 (Karras et al.
//! 2022, arXiv 2206.00364). With `z_t = t z + (1 - t) e` and `s^2 = t^2 + (1 - t)^2`:
//!
//! ```text
//! v^ = ((2 t - 1) z_t / s + F) / s,     F = ((1 - t) z - t e) / s  if  v^ = z - e
//! z^ = z_t + (1 - t) v^ = (t z_t + (1 - t) s F) / s^2
//! ```
//! At `t = 0` the output is the clean map, which networks of few channels predict better than the noise (Li and He 2025, arXiv
//! 2511.13720). There is no division by `1 - t`, whose error the solver would amplify near `t = 1`.

use mtl_tensor::layers::{Conv2d, Linear};
use mtl_tensor::{DType, Device, Init, Scope, Tensor, ops};

use super::config::Config;
use crate::Error;
use crate::decoder::ConditionalNorm;
use crate::embedding::Embedding;

/// Number of frequencies of the time, from half a period over the unit interval to sixteen periods.
const FREQUENCIES: usize = 16;
/// Maps with at least this many cells have two levels.
const TWO_LEVELS: usize = 256;

/// See the module.
#[derive(Debug)]
pub(super) struct Network {
    embedding: Embedding,
    condition: Linear,
    input: Conv2d,
    outer: Option<Outer>,
    blocks: Vec<Block>,
    norm: ConditionalNorm,
    output: Conv2d,
}

/// Blocks at full size around the others at half the size.
#[derive(Debug)]
struct Outer {
    before: Block,
    down: Conv2d,
    up: Conv2d,
    after: Block,
}

#[derive(Debug)]
struct Block {
    first_norm: ConditionalNorm,
    first: Conv2d,
    second_norm: ConditionalNorm,
    second: Conv2d,
}

impl Network {
    /// For maps of `channels` channels and `size` cells.
    ///
    /// # Errors
    /// Too few blocks, a parameter name that is taken.
    pub(super) fn new(
        config: &Config,
        scope: &Scope,
        channels: usize,
        size: (usize, usize),
        classes: usize,
    ) -> Result<Self, Error> {
        let (width, even) = (config.width, size.0.is_multiple_of(2) && size.1.is_multiple_of(2));
        let two_levels = even && size.0 * size.1 >= TWO_LEVELS;
        if two_levels && config.blocks < 3 {
            return Err(Error::option("blocks", config.blocks, "must be at least 3 for maps of 16x16 and more"));
        }
        let (outer, inner, full) = if two_levels {
            let half = width / 2;
            let outer = Outer {
                before: Block::new(&scope.sub("before"), half, width)?,
                down: Conv2d::new(&scope.sub("down"), (half, width), 3, 2, true)?,
                up: Conv2d::new(&scope.sub("up"), (width, half), 3, 1, true)?,
                after: Block::new(&scope.sub("after"), half, width)?,
            };
            (Some(outer), config.blocks - 2, half)
        } else {
            (None, config.blocks, width)
        };
        let blocks = (1..=inner).map(|at| Block::new(&scope.sub(format!("block{at}")), width, width));
        let features = 2 * FREQUENCIES + config.embedding;
        Ok(Self {
            embedding: Embedding::new(
                &scope.sub("embedding"),
                classes,
                config.embedding,
                Init::Normal { fan_in: 1, gain: 1.0 },
            )?,
            condition: Linear::with_init(
                &scope.sub("condition"),
                features,
                width,
                Init::Normal { fan_in: features, gain: std::f64::consts::SQRT_2 },
            )?,
            input: Conv2d::new(&scope.sub("input"), (channels, full), 3, 1, true)?,
            outer,
            blocks: blocks.collect::<Result<_, _>>()?,
            norm: ConditionalNorm::new(&scope.sub("norm"), full, width)?,
            // Small initial weights: the first velocity is that of the best linear prediction.
            output: Conv2d::with_init(
                &scope.sub("output"),
                (full, channels),
                3,
                1,
                true,
                Init::Normal { fan_in: full * 9, gain: 0.1 },
            )?,
        })
    }

    /// Velocities at `z [B, C, H, W]`, one time and one label per map (negative: without a class). `frozen`: the parameters are
    /// constants.
    ///
    /// # Errors
    /// A label outside the classes, shapes that do not fit.
    pub(super) fn velocity(&self, z: &Tensor, times: &[f64], labels: &[i32], frozen: bool) -> Result<Tensor, Error> {
        let output = self.output(z, times, labels, frozen)?;
        let kept = times.iter().map(|t| (2.0 * t - 1.0) / spread(*t).powi(2)).collect();
        let scale = times.iter().map(|t| 1.0 / spread(*t)).collect();
        Ok((z.broadcast_mul(&per_map(kept, z)?)? + output.broadcast_mul(&per_map(scale, z)?)?)?)
    }

    /// Mean squared error of the velocity `z - e`, per number of the map: a scalar.
    ///
    /// # Errors
    /// A label outside the classes, shapes that do not fit.
    pub(super) fn loss(&self, clean: &Tensor, noise: &Tensor, times: &[f64], labels: &[i32]) -> Result<Tensor, Error> {
        let mixed = |data: &dyn Fn(f64) -> f64, noisy: &dyn Fn(f64) -> f64| -> Result<Tensor, Error> {
            let data = per_map(times.iter().map(|t| data(*t)).collect(), clean)?;
            let noisy = per_map(times.iter().map(|t| noisy(*t)).collect(), clean)?;
            Ok((clean.broadcast_mul(&data)? + noise.broadcast_mul(&noisy)?)?)
        };
        let z = mixed(&|t| t, &|t| 1.0 - t)?;
        let target = mixed(&|t| (1.0 - t) / spread(t), &|t| -t / spread(t))?;
        let weight = per_map(times.iter().map(|t| 1.0 / spread(*t)).collect(), clean)?;
        let error = (self.output(&z, times, labels, false)? - target)?;
        Ok(error.broadcast_mul(&weight)?.sqr()?.mean_all()?)
    }

    /// Device and number type of the parameters.
    pub(super) fn place(&self) -> (Device, DType) {
        (self.input.weight().device().clone(), self.input.weight().dtype())
    }

    /// The output before its scale.
    fn output(&self, z: &Tensor, times: &[f64], labels: &[i32], frozen: bool) -> Result<Tensor, Error> {
        let batch = z.dim(0)?;
        Error::check_labels(labels, z)?;
        let class = self.embedding.forward(labels, frozen)?;
        let features = Tensor::from_vec(waves(times), (batch, 2 * FREQUENCIES), z.device())?.to_dtype(z.dtype())?;
        let condition = ops::relu(&self.condition.forward(&Tensor::cat(&[&features, &class], 1)?)?)?;
        let mut x = self.input.forward(z)?;
        let mut full = None;
        if let Some(outer) = &self.outer {
            let before = outer.before.forward(&x, &condition)?;
            x = outer.down.forward(&before)?;
            full = Some((outer, before));
        }
        for block in &self.blocks {
            x = block.forward(&x, &condition)?;
        }
        if let Some((outer, before)) = full {
            x = outer.after.forward(&ops::add(&before, &outer.up.forward_upsampled(&x)?)?, &condition)?;
        }
        Ok(self.output.forward(&self.norm.forward(&x, &condition)?)?)
    }
}

impl Block {
    fn new(scope: &Scope, width: usize, condition: usize) -> Result<Self, Error> {
        // Small initial weights: the residual branch starts as a small correction.
        let init = Init::Normal { fan_in: width * 9, gain: 0.2 };
        Ok(Self {
            first_norm: ConditionalNorm::new(&scope.sub("norm1"), width, condition)?,
            first: Conv2d::new(&scope.sub("conv1"), (width, width), 3, 1, true)?,
            second_norm: ConditionalNorm::new(&scope.sub("norm2"), width, condition)?,
            second: Conv2d::with_init(&scope.sub("conv2"), (width, width), 3, 1, true, init)?,
        })
    }

    fn forward(&self, x: &Tensor, condition: &Tensor) -> Result<Tensor, Error> {
        let inner = self.first.forward(&self.first_norm.forward(x, condition)?)?;
        Ok(ops::add(x, &self.second.forward(&self.second_norm.forward(&inner, condition)?)?)?)
    }
}

/// Standard deviation of `t z + (1 - t) e` for data and noise of variance 1.
fn spread(t: f64) -> f64 {
    t.hypot(1.0 - t)
}

/// One number per map, in the shape that multiplies maps.
fn per_map(values: Vec<f64>, like: &Tensor) -> Result<Tensor, Error> {
    let count = values.len();
    let values = Tensor::from_vec(values, (count, 1, 1, 1), &Device::Cpu)?.to_dtype(like.dtype())?;
    Ok(values.to_device(like.device())?)
}

/// Cosines and sines of the times, row after row.
fn waves(times: &[f64]) -> Vec<f32> {
    let angle = |t: f64, at: usize| std::f64::consts::PI * t * 2f64.powf(5.0 * at as f64 / (FREQUENCIES - 1) as f64);
    times
        .iter()
        .flat_map(|&t| (0..FREQUENCIES).flat_map(move |at| [angle(t, at).cos() as f32, angle(t, at).sin() as f32]))
        .collect()
}
