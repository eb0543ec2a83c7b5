//! Losses of one training step of the GAN: the discriminator's phase, then the generator's.

use mtl_tensor::{Ctx, Tensor, ops, optim, with_constant_weights};
use mtl_trunk::Features;

use super::terms::{Mean, Sum, squared_gradient};
use super::{Frozen, Gan, Mode};
use crate::critic::Pass;
use crate::{Batch, Error, GeneratorStep, Loss};

/// Index of each phase.
const CRITIC: usize = 0;
const GENERATOR: usize = 1;

/// One training step.
pub(super) struct Step<'a> {
    gan: &'a Gan,
    batch: &'a Batch<'a>,
    cx: &'a Ctx,
    /// Taken by the generator's phase, so that its backward pass can free the graph.
    shared: Option<Shared>,
}

/// Inputs of both phases. Neither the generator nor the shared trunk changes between the phases.
struct Shared {
    /// Augmented real images.
    real: Tensor,
    /// Augmented generated images, with their graph.
    fake: Tensor,
    /// Features of the shared trunk.
    frozen: Option<Pair>,
}

/// Features of real and generated images; the latter with their graph.
struct Pair {
    real: Features,
    fake: Features,
}

impl<'a> Step<'a> {
    pub(super) fn new(gan: &'a Gan, batch: &'a Batch<'a>, cx: &'a Ctx) -> Result<Self, Error> {
        let images = batch.images.dim(0)?;
        if images != batch.classes.len() {
            return Err(Error::Labels { labels: batch.classes.len(), images });
        }
        let z = gan.prior.sample(batch.classes, 1.0, &mut cx.stream(&gan.stream_name("latent")))?;
        let fake = gan.generator.forward(&z, batch.classes)?;
        let mut stream = cx.stream(&gan.stream_name("augment"));
        let real = gan.config.augment.apply(&batch.images.detach(), &mut stream)?;
        let fake = gan.config.augment.apply(&fake, &mut stream)?;
        let frozen = match &gan.frozen {
            Some(_) => Some(Pair {
                real: batch.trunk.forward(&real, &Ctx::eval())?.detach(),
                fake: with_constant_weights(|| batch.trunk.forward(&fake, &Ctx::eval()))?,
            }),
            None => None,
        };
        Ok(Self { gan, batch, cx, shared: Some(Shared { real, fake, frozen }) })
    }

    fn critic_loss(&self, shared: &Shared) -> Result<Loss, Error> {
        let class_weight = self.gan.config.class_weight(self.batch.progress);
        let mut sum = Sum::default();
        self.add_own_critic(shared, class_weight, &mut sum)?;
        if let (Some(frozen), Some(pair)) = (&self.gan.frozen, &shared.frozen) {
            self.add_frozen_critic(frozen, pair, class_weight, &mut sum)?;
        }
        let mut loss = sum.finish()?;
        self.add_tasks(&mut loss)?;
        Ok(loss)
    }

    /// Relativistic loss and gradient penalties of the discriminator's own trunk.
    fn add_own_critic(&self, shared: &Shared, class_weight: f64, sum: &mut Sum) -> Result<(), Error> {
        let (gan, classes, n) = (self.gan, self.batch.classes, self.batch.classes.len());
        let Some(own) = &gan.own else { return Ok(()) };
        let images = Tensor::cat(&[&shared.real, &shared.fake.detach()], 0)?;
        let noise = self.cx.noise(&gan.stream_name("noise"), images.shape(), images.dtype(), images.device())?;
        let images = Tensor::cat(&[&images, &(&images + (noise * gan.config.sigma)?)?], 0)?;
        let features = own.trunk.forward(&images, &Ctx::eval())?;
        let logits = own.heads.forward(&features, &classes.repeat(4), class_weight, Pass::Critic)?;
        let (mut relativistic, mut penalty, mut gap) = (Mean::default(), Mean::default(), Mean::default());
        for logits in &logits {
            let score = logits.mean(1)?; // [4 B]: real, generated, both again with noise
            let lead = (score.narrow(0, 0, n)? - score.narrow(0, n, n)?)?;
            relativistic.add(ops::softplus(&lead.neg()?)?.mean_all()?)?;
            let (before, after) = (score.narrow(0, 0, 2 * n)?, score.narrow(0, 2 * n, 2 * n)?);
            penalty.add(squared_gradient(&before, &after, gan.config.sigma)?)?;
            gap.add(lead.mean_all()?)?;
        }
        sum.add("own", relativistic, 1.0)?;
        // gamma / 2 for real and for generated images; the mean over both is half their sum.
        sum.add("penalty", penalty, gan.config.gamma)?;
        sum.note("gap", gap)
    }

    /// Hinge loss of the heads on the frozen trunk.
    fn add_frozen_critic(&self, frozen: &Frozen, pair: &Pair, class_weight: f64, sum: &mut Sum) -> Result<(), Error> {
        let (classes, n) = (self.batch.classes, self.batch.classes.len());
        let both =
            pair.real.taps.iter().zip(&pair.fake.taps).map(|(real, fake)| Tensor::cat(&[real, &fake.detach()], 0));
        let mixed = frozen.projection.forward(&Features { taps: both.collect::<Result<_, _>>()? })?;
        let logits = frozen.heads.forward(&mixed, &classes.repeat(2), class_weight, Pass::Critic)?;
        let (mut hinge, mut gap) = (Mean::default(), Mean::default());
        for logits in &logits {
            let (real, fake) = (logits.narrow(0, 0, n)?, logits.narrow(0, n, n)?);
            hinge.add((ops::relu(&(real.neg()? + 1.0)?)?.mean_all()? + ops::relu(&(&fake + 1.0)?)?.mean_all()?)?)?;
            gap.add((real.mean_all()? - fake.mean_all()?)?)?;
        }
        sum.add("frozen", hinge, self.gan.frozen_weight())?;
        sum.note("frozen_gap", gap)
    }

    /// Losses of the labelled tasks on the finetuned trunk's features of the real images, without augmentation.
    fn add_tasks(&self, loss: &mut Loss) -> Result<(), Error> {
        let config = &self.gan.config;
        if config.mode == Mode::Finetuned
            && config.task_weight > 0.0
            && let (Some(own), Some(task_loss)) = (&self.gan.own, self.batch.task_loss)
            && let Some(tasks) = task_loss(&own.trunk.forward(self.batch.images, &Ctx::eval())?)?
        {
            loss.total = (&loss.total + (tasks.total * config.task_weight)?)?;
            loss.terms.extend(tasks.terms);
        }
        Ok(())
    }

    fn generator_loss(&self, shared: Shared) -> Result<Loss, Error> {
        let (gan, classes) = (self.gan, self.batch.classes);
        let class_weight = gan.config.class_weight(self.batch.progress);
        let mut sum = Sum::default();
        if let Some(own) = &gan.own {
            // Two passes, so that the backward pass covers the generated images only.
            let logits = |images: &Tensor| -> Result<Vec<Tensor>, Error> {
                // The discriminator's parameters are constants in the generator's phase.
                let features = with_constant_weights(|| own.trunk.forward(images, &Ctx::eval()))?;
                own.heads.forward(&features, classes, class_weight, Pass::Generator)
            };
            let mut relativistic = Mean::default();
            for (real, fake) in logits(&shared.real)?.iter().zip(&logits(&shared.fake)?) {
                let lead = (real.mean(1)?.detach() - fake.mean(1)?)?;
                relativistic.add(ops::softplus(&lead)?.mean_all()?)?;
            }
            sum.add("own", relativistic, 1.0)?;
        }
        if let (Some(frozen), Some(Pair { real, fake })) = (&gan.frozen, &shared.frozen) {
            let mixed = frozen.projection.forward(fake)?;
            let mut hinge = Mean::default();
            for logits in &frozen.heads.forward(&mixed, classes, class_weight, Pass::Generator)? {
                hinge.add(logits.mean_all()?.neg()?)?;
            }
            sum.add("frozen", hinge, gan.frozen_weight())?;
            if gan.config.feature_matching > 0.0 {
                let mut matching = Mean::default();
                for (fake, real) in fake.taps.iter().zip(&real.taps) {
                    let power = (optim::square_norm(real)? / real.elem_count().max(1) as f64).max(1e-12);
                    let difference = (ops::batch_mean(fake)? - ops::batch_mean(real)?)?;
                    matching.add((difference.sqr()?.mean_all()? / power)?)?;
                }
                sum.add("matching", matching, gan.config.feature_matching)?;
            }
        }
        sum.finish()
    }
}

impl GeneratorStep for Step<'_> {
    fn loss(&mut self, phase: usize) -> Result<Loss, Error> {
        match phase {
            CRITIC => self.critic_loss(self.shared.as_ref().ok_or(Error::StepOver)?),
            GENERATOR => {
                let shared = self.shared.take().ok_or(Error::StepOver)?;
                self.generator_loss(shared)
            }
            other => Err(Error::phase(other, &self.gan.phases)),
        }
    }
}
