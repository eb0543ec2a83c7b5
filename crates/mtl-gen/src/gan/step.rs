//! Losses of one training step of the GAN: the discriminator's phase, then the generator's.

use mtl_tensor::{Ctx, Tensor, ops, to_f64, with_constant_weights};
use mtl_trunk::Features;

use super::backbone::{Own, Rows};
use super::matching::descriptors;
use super::penalty::{Penalty, approximated, exact, halves, noisy};
use super::terms::{Mean, Sum};
use super::{Gan, Mode};
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
    /// For each backbone its features.
    features: Vec<BackboneFeatures>,
}

/// Features of one trunk that is not trained.
#[derive(Default)]
struct BackboneFeatures {
    /// Of the augmented real and generated images, for the heads; the latter with their graph.
    heads: Option<(Features, Features)>,
    /// Of the generated images without augmentation, for feature matching, with their graph.
    matching: Option<Features>,
}

impl<'a> Step<'a> {
    pub(super) fn new(gan: &'a Gan, batch: &'a Batch<'a>, cx: &'a Ctx) -> Result<Self, Error> {
        Error::check_labels(batch.classes, batch.images)?;
        let z = gan.prior.sample(batch.classes, 1.0, &mut cx.stream(&gan.stream_name("latent")))?;
        let plain = gan.generator.forward(&z, batch.classes)?;
        let mut stream = cx.stream(&gan.stream_name("augment"));
        let probability = gan.augment_probability()?;
        let augment = &gan.config.augment;
        let real = augment.apply(&batch.images.detach(), probability, &mut stream)?;
        let fake = augment.apply(&plain, probability, &mut stream)?;
        let same = probability == 0.0 && augment.noise == 0.0;
        let matches = gan.config.feature_matching > 0.0;
        let mut features = Vec::new();
        for backbone in &gan.backbones {
            let trunk = backbone.trunk(batch.trunk);
            let forward = |images: &Tensor| with_constant_weights(|| trunk.forward(images, &Ctx::eval()));
            let mut found = BackboneFeatures::default();
            if backbone.heads.is_some() {
                found.heads = Some((trunk.forward(&real, &Ctx::eval())?.detach(), forward(&fake)?));
            }
            if matches {
                found.matching = Some(match &found.heads {
                    Some((_, fake)) if same => fake.clone(),
                    _ => forward(&plain)?,
                });
            }
            features.push(found);
        }
        Ok(Self { gan, batch, cx, shared: Some(Shared { real, fake, features }) })
    }

    fn critic_loss(&self, shared: &Shared) -> Result<Loss, Error> {
        let class_weight = self.gan.config.class_weight(self.batch.progress);
        let mut sum = Sum::default();
        if let Some(own) = &self.gan.own {
            self.add_own_critic(own, shared, class_weight, &mut sum)?;
        }
        self.add_frozen_critic(shared, class_weight, &mut sum)?;
        let mut loss = sum.finish()?;
        self.add_tasks(&mut loss)?;
        Ok(loss)
    }

    /// Adversarial loss, gradient penalties and regularisers of the discriminator's own trunk.
    fn add_own_critic(&self, own: &Own, shared: &Shared, class_weight: f64, sum: &mut Sum) -> Result<(), Error> {
        let (gan, classes, n) = (self.gan, self.batch.classes, self.batch.classes.len());
        let config = &gan.config;
        let fake = shared.fake.detach();
        let mut images = vec![shared.real.clone(), fake.clone()];
        let mut labels = classes.repeat(2);
        let mut rows = vec![Rows::of(n), Rows::of(n)];
        let half = n.div_ceil(2);
        let penalised = halves(&shared.real, &fake)?;
        let penalised_labels = classes[..half].repeat(2);
        if gan.gamma > 0.0 && config.penalty == Penalty::Approximated {
            images.push(noisy(&penalised, config.sigma, (&gan.stream_name("noise"), self.cx))?);
            labels.extend(&penalised_labels);
            rows.extend([Rows::like(half, 0), Rows::like(half, 1)]);
        }
        if config.consistency > 0.0 {
            let mut stream = self.cx.stream(&gan.stream_name("second augment"));
            let probability = gan.augment_probability()?.max(0.5);
            images.push(config.augment.apply(&self.batch.images.detach(), probability, &mut stream)?);
            labels.extend(classes);
            rows.push(Rows::like(n, 0));
        }
        let images = Tensor::cat(&images.iter().collect::<Vec<_>>(), 0)?;
        let logits = own.forward(&images, &labels, &rows, class_weight, Pass::Critic)?;

        let (mut adversarial, mut gap) = (Mean::default(), Mean::default());
        let (mut penalty, mut consistency) = (Mean::default(), Mean::default());
        let mut overall: Option<Tensor> = None;
        for logits in &logits {
            let score = logits.mean(1)?; // real, generated, half of each with noise, real with another augmentation
            let (real, fake) = (score.narrow(0, 0, n)?, score.narrow(0, n, n)?);
            adversarial.add(config.loss.critic(&real, &fake)?)?;
            gap.add((&real - &fake)?.mean_all()?)?;
            let mut next = 2 * n;
            if gan.gamma > 0.0 && config.penalty == Penalty::Approximated {
                penalty.add(approximated(&halves(&real, &fake)?, &score.narrow(0, next, 2 * half)?, config.sigma)?)?;
                next += 2 * half;
            }
            if config.consistency > 0.0 {
                consistency.add((&real - score.narrow(0, next, n)?)?.sqr()?.mean_all()?)?;
            }
            let both = score.narrow(0, 0, 2 * n)?;
            overall = Some(match overall {
                Some(sum) => (sum + both)?,
                None => both,
            });
        }
        sum.add("own", adversarial, 1.0)?;
        if gan.gamma > 0.0 {
            if config.penalty == Penalty::Exact {
                // The deviation over the batch is a constant, as in the approximated penalty.
                let both = Tensor::cat(&[&shared.real, &fake], 0)?;
                let rows = own.fixed_rows(&both, n, half)?;
                let scores = |images: &Tensor, constant: bool| {
                    own.scores(images, &penalised_labels, &rows, class_weight, constant)
                };
                penalty.add(exact(&penalised, config.sigma, &scores)?)?;
            }
            // gamma / 2 for real and for generated images; the mean over both is half their sum.
            sum.add("penalty", penalty, gan.gamma)?;
        }
        if config.consistency > 0.0 {
            sum.add("consistency", consistency, config.consistency)?;
        }
        let overall = (overall.ok_or(Error::NoTaps)? / logits.len() as f64)?;
        if config.lecam > 0.0
            && let Some(term) = gan.balance.lecam(&overall.narrow(0, 0, n)?, &overall.narrow(0, n, n)?)?
        {
            let mut lecam = Mean::default();
            lecam.add(term)?;
            sum.add("lecam", lecam, config.lecam)?;
        }
        sum.note("gap", gap)?;
        self.update_balance(&overall.detach(), sum)
    }

    /// Takes scores, means over taps, of real and then generated images into the running levels.
    fn update_balance(&self, scores: &Tensor, sum: &mut Sum) -> Result<(), Error> {
        let (balance, adaptive) = (&self.gan.balance, self.gan.config.adaptive);
        let scores = to_f64(scores)?;
        let (real, fake) = scores.split_at(self.batch.classes.len());
        sum.value("sign", balance.update(real, fake, adaptive)?);
        if adaptive {
            sum.value("augment", balance.probability()?);
        }
        Ok(())
    }

    /// Hinge loss of the heads on trunks that are not trained.
    fn add_frozen_critic(&self, shared: &Shared, class_weight: f64, sum: &mut Sum) -> Result<(), Error> {
        let (classes, n) = (self.batch.classes, self.batch.classes.len());
        let (mut hinge, mut gap, mut taps) = (Mean::default(), Mean::default(), 0u32);
        let mut overall: Option<Tensor> = None;
        for (backbone, features) in self.gan.backbones.iter().zip(&shared.features) {
            let (Some(heads), Some((real, fake))) = (&backbone.heads, &features.heads) else { continue };
            let both = real.taps.iter().zip(&fake.taps).map(|(real, fake)| Tensor::cat(&[real, &fake.detach()], 0));
            let both = Features { taps: both.collect::<Result<_, _>>()? };
            for logits in &heads.forward(&both, &classes.repeat(2), class_weight, Pass::Critic)? {
                let (real, fake) = (logits.narrow(0, 0, n)?, logits.narrow(0, n, n)?);
                hinge
                    .add((ops::relu(&(real.neg()? + 1.0)?)?.mean_all()? + ops::relu(&(&fake + 1.0)?)?.mean_all()?)?)?;
                gap.add((real.mean_all()? - fake.mean_all()?)?)?;
                let score = logits.mean(1)?.detach();
                overall = Some(match overall {
                    Some(sum) => (sum + score)?,
                    None => score,
                });
                taps += 1;
            }
        }
        let Some(scores) = overall else { return Ok(()) };
        sum.add("frozen", hinge, self.gan.frozen_weight())?;
        sum.note("frozen_gap", gap)?;
        if self.gan.own.is_none() { self.update_balance(&(scores / f64::from(taps))?, sum) } else { Ok(()) }
    }

    /// Losses of the labelled tasks on the finetuned trunk's features of the real images, without augmentation.
    fn add_tasks(&self, loss: &mut Loss) -> Result<(), Error> {
        let config = &self.gan.config;
        if config.mode == Mode::Finetuned
            && config.task_weight > 0.0
            && let (Some(own), Some(task_loss)) = (&self.gan.own, self.batch.task_loss)
            && let Some(tasks) = task_loss(&own.features(self.batch.images)?)?
        {
            loss.total = (&loss.total + (tasks.total * config.task_weight)?)?;
            loss.terms.extend(tasks.terms);
        }
        Ok(())
    }

    fn generator_loss(&self, shared: Shared) -> Result<Loss, Error> {
        let (gan, classes) = (self.gan, self.batch.classes);
        let config = &gan.config;
        let class_weight = config.class_weight(self.batch.progress);
        let mut sum = Sum::default();
        if let Some(own) = &gan.own {
            // Two passes, so that the backward pass covers the generated images only.
            let scores = |images: &Tensor| own.scores(images, classes, &[Rows::of(classes.len())], class_weight, true);
            let real = if config.loss.compares() { scores(&shared.real)? } else { Vec::new() };
            let mut adversarial = Mean::default();
            for (tap, fake) in scores(&shared.fake)?.iter().enumerate() {
                let real = real.get(tap).map(Tensor::detach);
                adversarial.add(config.loss.generator(fake, real.as_ref())?)?;
            }
            sum.add("own", adversarial, 1.0)?;
        }
        let (mut hinge, mut matching) = (Mean::default(), Mean::default());
        for (backbone, features) in gan.backbones.iter().zip(&shared.features) {
            if let (Some(heads), Some((_, fake))) = (&backbone.heads, &features.heads) {
                for logits in &heads.forward(fake, classes, class_weight, Pass::Generator)? {
                    hinge.add(logits.mean_all()?.neg()?)?;
                }
            }
            if let Some(fake) = &features.matching {
                matching.add(backbone.distance(&descriptors(fake)?)?)?;
            }
        }
        if !hinge.is_empty() {
            sum.add("frozen", hinge, gan.frozen_weight())?;
        }
        if !matching.is_empty() {
            sum.add("matching", matching, config.feature_matching)?;
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
