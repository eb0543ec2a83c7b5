//! The VAE's own stage: one training step on the frozen trunk, and the fit of the prior at its end.

use mtl_tensor::{Ctx, Mode};
use mtl_trunk::Features;

use super::Vae;
use crate::likelihood::perceptual;
use crate::{Batch, Error, GeneratorStep, Loss, PriorFit, value};

/// One training step of the VAE's own stage, on the frozen trunk.
pub(super) struct Step<'a> {
    pub(super) vae: &'a Vae,
    pub(super) batch: &'a Batch<'a>,
    pub(super) cx: &'a Ctx,
}

impl GeneratorStep for Step<'_> {
    fn loss(&mut self, phase: usize) -> Result<Loss, Error> {
        let Self { vae, batch, cx } = self;
        if phase != 0 {
            return Err(Error::phase(phase, &vae.phases));
        }
        let features = batch.trunk.forward(batch.images, &cx.with_mode(Mode::Eval))?.detach();
        let elbo = vae.elbo(&features, batch.images, batch.classes, cx)?;
        let mut terms = vec![("mse".to_owned(), elbo.mse), ("kl".to_owned(), elbo.kl)];
        let mut total = elbo.total;
        if vae.config.perceptual > 0.0 {
            let perceptual = perceptual(batch.trunk, &features, &elbo.reconstruction)?;
            terms.push(("perceptual".to_owned(), value(&perceptual)?));
            total = (total + (perceptual * vae.config.perceptual)?)?;
        }
        Ok(Loss { total, terms })
    }
}

/// Encodings collected for the fit of the prior.
pub(super) struct Fit<'a> {
    vae: &'a Vae,
    mu: Vec<f64>,
    variance: Vec<f64>,
    classes: Vec<i32>,
}

impl<'a> Fit<'a> {
    pub(super) fn new(vae: &'a Vae) -> Self {
        Self { vae, mu: Vec::new(), variance: Vec::new(), classes: Vec::new() }
    }
}

impl PriorFit for Fit<'_> {
    fn add(&mut self, features: &Features, classes: &[i32]) -> Result<(), Error> {
        let (mu, variance) = self.vae.encode_features(features)?.moments()?;
        self.mu.extend(mu);
        self.variance.extend(variance);
        self.classes.extend_from_slice(classes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        self.vae.prior.fit(&self.mu, &self.variance, &self.classes, self.vae.config.prior_components)
    }
}
