//! A class-conditional GAN (Goodfellow et al. 2014, arXiv 1406.2661) whose critic sees through the trunk.
//!
//! | mode | critic | its loss |
//! |---|---|---|
//! | `scratch` | a trunk of its own of the same shape, from a random start, with a head on each tap | relativistic + aR1 + aR2 |
//! | `live` | the same, started from the learnt trunk, learning at a quarter of the rate | relativistic + aR1 + aR2, + tasks |
//! | `frozen` | the learnt trunk as it is, a fixed random projection, heads on each tap | hinge |
//! | `hybrid` | `scratch` and `frozen` together | both |
//!
//! Relativistic (Jolicoeur-Martineau 2018, arXiv 1807.00734; Huang et al. 2024, arXiv 2501.05441): critic
//! `softplus(D(G z) - D(x))`, generator `softplus(D(x) - D(G z))`, a real and a generated image of the same class side by
//! side. Approximated R1 and R2: `gamma / (2 sigma^2) mean (D(x) - D(x + sigma noise))^2` on real and on generated images,
//! to first order in sigma the gradient penalties `gamma / 2 |grad D|^2`, without second-order gradients. Hinge: critic
//! `max(0, 1 - D(x)) + max(0, 1 + D(G z))` a feature pixel, generator `-D(G z)`. Critics see every image through the same
//! augmentation ([`crate::augment`]), generated ones without leaving a trace in running statistics: a critic's own trunk
//! normalises by groups, or (`live`, if the learnt trunk has batch norm) with the learnt running statistics.
//!
//! Measured on built-in scenes at 32x32 with the `xs` trunk, 200 to 400 steps of 32 from a VAE's start: `frozen` sharpens
//! shapes and keeps colours clean, `live` works but is rougher and takes twice the time a step, `scratch` destroys the
//! VAE's shapes before its critic knows any; it is for runs of many thousand steps.
//!
//! In mode `live` the caller adds the tasks' losses on real images, [`Gan::task_weight`] times, to the critic's, so that its
//! trunk stays one that serves the tasks: the tasks' heads read [`Gan::own_features`].

mod config;
mod terms;

use std::sync::{Mutex, PoisonError};

use mtl_rng::{Seed, Stream};
use mtl_tensor::layers::NormKind;
use mtl_tensor::{Ctx, Scope, Tensor, ops, optim, with_constant_weights};
use mtl_trunk::{Features, Trunk};

pub use config::{Config, Mode};
use terms::{Mean, Sum, squared_gradient};

use crate::critic::{Heads, Projection, Use};
use crate::decoder::Decoder;
use crate::prior::Prior;
use crate::{Batch, Error, Generator, Loss, Phase, Setting, below, unknown_phase};

/// A critic with a trunk of its own.
#[derive(Debug)]
struct Own {
    trunk: Box<dyn Trunk>,
    heads: Heads,
}

/// Heads on the learnt trunk.
#[derive(Debug)]
struct Frozen {
    projection: Projection,
    heads: Heads,
}

/// See the module.
#[derive(Debug)]
pub struct Gan {
    config: Config,
    scope: Scope,
    generator_name: String,
    generator: Decoder,
    /// `N(0, I)`, or that of the VAE started from.
    prior: Prior,
    own: Option<Own>,
    frozen: Option<Frozen>,
    phases: Vec<Phase>,
    kept: Mutex<Option<Shown>>,
}

/// One step's images and what the learnt trunk sees in them, the generated ones with their graph.
#[derive(Debug)]
struct Shown {
    key: (Seed, u64, Tensor, Vec<i32>),
    real: Tensor,
    fake: Tensor,
    real_features: Option<Features>,
    fake_features: Option<Features>,
}

impl Shown {
    fn is_of(&self, batch: &Batch<'_>, cx: &Ctx) -> bool {
        let (seed, step, images, classes) = &self.key;
        *seed == cx.seed && *step == cx.step && images.id() == batch.images.id() && classes == batch.classes
    }
}

impl Gan {
    /// A GAN whose parameters lie below `scope`: `generator`, and `critic.own`, `critic.frozen` as the mode needs.
    ///
    /// # Errors
    /// A setting or option out of range, a name that is taken.
    pub fn new(config: &Config, scope: &Scope, setting: &Setting<'_>) -> Result<Self, Error> {
        config.check()?;
        setting.check()?;
        let critic = scope.scope("critic");
        let own = if config.mode.has_own_trunk() {
            let place = critic.scope("own");
            let trunk = own_trunk_config(config.mode, setting.trunk).build(&place.scope("trunk"), setting.channels)?;
            let heads = Heads::new(&place.scope("heads"), trunk.taps(), config.head_width, setting.classes, false)?;
            Some(Own { trunk, heads })
        } else {
            None
        };
        let frozen = if config.mode.uses_learnt_trunk() {
            let place = critic.scope("frozen");
            Some(Frozen {
                projection: Projection::new(&place.scope("projection"), setting.taps)?,
                heads: Heads::new(
                    &place.scope("heads"),
                    setting.taps,
                    config.head_width,
                    setting.classes,
                    config.spectral,
                )?,
            })
        } else {
            None
        };
        let generator = scope.scope("generator");
        // Heads that learn slower than this are fooled by ringing and saturated colours after some hundred steps.
        let adam = optim::Config::Adam { beta1: 0.5, beta2: 0.99 };
        let slower =
            if config.mode == Mode::Live { vec![(format!("{}.own.trunk", critic.name()), 0.25)] } else { Vec::new() };
        let phases = vec![
            Phase { name: "critic", prefixes: vec![critic.name().to_owned()], slower, optimizer: adam, lr: 5e-3 },
            Phase {
                name: "generator",
                prefixes: vec![generator.name().to_owned()],
                slower: vec![],
                optimizer: adam,
                lr: 2e-4,
            },
        ];
        Ok(Self {
            config: config.clone(),
            scope: scope.clone(),
            generator_name: generator.name().to_owned(),
            generator: Decoder::new(&config.decoder, &generator, setting)?,
            prior: Prior::new(&scope.scope("prior"), setting.classes, config.decoder.latent)?,
            own,
            frozen,
            phases,
            kept: Mutex::new(None),
        })
    }

    /// Starts from a trained VAE of the same decoder shape whose parameters live below `vae_name` in the same store: the
    /// generator with its decoder's weights, latents with its fitted prior. The critic then sharpens blurred images
    /// instead of leading out of noise, which takes a run of a minute from shapeless to recognisable.
    ///
    /// # Errors
    /// A decoder of another shape; nothing has been changed then.
    pub fn start_from_vae(&self, vae_name: &str) -> Result<(), Error> {
        copy_below(&self.scope, &format!("{vae_name}.decoder"), &self.generator_name)?;
        copy_below(&self.scope, &format!("{vae_name}.prior"), &format!("{}.prior", self.scope.name()))
    }

    /// What the critic's own trunk sees in real images; `None` in mode `frozen`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn own_features(&self, images: &Tensor) -> Result<Option<Features>, Error> {
        Ok(match &self.own {
            Some(own) => Some(own.trunk.forward(images, &Ctx::eval())?),
            None => None,
        })
    }

    /// What the caller multiplies the tasks' losses on [`Gan::own_features`] by before it adds them to the critic's loss:
    /// [`Config::task_weight`] in mode `live`, 0 in all others.
    pub fn task_weight(&self) -> f64 {
        if self.config.mode == Mode::Live { self.config.task_weight } else { 0.0 }
    }

    /// The generator network.
    pub fn generator(&self) -> &Decoder {
        &self.generator
    }

    /// What both phases of a step look at. The generator's phase takes what the critic's has made, which is what it would
    /// make itself: the generator and the learnt trunk have not changed in between.
    fn shown(&self, batch: &Batch<'_>, cx: &Ctx) -> Result<Shown, Error> {
        let images = batch.images.dim(0)?;
        if images != batch.classes.len() {
            return Err(Error::Labels { labels: batch.classes.len(), images });
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(kept) = kept.filter(|kept| kept.is_of(batch, cx)) {
            return Ok(kept);
        }
        let z = self.prior.sample(batch.classes, &mut cx.stream(&self.stream_name("latent")))?;
        let fake = self.generator.forward(&z, batch.classes)?;
        let mut stream = cx.stream(&self.stream_name("augment"));
        let real = self.config.augment.apply(&batch.images.detach(), &mut stream)?;
        let fake = self.config.augment.apply(&fake, &mut stream)?;
        let (mut real_features, mut fake_features) = (None, None);
        if self.frozen.is_some() {
            real_features = Some(batch.trunk.forward(&real, &Ctx::eval())?.detach());
            fake_features = Some(with_constant_weights(|| batch.trunk.forward(&fake, &Ctx::eval()))?);
        }
        let key = (cx.seed, cx.step, batch.images.clone(), batch.classes.to_vec());
        Ok(Shown { key, real, fake, real_features, fake_features })
    }

    fn stream_name(&self, what: &str) -> String {
        format!("{}/{what}", self.scope.name())
    }

    fn critic_loss(&self, batch: &Batch<'_>, cx: &Ctx) -> Result<Loss, Error> {
        let shown = self.shown(batch, cx)?;
        let class_weight = self.config.class_weight(batch.progress);
        let n = batch.classes.len();
        let mut sum = Sum::default();
        if let Some(own) = &self.own {
            let seen = Tensor::cat(&[&shown.real, &shown.fake.detach()], 0)?;
            let noise = cx.noise(&self.stream_name("noise"), seen.shape(), seen.dtype(), seen.device())?;
            let seen = Tensor::cat(&[&seen, &(&seen + (noise * self.config.sigma)?)?], 0)?;
            let features = own.trunk.forward(&seen, &Ctx::eval())?;
            let logits = own.heads.forward(&features, &batch.classes.repeat(4), class_weight, Use::Learn)?;
            let (mut relativistic, mut penalty, mut gap) = (Mean::default(), Mean::default(), Mean::default());
            for logits in &logits {
                let verdict = logits.mean(1)?; // [4 B]: real, generated, both again with noise
                let lead = (verdict.narrow(0, 0, n)? - verdict.narrow(0, n, n)?)?;
                relativistic.add(ops::softplus(&lead.neg()?)?.mean_all()?)?;
                let (before, after) = (verdict.narrow(0, 0, 2 * n)?, verdict.narrow(0, 2 * n, 2 * n)?);
                penalty.add(squared_gradient(&before, &after, self.config.sigma)?)?;
                gap.add(lead.mean_all()?)?;
            }
            sum.add("own", relativistic, 1.0)?;
            // gamma / 2 for real and for generated images; the mean over both is half their sum.
            sum.add("penalty", penalty, self.config.gamma)?;
            sum.note("gap", gap)?;
        }
        if let (Some(frozen), Some(real), Some(fake)) = (&self.frozen, &shown.real_features, &shown.fake_features) {
            let both = real.taps.iter().zip(&fake.taps).map(|(real, fake)| Tensor::cat(&[real, &fake.detach()], 0));
            let mixed = frozen.projection.forward(&Features { taps: both.collect::<Result<_, _>>()? })?;
            let logits = frozen.heads.forward(&mixed, &batch.classes.repeat(2), class_weight, Use::Learn)?;
            let (mut hinge, mut gap) = (Mean::default(), Mean::default());
            for logits in &logits {
                let (real, fake) = (logits.narrow(0, 0, n)?, logits.narrow(0, n, n)?);
                let missed =
                    (ops::relu(&(real.neg()? + 1.0)?)?.mean_all()? + ops::relu(&(&fake + 1.0)?)?.mean_all()?)?;
                hinge.add(missed)?;
                gap.add((real.mean_all()? - fake.mean_all()?)?)?;
            }
            sum.add("frozen", hinge, self.frozen_weight())?;
            sum.note("frozen_gap", gap)?;
        }
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        sum.finish()
    }

    fn generator_loss(&self, batch: &Batch<'_>, cx: &Ctx) -> Result<Loss, Error> {
        let shown = self.shown(batch, cx)?;
        let class_weight = self.config.class_weight(batch.progress);
        let mut sum = Sum::default();
        if let Some(own) = &self.own {
            // Two passes, so that the backward one covers the generated images alone.
            let judge = |images: &Tensor| -> Result<Vec<Tensor>, Error> {
                // The generator's turn: the critic's own weights are judges, not learners.
                let features = with_constant_weights(|| own.trunk.forward(images, &Ctx::eval()))?;
                own.heads.forward(&features, batch.classes, class_weight, Use::Judge)
            };
            let mut relativistic = Mean::default();
            for (real, fake) in judge(&shown.real)?.iter().zip(&judge(&shown.fake)?) {
                let lead = (real.mean(1)?.detach() - fake.mean(1)?)?;
                relativistic.add(ops::softplus(&lead)?.mean_all()?)?;
            }
            sum.add("own", relativistic, 1.0)?;
        }
        if let (Some(frozen), Some(real), Some(fake)) = (&self.frozen, &shown.real_features, &shown.fake_features) {
            let logits =
                frozen.heads.forward(&frozen.projection.forward(fake)?, batch.classes, class_weight, Use::Judge)?;
            let mut hinge = Mean::default();
            for logits in &logits {
                hinge.add(logits.mean_all()?.neg()?)?;
            }
            sum.add("frozen", hinge, self.frozen_weight())?;
            if self.config.feature_matching > 0.0 {
                let mut matching = Mean::default();
                for (fake, real) in fake.taps.iter().zip(&real.taps) {
                    let power = (optim::square_norm(real)? / real.elem_count().max(1) as f64).max(1e-12);
                    let apart = (ops::batch_mean(fake)? - ops::batch_mean(real)?)?;
                    matching.add((apart.sqr()?.mean_all()? / power)?)?;
                }
                sum.add("matching", matching, self.config.feature_matching)?;
            }
        }
        sum.finish()
    }

    /// Weight of the frozen heads.
    fn frozen_weight(&self) -> f64 {
        if self.own.is_some() { self.config.frozen_weight } else { 1.0 }
    }
}

impl Generator for Gan {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn prepare(&self, trunk_name: &str, trunk: &dyn Trunk, images: &Tensor) -> Result<(), Error> {
        if self.config.mode == Mode::Live {
            copy_below(&self.scope, trunk_name, &format!("{}.critic.own.trunk", self.scope.name()))?;
        }
        if let Some(frozen) = &self.frozen {
            frozen.projection.calibrate(&trunk.forward(images, &Ctx::eval())?)?;
        }
        Ok(())
    }

    fn phase_loss(&self, phase: &str, batch: &Batch<'_>, cx: &Ctx) -> Result<Loss, Error> {
        match phase {
            "critic" => self.critic_loss(batch, cx),
            "generator" => self.generator_loss(batch, cx),
            other => Err(unknown_phase(other, &self.phases)),
        }
    }

    fn sampled(&self) -> &str {
        &self.generator_name
    }

    fn latent(&self) -> usize {
        self.generator.latent()
    }

    fn latents(&self, labels: &[i32], stream: &mut Stream) -> Result<Tensor, Error> {
        self.prior.sample(labels, stream)
    }

    fn decode(&self, z: &Tensor, labels: &[i32]) -> Result<Tensor, Error> {
        self.generator.forward(z, labels)
    }
}

/// A trunk like the shared one whose normalisation leaves no trace of generated images.
fn own_trunk_config(mode: Mode, shared: &mtl_trunk::Config) -> mtl_trunk::Config {
    match shared.clone() {
        // `live` has to have the shape of what it starts from; it runs on the learnt running statistics.
        mtl_trunk::Config::Resnet(config) if mode != Mode::Live => {
            mtl_trunk::Config::Resnet(mtl_trunk::resnet::Config { norm: NormKind::Group, ..config })
        }
        other => other,
    }
}

/// Copies every parameter and buffer below `from` to its namesake below `to`.
fn copy_below(scope: &Scope, from: &str, to: &str) -> Result<(), Error> {
    let all = scope.params().all();
    let mut pairs = Vec::new();
    for (name, var) in all.iter().filter(|(name, _)| below(name, to)) {
        let source = format!("{from}{}", &name[to.len()..]);
        match all.get(&source) {
            Some(value) if value.dims() == var.dims() => pairs.push((var, value)),
            found => {
                let problem = match found {
                    Some(value) => format!("`{source}` is {:?} and `{name}` {:?}", value.dims(), var.dims()),
                    None => format!("there is no `{source}` for `{name}`"),
                };
                return Err(Error::Option {
                    key: "gan",
                    problem: format!("cannot start `{to}` from `{from}`: {problem}"),
                });
            }
        }
    }
    for (var, value) in pairs {
        var.set(&value.as_tensor().detach().copy()?)?;
    }
    Ok(())
}
