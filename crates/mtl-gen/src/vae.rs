//! VAE: variational autoencoder whose encoder is the trunk (Kingma and Welling 2014, arXiv 1312.6114).
//!
//! ```text
//! trunk taps -> mu, log sigma^2 -> z = mu + sigma noise -> decoder(z, class) -> x^
//! ```
//! The likelihood is a Gaussian whose variance is the optimal one for the batch (sigma-VAE, Rybkin et al. 2021, arXiv
//! 2006.13202), with a floor at the quantisation of 8-bit images: `s^2 = mse + s0^2`, `s0 = 1/255` (images span 2, a grey step
//! is 2/255). The reconstruction term per pixel, relative to the floor, is `log(s / s0)` nats: positive, about 3 at the start
//! of training, and without a weight to tune. With `D = C H W` values per image, the loss is
//!
//! ```text
//! total = log(s / s0) + beta KL / D          (+ perceptual, in the VAE's own stage)
//! KL = sum over latent dimensions of (mu^2 + sigma^2 - 1 - log sigma^2) / 2, mean over the batch
//! ```
//! which is `1/D` of the negative evidence lower bound plus a constant: on the scale of the other tasks' losses.
//!
//! The perceptual term is the same likelihood of the frozen trunk's features, normalised to unit length at each pixel (LPIPS,
//! Zhang et al. 2018, arXiv 1801.03924): `w mean over taps of log(s_l / s_l0)`,
//! `s_l^2 = mean |n(f_l(x)) - n(f_l(x^))|^2 + s_l0^2`.
//!
//! Sampling draws latents from a mixture of Gaussians per class, fitted to the encodings of training images ([`Generator::prior_fit`]);
//! before the fit from `N(0, I)`.

mod config;
mod encoder;
mod stage;

use mtl_rng::Stream;
use mtl_tensor::{Ctx, Scope, Tensor, ops, optim, with_constant_weights};
use mtl_trunk::{Features, Trunk};

pub use config::Config;
pub use encoder::{Encoder, Encoding};

use crate::decoder::Decoder;
use crate::prior::Prior;
use crate::{
    Batch, DecoderSource, Error, Generator, GeneratorInput, GeneratorStep, JointObjective, Loss, Phase, Prepare,
    PriorFit, Sampling, value,
};

/// Floor of the pixel deviation: half a grey step.
const PIXEL_FLOOR: f64 = 1.0 / 255.0;
/// Floor of the mean squared feature distance (unit vectors differ by at most 4).
const FEATURE_FLOOR: f64 = 0.01;
/// Loss of the VAE with its parts.
#[derive(Clone, Debug)]
pub struct Elbo {
    /// The loss: a scalar. The module describes its scale.
    pub total: Tensor,
    /// Reconstructions, `[B, C, H, W]`.
    pub reconstruction: Tensor,
    /// KL divergence in nats per image.
    pub kl: f64,
    /// Mean squared error of pixel values in `[-1, 1]`.
    pub mse: f64,
}

/// Variational autoencoder behind the shared trunk.
#[derive(Debug)]
pub struct Vae {
    config: Config,
    name: String,
    /// Name prefixes of the parameters of decoder, encoder layers and prior.
    decoder_name: String,
    encoder_name: String,
    prior_name: String,
    encoder: Encoder,
    decoder: Decoder,
    prior: Prior,
    phases: Vec<Phase>,
}

impl Vae {
    /// Builds the VAE with its parameters in `scope`: `encoder`, `decoder`, `prior`.
    ///
    /// # Errors
    /// An image format that is not supported, inputs out of range, a parameter name that is taken.
    pub fn new(config: &Config, scope: &Scope, input: &GeneratorInput<'_>) -> Result<Self, Error> {
        input.check()?;
        config.check().map_err(|error| error.below(&format!("generators.{}.vae", scope.name())))?;
        let latent = config.decoder.latent;
        let [encoder, decoder, prior] = ["encoder", "decoder", "prior"].map(|name| scope.sub(name));
        Ok(Self {
            decoder_name: decoder.name().to_owned(),
            encoder_name: encoder.name().to_owned(),
            prior_name: prior.name().to_owned(),
            encoder: Encoder::new(&encoder, input, latent)?,
            decoder: Decoder::new(&config.decoder, &decoder, input)?,
            prior: Prior::new(&prior, input.classes, latent)?,
            phases: vec![Phase {
                name: "vae",
                prefixes: vec![scope.name().to_owned()],
                lr_scales: Vec::new(),
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
    pub fn encode_features(&self, features: &Features) -> Result<Encoding, Error> {
        self.encoder.forward(features)
    }

    /// Negative evidence lower bound of one batch, scaled as the module describes. Gradients reach the trunk unless `features`
    /// are detached. In [`Mode::Eval`] `z` is `mu`, without noise.
    ///
    /// # Errors
    /// Labels or shapes that do not fit.
    pub fn elbo(&self, features: &Features, images: &Tensor, classes: &[i32], cx: &Ctx) -> Result<Elbo, Error> {
        let encoding = self.encode_features(features)?;
        let z = encoding.draw(cx, &format!("{}/noise", self.name))?;
        let reconstruction = self.decoder.forward(&z, classes)?;
        let mse = (&reconstruction - images)?.sqr()?.mean_all()?;
        let per_dimension = kl_per_dimension(&encoding)?; // [latent]
        let kl = value(&per_dimension)?;
        let counted = (ops::relu(&(per_dimension - self.config.free_bits)?)? + self.config.free_bits)?.sum_all()?;
        let values = (images.elem_count() / images.dim(0)?.max(1)) as f64;
        let total = (log_deviation(&mse, PIXEL_FLOOR * PIXEL_FLOOR)? + (counted * (self.config.beta / values))?)?;
        Ok(Elbo { total, kl, mse: value(&mse)?, reconstruction })
    }

    /// Perceptual loss of reconstructions, before its weight: a scalar. `features` are the trunk's features of the real images,
    /// and get no gradient; nor do the trunk's parameters.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn perceptual(trunk: &dyn Trunk, features: &Features, reconstruction: &Tensor) -> Result<Tensor, Error> {
        let fake = with_constant_weights(|| trunk.forward(reconstruction, &Ctx::eval()))?;
        let mut total: Option<Tensor> = None;
        for (real, fake) in features.taps.iter().zip(&fake.taps) {
            let distance = (unit_length(fake)? - unit_length(&real.detach())?)?.sqr()?.sum(1)?.mean_all()?;
            let term = log_deviation(&distance, FEATURE_FLOOR)?;
            total = Some(match total {
                Some(total) => (total + term)?,
                None => term,
            });
        }
        Ok((total.ok_or(Error::NoTaps)? / fake.taps.len() as f64)?)
    }

    /// Fits the prior to the encodings of training images and their classes, in the same order.
    ///
    /// # Errors
    /// Another number of classes than images, encodings that are not finite.
    pub fn fit_prior(&self, encodings: &[Encoding], classes: &[i32]) -> Result<(), Error> {
        let (mut mu, mut variance) = (Vec::new(), Vec::new());
        for encoding in encodings {
            let (more_mu, more_variance) = encoding.moments()?;
            mu.extend(more_mu);
            variance.extend(more_variance);
        }
        self.prior.fit(&mu, &variance, classes, self.config.prior_components)
    }
}

impl Generator for Vae {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn prepare(&self, _: &Prepare<'_>) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }

    fn begin_step<'a>(&'a self, batch: &'a Batch<'a>, cx: &'a Ctx) -> Result<Box<dyn GeneratorStep + 'a>, Error> {
        Ok(Box::new(stage::Step { vae: self, batch, cx }))
    }

    fn sampled(&self) -> &str {
        &self.name
    }

    fn latent(&self) -> usize {
        self.decoder.latent()
    }

    fn latents(&self, labels: &[i32], sampling: &Sampling, stream: &mut Stream) -> Result<Tensor, Error> {
        self.prior.sample(labels, sampling.truncation, stream)
    }

    fn decode(&self, z: &Tensor, labels: &[i32], _: &Sampling) -> Result<Tensor, Error> {
        self.decoder.forward(z, labels)
    }

    fn encode(&self, trunk: &dyn Trunk, images: &Tensor, _: &[i32]) -> Result<Option<Tensor>, Error> {
        Ok(Some(self.encode_features(&trunk.forward(images, &Ctx::eval())?)?.mu))
    }

    fn joint(&self) -> Option<&dyn JointObjective> {
        Some(self)
    }

    fn prior_fit(&self) -> Option<Box<dyn PriorFit + '_>> {
        Some(Box::new(stage::Fit::new(self)))
    }

    fn decoder_source(&self) -> Option<DecoderSource<'_>> {
        let (decoder, prior, encoder) = (&self.decoder_name, &self.prior_name, Some(&*self.encoder_name));
        Some(DecoderSource { config: &self.config.decoder, decoder, prior, encoder })
    }
}

impl JointObjective for Vae {
    fn loss(&self, features: &Features, images: &Tensor, classes: &[i32], cx: &Ctx) -> Result<Loss, Error> {
        let elbo = self.elbo(features, images, classes, cx)?;
        Ok(Loss { total: elbo.total, terms: vec![("mse".to_owned(), elbo.mse), ("kl".to_owned(), elbo.kl)] })
    }

    fn reconstruct(&self, features: &Features, classes: &[i32]) -> Result<Tensor, Error> {
        self.decoder.forward(&self.encode_features(features)?.mu, classes)
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
