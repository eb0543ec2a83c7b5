//! Soft-IntroVAE: a VAE whose encoder is also its discriminator (Daniel and Tamar 2021, arXiv 2012.13253).
//!
//! The encoder is a trunk of its own, initialised from the shared one, with the layers of [`crate::vae`] behind it; decoder and
//! those layers start from the VAE ([`Config::init_from`]). The encoder learns to give real images a high evidence lower bound and
//! generated ones a low one; the decoder to give both a high one. Per image, with `D = C H W` values, `s = 1 / D`, the squared
//! error `rec` of values in `[0, 1]`, summed, and the divergence `KL` from `N(0, I)`:
//!
//! ```text
//! encoder: s (rec(x) + KL(x)) + 1/4 sum over g in {x^, G z} of exp(-2 s (rec(g) + beta_neg KL(g)))
//! decoder: s (rec(x) + 1/2 (KL(x^) + KL(G z)))
//! ```
//! `x^` are reconstructions of real images, `G z` samples from `N(0, I)`. The paper's reconstructions of generated images in the
//! decoder's loss have the weight 1e-8 and are left out. Latents are drawn from `N(0, I)`, which both networks are trained with.
//!
//! Cost per step: three passes of the encoder and three of the decoder in each phase.

mod config;

use mtl_rng::Stream;
use mtl_tensor::{Ctx, Mode, Scope, Tensor, optim, with_constant_weights};
use mtl_trunk::Trunk;

pub use config::Config;

use crate::copy::copy_parameters;
use crate::decoder::Decoder;
use crate::vae::{Encoder, Encoding};
use crate::{Batch, Error, Generator, GeneratorInput, GeneratorStep, Loss, Phase, Prepare, Sampling, value};

/// Index of each phase.
const ENCODER: usize = 0;
const DECODER: usize = 1;

/// Soft-IntroVAE on a copy of the shared trunk.
#[derive(Debug)]
pub struct IntroVae {
    config: Config,
    scope: Scope,
    trunk: Box<dyn Trunk>,
    encoder: Encoder,
    decoder: Decoder,
    phases: Vec<Phase>,
}

impl IntroVae {
    /// Builds the model with its parameters in `scope`: `trunk`, `encoder`, `decoder`.
    ///
    /// # Errors
    /// An image format that is not supported, settings out of range, a parameter name that is taken.
    pub fn new(config: &Config, scope: &Scope, input: &GeneratorInput<'_>) -> Result<Self, Error> {
        input.check()?;
        config.check().map_err(|error| error.below(&format!("generators.{}.introvae", scope.name())))?;
        let [trunk, encoder, decoder] = ["trunk", "encoder", "decoder"].map(|part| scope.sub(part));
        let adam = optim::Config::Adam { beta1: 0.9, beta2: 0.999 };
        let phase = |name: &'static str, parts: &[&Scope]| Phase {
            name,
            prefixes: parts.iter().map(|part| part.name().to_owned()).collect(),
            lr_scales: Vec::new(),
            optimizer: adam,
            lr: 2e-4,
        };
        Ok(Self {
            phases: vec![phase("encoder", &[&trunk, &encoder]), phase("decoder", &[&decoder])],
            // Of the architecture of the shared trunk; it uses its running statistics.
            trunk: input.trunk.build(&trunk, input.channels)?,
            encoder: Encoder::new(&encoder, input, config.decoder.latent)?,
            decoder: Decoder::new(&config.decoder, &decoder, input)?,
            config: config.clone(),
            scope: scope.clone(),
        })
    }

    fn encoding(&self, images: &Tensor) -> Result<Encoding, Error> {
        self.encoder.forward(&self.trunk.forward(images, &Ctx::eval())?)
    }

    fn name(&self, part: &str) -> String {
        format!("{}/{part}", self.scope.name())
    }
}

/// Squared error of each image in values of `[0, 1]`, summed: `[B]`.
fn squared_error(a: &Tensor, b: &Tensor) -> Result<Tensor, Error> {
    Ok(((a - b)?.sqr()?.flatten_from(1)?.sum(1)? / 4.0)?)
}

/// Divergence of each encoding from `N(0, I)`: `[B]`.
fn divergence(encoding: &Encoding) -> Result<Tensor, Error> {
    Ok((encoding.twice_divergence()?.sum(1)? * 0.5)?)
}

/// One training step.
struct Step<'a> {
    model: &'a IntroVae,
    batch: &'a Batch<'a>,
    cx: &'a Ctx,
    over: bool,
}

impl Step<'_> {
    /// Latents of samples, `[B, latent]`.
    fn noise(&self) -> Result<Tensor, Error> {
        let images = self.batch.images;
        let shape = (self.batch.classes.len(), self.model.decoder.latent());
        Ok(self.cx.noise(&self.model.name("latent"), shape, images.dtype(), images.device())?)
    }

    /// `1 / D`.
    fn scale(&self) -> Result<f64, Error> {
        let images = self.batch.images;
        Ok(images.dim(0)? as f64 / images.elem_count().max(1) as f64)
    }

    fn decode(&self, z: &Tensor) -> Result<Tensor, Error> {
        self.model.decoder.forward(z, self.batch.classes)
    }

    fn encoder_loss(&self) -> Result<Loss, Error> {
        let (model, images, scale) = (self.model, self.batch.images, self.scale()?);
        let sampled = with_constant_weights(|| self.decode(&self.noise()?))?.detach();
        let encoding = model.encoding(images)?;
        let reconstruction = with_constant_weights(|| self.decode(&encoding.draw(self.cx, &model.name("noise"))?))?;
        let (error, kl) = (squared_error(&reconstruction, images)?.mean_all()?, divergence(&encoding)?.mean_all()?);
        let mut total = ((&error + &kl)? * scale)?;
        let mut terms = vec![("rec".to_owned(), value(&error)?), ("kl".to_owned(), value(&kl)?)];
        for (name, generated) in [("rec", reconstruction.detach()), ("fake", sampled)] {
            let (term, kl) = self.likelihood_of_generated(&generated, name)?;
            terms.push((format!("{name}_kl"), kl));
            terms.push((format!("{name}_exp"), value(&term)?));
            total = (total + (term * 0.25)?)?;
        }
        Ok(Loss { total, terms })
    }

    /// `exp(-2 s (rec + beta_neg KL))` of generated images, which are constants, and their mean divergence.
    fn likelihood_of_generated(&self, generated: &Tensor, name: &str) -> Result<(Tensor, f64), Error> {
        let model = self.model;
        let encoding = model.encoding(generated)?;
        let z = encoding.draw(self.cx, &model.name(&format!("{name} noise")))?;
        let again = with_constant_weights(|| self.decode(&z))?;
        let kl = divergence(&encoding)?;
        let bound = (squared_error(&again, generated)? + (&kl * model.config.beta_neg)?)?;
        Ok(((bound * (-2.0 * self.scale()?))?.exp()?.mean_all()?, value(&kl.mean_all()?)?))
    }

    fn decoder_loss(&self) -> Result<Loss, Error> {
        let (model, images, scale) = (self.model, self.batch.images, self.scale()?);
        let z = model.encoding(images)?.draw(self.cx, &model.name("noise"))?.detach();
        let (reconstruction, sampled) = (self.decode(&z)?, self.decode(&self.noise()?)?);
        let error = squared_error(&reconstruction, images)?.mean_all()?;
        let kl = |generated: &Tensor| -> Result<Tensor, Error> {
            Ok(divergence(&with_constant_weights(|| model.encoding(generated))?)?.mean_all()?)
        };
        let (reconstructed, drawn) = (kl(&reconstruction)?, kl(&sampled)?);
        let terms =
            [("rec", &error), ("rec_kl", &reconstructed), ("fake_kl", &drawn)].map(|(name, term)| (name, value(term)));
        let terms = terms.into_iter().map(|(name, term)| Ok((name.to_owned(), term?))).collect::<Result<_, Error>>()?;
        Ok(Loss { total: ((error + ((reconstructed + drawn)? * 0.5)?)? * scale)?, terms })
    }
}

impl GeneratorStep for Step<'_> {
    fn loss(&mut self, phase: usize) -> Result<Loss, Error> {
        if self.over {
            return Err(Error::StepOver);
        }
        match phase {
            ENCODER => self.encoder_loss(),
            DECODER => {
                self.over = true;
                self.decoder_loss()
            }
            other => Err(Error::phase(other, &self.model.phases)),
        }
    }
}

impl Generator for IntroVae {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn prepare(&self, input: &Prepare<'_>) -> Result<Vec<String>, Error> {
        let own = self.scope.name();
        copy_parameters(&self.scope, input.trunk_name, &format!("{own}.trunk"))?;
        let name = &self.config.init_from;
        if name == crate::RANDOM_START {
            return Ok(Vec::new());
        }
        let note = match input.source(own, name, &self.config.decoder) {
            Ok(source) => {
                copy_parameters(&self.scope, source.decoder, &format!("{own}.decoder"))?;
                copy_parameters(&self.scope, source.encoder, &format!("{own}.encoder"))?;
                format!("generator `{own}` starts from the encoder and the decoder of generator `{name}`")
            }
            Err(note) => note,
        };
        Ok(vec![note])
    }

    fn begin_step<'a>(&'a self, batch: &'a Batch<'a>, cx: &'a Ctx) -> Result<Box<dyn GeneratorStep + 'a>, Error> {
        Error::check_labels(batch.classes, batch.images)?;
        Ok(Box::new(Step { model: self, batch, cx, over: false }))
    }

    fn sampled(&self) -> &str {
        // The decoder alone: the encoder that is kept is the last one.
        &self.phases[DECODER].prefixes[0]
    }

    fn latent(&self) -> usize {
        self.decoder.latent()
    }

    fn latents(&self, labels: &[i32], sampling: &Sampling, stream: &mut Stream) -> Result<Tensor, Error> {
        let latent = self.latent();
        let noise: Vec<f64> = (0..labels.len() * latent).map(|_| sampling.truncation * stream.normal()).collect();
        let (device, dtype) = (self.scope.params().device(), self.scope.params().dtype());
        Ok(Tensor::from_vec(noise, (labels.len(), latent), device)?.to_dtype(dtype)?)
    }

    fn decode(&self, z: &Tensor, labels: &[i32], _: &Sampling) -> Result<Tensor, Error> {
        self.decoder.forward(z, labels)
    }

    fn encode(&self, _: &dyn Trunk, images: &Tensor, _: &[i32], _: &Sampling) -> Result<Option<Tensor>, Error> {
        Ok(Some(self.encoding(images)?.draw(&Ctx::eval().with_mode(Mode::Eval), "")?))
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;
    use mtl_tensor::{DType, Device, Params, backward, optim::dot};

    use super::*;

    #[test]
    fn gradient_of_the_likelihood_of_generated_images() {
        let params = Params::new(Seed::new(1), DType::F64, &Device::Cpu);
        let resnet = mtl_trunk::resnet::Config { widths: Some([8, 8, 8]), blocks: Some(1), ..Default::default() };
        let trunk_config = mtl_trunk::Config::Resnet(resnet);
        let trunk = trunk_config.build(&params.scope("trunk"), 3).unwrap();
        let input =
            GeneratorInput { trunk: &trunk_config, taps: trunk.taps(), size: (32, 32), channels: 3, classes: 2 };
        let config = Config { beta_neg: 20.0, ..Config::default() };
        let model = IntroVae::new(&config, &params.scope("g"), &input).unwrap();
        let normals = |name: &str, shape: &[usize]| {
            let values = Seed::new(4).stream(name, &[]).normals(shape.iter().product());
            Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap()
        };
        let images = (normals("images", &[2, 3, 32, 32]) * 0.4).unwrap();
        let batch = Batch { trunk: &*trunk, images: &images, classes: &[0, 1], progress: 0.0, task_loss: None };
        let cx = Ctx::train(Seed::new(3), 7);
        let step = Step { model: &model, batch: &batch, cx: &cx, over: false };
        let term = || step.likelihood_of_generated(&images, "fake").unwrap().0;
        let store = backward(&term()).unwrap();
        let own = model.phases[ENCODER].of(&params.trainable());
        let (mut slope, mut moves) = (0.0, Vec::new());
        for (name, var) in &own {
            let by = normals(name, var.dims());
            slope += dot(store.get(var).unwrap(), &by).unwrap();
            moves.push((var, var.as_tensor().detach().copy().unwrap(), by));
        }
        let at = |h: f64| {
            moves.iter().for_each(|(var, start, by)| var.set(&(start + (by * h).unwrap()).unwrap()).unwrap());
            value(&term()).unwrap()
        };
        let difference = (at(1e-7) - at(-1e-7)) / 2e-7;
        assert!((difference - slope).abs() < 1e-4 * slope.abs(), "{slope} and {difference}");
    }

    #[test]
    fn terms_by_hand() {
        let row = |values: &[f64]| Tensor::from_vec(values.to_vec(), (1, values.len()), &Device::Cpu).unwrap();
        // Differences of 1 in [-1, 1] are 0.5 in [0, 1].
        let error = squared_error(&row(&[1.0, 0.0, -1.0]), &row(&[0.0, 0.0, 1.0])).unwrap();
        assert_eq!(mtl_tensor::to_f64(&error).unwrap(), [0.25 + 1.0]);
        // N(1, 1): 1/2. N(0, 4): (4 - 1 - log 4) / 2.
        let kl = divergence(&Encoding { mu: row(&[1.0, 0.0]), logvar: row(&[0.0, 4f64.ln()]) }).unwrap();
        assert!((mtl_tensor::to_f64(&kl).unwrap()[0] - (2.0 - 2f64.ln())).abs() < 1e-12);
    }
}
