//! Discriminator of the tokenizer: it tells images from their reconstructions, so that the decoder draws sharp details instead of
//! their mean (VQGAN, Esser et al. 2021, arXiv 2012.09841).
//!
//! A trunk of its own of the shared one's architecture, with a head on each of its two coarsest taps. Relativistic loss on pairs of
//! an image and its reconstruction, and approximated R1 and R2 penalties, as the GAN's own trunk has ([`crate::gan`]).

use mtl_tensor::{Ctx, Scope, Tensor};

use crate::critic::Pass;
use crate::gan::{self, Mean, Own, Rows, Sum, approximated, halves, noisy};
use crate::{Error, GeneratorInput, Loss};

/// Standard deviation of the noise that approximates the gradient penalties.
const SIGMA: f64 = 0.01;

/// See the module.
#[derive(Debug)]
pub(super) struct Critic {
    own: Own,
    loss: gan::Adversarial,
    /// Weight of the gradient penalties.
    gamma: f64,
}

impl Critic {
    /// Parameters below `scope`.
    ///
    /// # Errors
    /// A parameter name that is taken.
    pub(super) fn new(scope: &Scope, input: &GeneratorInput<'_>) -> Result<Self, Error> {
        let config = gan::Config { minibatch_std: false, ..gan::Config::default() };
        Ok(Self { own: Own::new(&config, scope, input)?, loss: config.loss, gamma: config.gamma(input.size) })
    }

    /// Fits the statistics of its batch normalisation to images; they stay.
    ///
    /// # Errors
    /// Images of another format.
    pub(super) fn calibrate(&self, images: &Tensor) -> Result<(), Error> {
        self.own.calibrate(images)
    }

    /// Loss of the discriminator. `noise`: the name of the penalty's noise, and its context.
    ///
    /// # Errors
    /// Labels or shapes that do not fit.
    pub(super) fn loss(
        &self,
        (real, fake): (&Tensor, &Tensor),
        labels: &[i32],
        noise: (&str, &Ctx),
    ) -> Result<Loss, Error> {
        let n = labels.len();
        let half = n.div_ceil(2);
        let (real, fake) = (real.detach(), fake.detach());
        let penalised = noisy(&halves(&real, &fake)?, SIGMA, noise)?;
        let images = Tensor::cat(&[real, fake, penalised], 0)?;
        let labels = [labels, labels, &labels[..half], &labels[..half]].concat();
        let rows = [Rows::of(n), Rows::of(n), Rows::like(half, 0), Rows::like(half, 1)];
        let logits = self.own.forward(&images, &labels, &rows, 1.0, Pass::Critic)?;
        let (mut adversarial, mut penalty, mut gap) = (Mean::default(), Mean::default(), Mean::default());
        for logits in &logits {
            let score = logits.mean(1)?; // images, reconstructions, half of each with noise
            let (real, fake) = (score.narrow(0, 0, n)?, score.narrow(0, n, n)?);
            adversarial.add(self.loss.critic(&real, &fake)?)?;
            gap.add((&real - &fake)?.mean_all()?)?;
            penalty.add(approximated(&halves(&real, &fake)?, &score.narrow(0, 2 * n, 2 * half)?, SIGMA)?)?;
        }
        let mut sum = Sum::default();
        sum.add("relativistic", adversarial, 1.0)?;
        sum.add("penalty", penalty, self.gamma)?;
        sum.note("gap", gap)?;
        sum.finish()
    }

    /// Adversarial loss of the decoder: a scalar.
    ///
    /// # Errors
    /// Labels or shapes that do not fit.
    pub(super) fn of_decoder(&self, (real, fake): (&Tensor, &Tensor), labels: &[i32]) -> Result<Tensor, Error> {
        let scores = |images: &Tensor| self.own.scores(images, labels, &[Rows::of(labels.len())], 1.0, true);
        let (real, fake) = (scores(&real.detach())?, scores(fake)?);
        let mut adversarial = Mean::default();
        for (real, fake) in real.iter().zip(&fake) {
            adversarial.add(self.loss.generator(fake, Some(&real.detach()))?)?;
        }
        adversarial.finish()
    }
}
