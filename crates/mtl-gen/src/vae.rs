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
//! The perceptual term is the same likelihood of the frozen trunk's features (`likelihood.rs`).
//!
//! Sampling draws latents from a mixture of Gaussians per class, fitted to the encodings of training images ([`Generator::prior_fit`]);
//! before the fit from `N(0, I)`.

mod config;
mod encoder;
mod stage;

use mtl_rng::Stream;
use mtl_tensor::{Ctx, Scope, Tensor, ops, optim};
use mtl_trunk::{Features, Trunk};

pub use config::Config;
pub use encoder::{Encoder, Encoding};

use crate::decoder::Decoder;
use crate::likelihood::pixels;
use crate::prior::Prior;
use crate::{
    Batch, DecoderSource, Error, Generator, GeneratorInput, GeneratorStep, JointObjective, Loss, Phase, Prepare,
    PriorFit, Sampling, value,
};

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
    /// are detached. In [`mtl_tensor::Mode::Eval`] `z` is `mu`, without noise.
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
        let total = (pixels(&mse)? + (counted * (self.config.beta / values))?)?;
        Ok(Elbo { total, kl, mse: value(&mse)?, reconstruction })
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

    fn mean_latents(&self, labels: &[i32]) -> Result<Tensor, Error> {
        self.prior.mean(labels)
    }

    fn decode(&self, z: &Tensor, labels: &[i32], _: &Sampling) -> Result<Tensor, Error> {
        self.decoder.forward(z, labels)
    }

    fn encode(&self, trunk: &dyn Trunk, images: &Tensor, _: &[i32], _: &Sampling) -> Result<Option<Tensor>, Error> {
        Ok(Some(self.encode_features(&trunk.forward(images, &Ctx::eval())?)?.mu))
    }

    fn joint(&self) -> Option<&dyn JointObjective> {
        Some(self)
    }

    fn prior_fit(&self) -> Option<Box<dyn PriorFit + '_>> {
        Some(Box::new(stage::Fit::new(self)))
    }

    fn decoder_source(&self) -> Option<DecoderSource<'_>> {
        let (decoder, prior, encoder) = (&self.decoder_name, &self.prior_name, &self.encoder_name);
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

/// KL divergence from `N(0, 1)` of each latent dimension, mean over the batch.
fn kl_per_dimension(encoding: &Encoding) -> Result<Tensor, Error> {
    Ok((encoding.twice_divergence()?.mean(0)? * 0.5)?)
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
    fn gradients_of_the_terms() {
        let words = |error: Error| mtl_tensor::Error::Msg(error.to_string());
        let inputs = [row(&[0.3, -1.2]), row(&[0.5, -0.7])];
        let kl = gradcheck::worst_error(&inputs, |t| {
            kl_per_dimension(&Encoding { mu: t[0].clone(), logvar: t[1].clone() }).map_err(words)
        });
        assert!(kl.unwrap() < 1e-7);
    }
}
