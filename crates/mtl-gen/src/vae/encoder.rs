//! Encoder: trunk features to a Gaussian over latent vectors.

use mtl_tensor::layers::{Conv2d, Linear};
use mtl_tensor::{Ctx, Init, Mode, Scope, Tensor, ops};
use mtl_trunk::{Features, TapSpec};

use crate::{Error, GeneratorInput};

/// Bound of `|log sigma^2|`.
const LOGVAR_BOUND: f64 = 8.0;
/// Largest number of cells of the map that is flattened into the encoder's last layer.
const MAX_CELLS: usize = 64;
/// Channels of the map that is flattened.
const WIDTH: usize = 64;

/// Posterior of each image: a Gaussian with diagonal covariance.
#[derive(Clone, Debug)]
pub struct Encoding {
    /// Means, `[B, latent]`.
    pub mu: Tensor,
    /// Log variances, `[B, latent]`, within +-8.
    pub logvar: Tensor,
}

impl Encoding {
    /// `mu + sigma noise`, `[B, latent]`; in [`Mode::Eval`] `mu`. `stream` names the noise.
    ///
    /// # Errors
    /// A device that fails.
    pub fn draw(&self, cx: &Ctx, stream: &str) -> Result<Tensor, Error> {
        if cx.mode == Mode::Eval {
            return Ok(self.mu.clone());
        }
        let noise = cx.noise(stream, self.mu.shape(), self.mu.dtype(), self.mu.device())?;
        Ok((&self.mu + ((&self.logvar * 0.5)?.exp()? * noise)?)?)
    }

    /// Twice the divergence of each latent dimension from `N(0, 1)`: `mu^2 + sigma^2 - log sigma^2 - 1`, `[B, latent]`.
    ///
    /// # Errors
    /// A device that fails.
    pub fn twice_divergence(&self) -> Result<Tensor, Error> {
        Ok((((self.mu.sqr()? + self.logvar.exp()?)? - &self.logvar)? - 1.0)?)
    }

    /// Means and variances on the host, row-major.
    pub(super) fn moments(&self) -> Result<(Vec<f64>, Vec<f64>), Error> {
        let logvar = mtl_tensor::to_f64(&self.logvar)?;
        Ok((mtl_tensor::to_f64(&self.mu)?, logvar.into_iter().map(f64::exp).collect()))
    }
}

/// Layers behind a trunk that give mean and variance of the latent vector.
#[derive(Debug)]
pub struct Encoder {
    /// Second input after the deepest tap: the tap before it, pixel-unshuffled.
    finer: Option<usize>,
    /// Side of the average-pooling windows before the last layer.
    pool: usize,
    mix: Conv2d,
    heads: Linear,
    latent: usize,
}

impl Encoder {
    /// Layers behind the trunk of `input`, for latent vectors of length `latent`.
    ///
    /// # Errors
    /// A trunk without taps, a parameter name that is taken.
    pub fn new(scope: &Scope, input: &GeneratorInput<'_>, latent: usize) -> Result<Self, Error> {
        let taps = input.taps;
        let Some(&deepest) = taps.last() else {
            return Err(Error::NoTaps);
        };
        let finer = taps.len().checked_sub(2).filter(|&at| deepest.stride.is_multiple_of(taps[at].stride));
        let unshuffled = |tap: TapSpec| tap.channels * (deepest.stride / tap.stride).pow(2);
        let inputs = deepest.channels + finer.map_or(0, |at| unshuffled(taps[at]));
        let (height, width) = (input.size.0 / deepest.stride, input.size.1 / deepest.stride);
        let mut pool = 1;
        while (height / pool) * (width / pool) > MAX_CELLS {
            pool += 1;
        }
        let flat = WIDTH * (height / pool) * (width / pool);
        Ok(Self {
            finer,
            pool,
            mix: Conv2d::new(&scope.sub("mix"), (inputs, WIDTH), 1, 1, true)?,
            // Small initial weights: posteriors start near the prior, and the KL term near zero.
            heads: Linear::with_init(&scope.sub("heads"), flat, 2 * latent, Init::Normal { fan_in: flat, gain: 0.5 })?,
            latent,
        })
    }

    /// Posteriors of images from their trunk features.
    ///
    /// # Errors
    /// Features of another trunk.
    pub fn forward(&self, features: &Features) -> Result<Encoding, Error> {
        let deepest = features.deepest()?;
        let mut x = deepest.clone();
        if let Some(tap) = self.finer.and_then(|at| features.taps.get(at)) {
            let factor = tap.dim(2)? / deepest.dim(2)?;
            x = ops::cat_channels(&[deepest, &ops::pixel_unshuffle(tap, factor)?])?;
        }
        let mut x = ops::leaky_relu(&self.mix.forward(&x)?, 0.2)?;
        if self.pool > 1 {
            x = ops::avg_pool2d(&x, self.pool)?;
        }
        let both = self.heads.forward(&x)?;
        let latent = self.latent;
        let logvar = (ops::tanh(&(both.narrow(1, latent, latent)?.contiguous()? / LOGVAR_BOUND)?)? * LOGVAR_BOUND)?;
        Ok(Encoding { mu: both.narrow(1, 0, latent)?.contiguous()?, logvar })
    }
}
