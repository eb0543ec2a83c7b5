//! A variational auto-encoder (Kingma and Welling 2014, arXiv 1312.6114) whose encoder is the trunk.
//!
//! ```text
//! trunk taps -> mu, log sigma^2 -> z = mu + sigma noise -> decoder(z, class) -> x^
//! ```
//! Likelihood: a Gaussian with the one variance that is best for the batch (Rybkin et al. 2021, arXiv 2006.13202), with a
//! floor at the grey steps of 8-bit images: `s^2 = mse + s0^2`, `s0 = 1/255` (images span 2, a step is 2/255). Per pixel
//! and counted from the floor, the loss of reconstruction is `log(s / s0)` nats: positive, about 3 for a young model, and
//! without a weight to tune. With `D = C H W` values an image, the loss is
//!
//! ```text
//! total = log(s / s0) + beta KL / D          (+ perceptual, in the stage of its own)
//! KL = sum over latent dimensions of (mu^2 + sigma^2 - 1 - log sigma^2) / 2, mean over the batch
//! ```
//! which is `1/D` of the negative evidence bound plus a constant: of the same order as the other tasks' losses.
//!
//! Perceptual: the same likelihood in the frozen trunk's features, normalised to unit length at each pixel (Zhang et
//! al. 2018, arXiv 1801.03924): `w mean over taps of log(s_l / s_l0)`, `s_l^2 = mean |n(f_l(x)) - n(f_l(x^))|^2 + s_l0^2`.
//!
//! New images come from a Gaussian a class fitted to the encodings ([`Vae::fit_prior`]), or from `N(0, I)` before.

use mtl_rng::Stream;
use mtl_tensor::layers::{Conv2d, Linear};
use mtl_tensor::{Ctx, Init, Mode, Scope, Tensor, ops, optim, with_constant_weights};
use mtl_trunk::{Features, TapSpec, Trunk};
use serde::{Deserialize, Serialize};

use crate::decoder::{self, Decoder};
use crate::prior::Prior;
use crate::{Batch, Error, Generator, Loss, Phase, Setting, unknown_phase, value};

/// Options of the VAE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Size of the decoder.
    pub decoder: decoder::Config,
    /// Weight of the KL term. Default 1, the evidence bound: the likelihood's variance adapts, so none needs tuning.
    pub beta: f64,
    /// Nats a latent dimension may carry for free (Kingma et al. 2016, arXiv 1606.04934). Default 0: no dimension is
    /// protected from being given up.
    pub free_bits: f64,
    /// Weight of the perceptual loss in the stage of its own. Default 0: with 1 a step takes two to three times as long, and
    /// in a stage of half a minute the steps are worth more than the slightly crisper outlines.
    pub perceptual: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { decoder: decoder::Config::default(), beta: 1.0, free_bits: 0.0, perceptual: 0.0 }
    }
}

/// Floor of the pixel deviation: half the distance of grey levels.
const PIXEL_FLOOR: f64 = 1.0 / 255.0;
/// Floor of the mean squared feature distance (unit vectors differ by at most 4).
const FEATURE_FLOOR: f64 = 0.01;
/// `log sigma^2` stays within plus and minus this.
const LOGVAR_BOUND: f64 = 8.0;
/// Cells of the map that is flattened into the encoder's last layer.
const MAX_CELLS: usize = 64;
/// Channels of that map.
const ENCODER_WIDTH: usize = 64;

/// Mean and log variance of the posterior of each image, `[B, latent]`.
#[derive(Clone, Debug)]
pub struct Encoding {
    /// Means.
    pub mu: Tensor,
    /// Log variances, within +-8.
    pub logvar: Tensor,
}

/// What [`Vae::loss`] finds.
#[derive(Clone, Debug)]
pub struct VaeLoss {
    /// The scalar to descend; see the module for its scale.
    pub total: Tensor,
    /// `[B, C, H, W]`.
    pub reconstruction: Tensor,
    /// Nats an image.
    pub kl: f64,
    /// Mean squared error of pixels in `[-1, 1]`.
    pub mse: f64,
}

/// See the module.
#[derive(Debug)]
pub struct Vae {
    config: Config,
    name: String,
    /// Parts of the encoder after the trunk: the deepest tap and, if there is one, the tap before it, pixels unshuffled.
    finer: Option<usize>,
    /// Side of the windows that are averaged before the last layer.
    pool: usize,
    mix: Conv2d,
    heads: Linear,
    decoder: Decoder,
    prior: Prior,
    phases: Vec<Phase>,
}

impl Vae {
    /// A VAE behind a trunk with these taps.
    ///
    /// # Errors
    /// A setting or option out of range, a name that is taken.
    pub fn new(config: &Config, scope: &Scope, setting: &Setting<'_>) -> Result<Self, Error> {
        setting.check()?;
        let positive = |value: f64| value.is_finite() && value >= 0.0;
        if !positive(config.beta) || !positive(config.free_bits) || !positive(config.perceptual) {
            return Err(Error::Option {
                key: "vae",
                problem: "`beta`, `free_bits` and `perceptual` must be 0 or more".into(),
            });
        }
        let taps = setting.taps;
        let Some(&deepest) = taps.last() else {
            return Err(Error::NoTaps);
        };
        let finer = taps.len().checked_sub(2).filter(|&at| deepest.stride.is_multiple_of(taps[at].stride));
        let unshuffled = |tap: TapSpec| tap.channels * (deepest.stride / tap.stride).pow(2);
        let inputs = deepest.channels + finer.map_or(0, |at| unshuffled(taps[at]));
        let (height, width) = (setting.size.0 / deepest.stride, setting.size.1 / deepest.stride);
        let mut pool = 1;
        while (height / pool) * (width / pool) > MAX_CELLS {
            pool += 1;
        }
        let flat = ENCODER_WIDTH * (height / pool) * (width / pool);
        let latent = config.decoder.latent;
        let encoder = scope.scope("encoder");
        Ok(Self {
            finer,
            pool,
            mix: Conv2d::new(&encoder.scope("mix"), (inputs, ENCODER_WIDTH), 1, 1, true)?,
            // Small at first: every posterior starts near the prior, and the KL term near zero.
            heads: Linear::with_init(
                &encoder.scope("heads"),
                flat,
                2 * latent,
                Init::Normal { fan_in: flat, gain: 0.5 },
            )?,
            decoder: Decoder::new(&config.decoder, &scope.scope("decoder"), setting)?,
            prior: Prior::new(&scope.scope("prior"), setting.classes, latent)?,
            phases: vec![Phase {
                name: "vae",
                prefixes: vec![scope.name().to_owned()],
                slower: Vec::new(),
                optimizer: optim::Config::Adam { beta1: 0.9, beta2: 0.99 },
                lr: 2e-3,
            }],
            config: config.clone(),
            name: scope.name().to_owned(),
        })
    }

    /// Posteriors of images from their trunk features.
    ///
    /// # Errors
    /// Features of another trunk.
    pub fn encode(&self, features: &Features) -> Result<Encoding, Error> {
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
        let latent = self.decoder.latent();
        let logvar = (ops::tanh(&(both.narrow(1, latent, latent)?.contiguous()? / LOGVAR_BOUND)?)? * LOGVAR_BOUND)?;
        Ok(Encoding { mu: both.narrow(1, 0, latent)?.contiguous()?, logvar })
    }

    /// Loss of one batch: one task of a joint step where `features` are those of the step's trunk pass, and one step of
    /// a stage of its own where they are detached. In [`Mode::Eval`] `z` is `mu`, without noise.
    ///
    /// # Errors
    /// Labels or shapes that do not fit.
    pub fn loss(&self, features: &Features, images: &Tensor, classes: &[i32], cx: &Ctx) -> Result<VaeLoss, Error> {
        let encoding = self.encode(features)?;
        let z = if cx.mode == Mode::Eval {
            encoding.mu.clone()
        } else {
            let noise = cx.noise(
                &format!("{}/noise", self.name),
                encoding.mu.shape(),
                encoding.mu.dtype(),
                encoding.mu.device(),
            )?;
            (&encoding.mu + ((&encoding.logvar * 0.5)?.exp()? * noise)?)?
        };
        let reconstruction = self.decoder.forward(&z, classes)?;
        let mse = (&reconstruction - images)?.sqr()?.mean_all()?;
        let per_dimension = kl_per_dimension(&encoding)?; // [latent]
        let kl = value(&per_dimension)?;
        let counted = (ops::relu(&(per_dimension - self.config.free_bits)?)? + self.config.free_bits)?.sum_all()?;
        let values = (images.elem_count() / images.dim(0)?.max(1)) as f64;
        let total = (log_deviation(&mse, PIXEL_FLOOR * PIXEL_FLOOR)? + (counted * (self.config.beta / values))?)?;
        Ok(VaeLoss { total, kl, mse: value(&mse)?, reconstruction })
    }

    /// The perceptual loss of a reconstruction, before its weight: a scalar. `features` are the trunk's of the real
    /// images; no gradient reaches them, and none of those that reach the trunk's parameters is meant to be used.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn perceptual(trunk: &dyn Trunk, features: &Features, reconstruction: &Tensor) -> Result<Tensor, Error> {
        let seen = with_constant_weights(|| trunk.forward(reconstruction, &Ctx::eval()))?;
        let mut total: Option<Tensor> = None;
        for (real, seen) in features.taps.iter().zip(&seen.taps) {
            let distance = (unit_length(seen)? - unit_length(&real.detach())?)?.sqr()?.sum(1)?.mean_all()?;
            let term = log_deviation(&distance, FEATURE_FLOOR)?;
            total = Some(match total {
                Some(total) => (total + term)?,
                None => term,
            });
        }
        Ok((total.ok_or(Error::NoTaps)? / seen.taps.len() as f64)?)
    }

    /// Fits the prior that [`Generator::sample`] draws from to the encodings of training images and their labels (in one
    /// order). It is saved with the model; call it again after further training.
    ///
    /// # Errors
    /// Not one label an image, encodings that are not finite.
    pub fn fit_prior(&self, encodings: &[Encoding], classes: &[i32]) -> Result<(), Error> {
        let (mut mu, mut variance) = (Vec::new(), Vec::new());
        for encoding in encodings {
            mu.extend(mtl_tensor::to_f64(&encoding.mu)?);
            variance.extend(mtl_tensor::to_f64(&encoding.logvar)?.into_iter().map(f64::exp));
        }
        self.prior.fit(&mu, &variance, classes)
    }

    /// The network that turns latents into images.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }
}

impl Generator for Vae {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn prepare(&self, _: &str, _: &dyn Trunk, _: &Tensor) -> Result<(), Error> {
        Ok(())
    }

    fn phase_loss(&self, phase: &str, batch: &Batch<'_>, cx: &Ctx) -> Result<Loss, Error> {
        if phase != "vae" {
            return Err(unknown_phase(phase, &self.phases));
        }
        let features = batch.trunk.forward(batch.images, &cx.with_mode(Mode::Eval))?.detach();
        let own = self.loss(&features, batch.images, batch.classes, cx)?;
        let mut terms = vec![("mse", own.mse), ("kl", own.kl)];
        let mut total = own.total;
        if self.config.perceptual > 0.0 {
            let perceptual = Self::perceptual(batch.trunk, &features, &own.reconstruction)?;
            terms.push(("perceptual", value(&perceptual)?));
            total = (total + (perceptual * self.config.perceptual)?)?;
        }
        Ok(Loss { total, terms })
    }

    fn sampled(&self) -> &str {
        &self.name
    }

    fn latent(&self) -> usize {
        self.decoder.latent()
    }

    fn latents(&self, labels: &[i32], stream: &mut Stream) -> Result<Tensor, Error> {
        self.prior.sample(labels, stream)
    }

    fn decode(&self, z: &Tensor, labels: &[i32]) -> Result<Tensor, Error> {
        self.decoder.forward(z, labels)
    }
}

/// `log(s / s0)` with `s^2 = mean square + s0^2`.
fn log_deviation(mean_square: &Tensor, floor: f64) -> Result<Tensor, Error> {
    Ok((((mean_square / floor)? + 1.0)?.log()? * 0.5)?)
}

/// KL divergence from `N(0, 1)` of each latent dimension, mean over the batch.
fn kl_per_dimension(encoding: &Encoding) -> Result<Tensor, Error> {
    let Encoding { mu, logvar } = encoding;
    let twice = (((mu.sqr()? + logvar.exp()?)? - logvar)? - 1.0)?;
    Ok((twice.mean(0)? * 0.5)?)
}

/// Features scaled to length 1 at each pixel.
fn unit_length(x: &Tensor) -> Result<Tensor, Error> {
    let length = (x.sqr()?.sum_keepdim(1)? + 1e-4)?.sqrt()?;
    Ok(x.broadcast_div(&length)?)
}

#[cfg(test)]
mod tests {
    use mtl_tensor::{Device, gradcheck};

    use super::*;

    fn row(values: &[f64]) -> Tensor {
        Tensor::from_vec(values.to_vec(), (1, values.len()), &Device::Cpu).unwrap()
    }

    #[test]
    fn kl_by_hand() {
        // N(1, 1): 1/2. N(0, 4): (4 - 1 - log 4) / 2. N(0, 1): 0.
        let encoding = Encoding { mu: row(&[1.0, 0.0, 0.0]), logvar: row(&[0.0, 4f64.ln(), 0.0]) };
        let kl = mtl_tensor::to_f64(&kl_per_dimension(&encoding).unwrap()).unwrap();
        let expected = [0.5, 1.5 - 2f64.ln(), 0.0];
        assert!(kl.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{kl:?}");
    }

    #[test]
    fn optimal_deviation_by_hand() {
        let at = |mean_square: f64| {
            value(&log_deviation(&Tensor::new(mean_square, &Device::Cpu).unwrap(), 0.25).unwrap()).unwrap()
        };
        // s^2 = 0.75 + 0.25 = 1, s / s0 = 2; a perfect reconstruction costs nothing.
        assert!((at(0.75) - 2f64.ln()).abs() < 1e-12 && at(0.0) == 0.0);
        // No other variance makes the Gaussian likelihood of errors with mean square m (floor included) larger:
        // m / (2 s^2) + log s is least at s^2 = m, where it is log s + 1/2.
        let cost = |s: f64, m: f64| m / (2.0 * s * s) + s.ln();
        let best = cost(1.0, 1.0);
        assert!((best - (at(0.75) - 2f64.ln() + 0.5)).abs() < 1e-12);
        assert!([0.8, 0.95, 1.05, 1.3].iter().all(|&s| cost(s, 1.0) > best));
    }

    #[test]
    fn gradients_of_the_terms() {
        let words = |error: Error| mtl_tensor::Error::Msg(error.to_string());
        let inputs = [row(&[0.3, -1.2]), row(&[0.5, -0.7])];
        let kl = gradcheck::worst_error(&inputs, |t| {
            kl_per_dimension(&Encoding { mu: t[0].clone(), logvar: t[1].clone() }).map_err(words)
        });
        assert!(kl.unwrap() < 1e-7);
        let deviation = gradcheck::worst_error(&[row(&[0.2, 0.9])], |t| log_deviation(&t[0], 0.01).map_err(words));
        assert!(deviation.unwrap() < 1e-6);
        let features = Tensor::from_vec(vec![0.4f64, -0.3, 1.0, 0.2, 0.9, -0.8], (1, 3, 1, 2), &Device::Cpu).unwrap();
        assert!(gradcheck::worst_error(&[features], |t| unit_length(&t[0]).map_err(words)).unwrap() < 1e-7);
    }
}
