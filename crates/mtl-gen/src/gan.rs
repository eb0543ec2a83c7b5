//! A class-conditional GAN (Goodfellow et al. 2014, arXiv 1406.2661) whose critic sees through the trunk.
//!
//! | mode | critic | its loss |
//! |---|---|---|
//! | `scratch` | a trunk of its own of the same shape, from a random start, with a head on each tap | relativistic + aR1 + aR2 |
//! | `live` | the same, started from the learnt trunk, learning at a quarter of the rate | relativistic + aR1 + aR2 |
//! | `frozen` | the learnt trunk as it is, a fixed random projection, spectrally normalised heads | hinge |
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
//! In mode `live` the caller may add the tasks' losses on real images to the critic's: its heads read
//! [`Gan::own_features`].

use mtl_rng::Stream;
use mtl_tensor::layers::NormKind;
use mtl_tensor::{Ctx, Scope, Tensor, optim, ops};
use mtl_trunk::{Features, Trunk};
use serde::{Deserialize, Serialize};

use crate::critic::{Heads, Projection, Use};
use crate::decoder::{self, Decoder};
use crate::{Batch, Error, Generator, Loss, Phase, Setting, augment, below, unknown_phase, value};

/// Whose eyes the critic has; see the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A trunk of its own, from a random start.
    Scratch,
    /// The learnt trunk, never changed.
    #[default]
    Frozen,
    /// The learnt trunk as a starting point.
    Live,
    /// `scratch` and `frozen` together.
    Hybrid,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Scratch, Self::Frozen, Self::Live, Self::Hybrid];

    fn has_own_trunk(self) -> bool {
        self != Self::Frozen
    }

    fn uses_learnt_trunk(self) -> bool {
        matches!(self, Self::Frozen | Self::Hybrid)
    }
}

/// Options of the GAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whose eyes the critic has. Default `frozen`.
    pub mode: Mode,
    /// Size of the generator.
    pub decoder: decoder::Config,
    /// What critics see images through.
    pub augment: augment::Config,
    /// Channels of the critic's heads. Default 64.
    pub head_width: usize,
    /// Weight of the gradient penalties of a critic's own trunk. Default 0.05, for 32x32; the right value grows about
    /// fourfold with each doubling of the side.
    pub gamma: f64,
    /// Standard deviation of the noise that approximates them, in units of pixels in `[-1, 1]`. Default 0.01.
    pub sigma: f64,
    /// Weight of the frozen heads beside the own trunk in mode `hybrid`. Default 0.5.
    pub frozen_weight: f64,
    /// Weight of matching the batch means of the learnt trunk's features, real and generated (Salimans et al. 2016,
    /// arXiv 1606.03498), in the generator's loss of modes `frozen` and `hybrid`. Default 1; 0 saves a trunk pass.
    pub feature_matching: f64,
    /// Share of training at which the critics begin to look at classes, and at which they do so fully (Shahbazi et al.
    /// 2022, arXiv 2201.06578: conditioning from the start makes small data sets collapse). Default from the start.
    pub class_ramp: [f64; 2],
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            decoder: decoder::Config::default(),
            augment: augment::Config::default(),
            head_width: 64,
            gamma: 0.05,
            sigma: 0.01,
            frozen_weight: 0.5,
            feature_matching: 1.0,
            class_ramp: [0.0, 0.0],
        }
    }
}

impl Config {
    fn check(&self) -> Result<(), Error> {
        let wrong = |problem: String| Err(Error::Option { key: "gan", problem });
        if self.head_width == 0 {
            return wrong("head_width = 0: heads need at least one channel".into());
        }
        if !(self.sigma > 0.0 && self.sigma.is_finite()) {
            return wrong(format!("sigma = {}: must be above 0", self.sigma));
        }
        for (key, value) in [("gamma", self.gamma), ("frozen_weight", self.frozen_weight), ("feature_matching", self.feature_matching)] {
            if !(value >= 0.0 && value.is_finite()) {
                return wrong(format!("{key} = {value}: must be 0 or more"));
            }
        }
        if !(self.class_ramp[0] <= self.class_ramp[1]) {
            return wrong(format!("class_ramp = {:?}: two shares of the run, the earlier one first", self.class_ramp));
        }
        self.augment.check()
    }

    /// How much critics look at classes.
    fn class_weight(&self, progress: f64) -> f64 {
        let [from, to] = self.class_ramp;
        if progress >= to { 1.0 } else { ((progress - from) / (to - from)).max(0.0) }
    }
}

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
    own: Option<Own>,
    frozen: Option<Frozen>,
    phases: Vec<Phase>,
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
                heads: Heads::new(&place.scope("heads"), setting.taps, config.head_width, setting.classes, true)?,
            })
        } else {
            None
        };
        let generator = scope.scope("generator");
        let adam = optim::Config::Adam { beta1: 0.0, beta2: 0.99 };
        let slower = if config.mode == Mode::Live { vec![(format!("{}.own.trunk", critic.name()), 0.25)] } else { Vec::new() };
        let phases = vec![
            Phase { name: "critic", prefixes: vec![critic.name().to_owned()], slower, optimizer: adam, lr: 1e-3 },
            Phase { name: "generator", prefixes: vec![generator.name().to_owned()], slower: vec![], optimizer: adam, lr: 1e-3 },
        ];
        Ok(Self {
            config: config.clone(),
            scope: scope.clone(),
            generator_name: generator.name().to_owned(),
            generator: Decoder::new(&config.decoder, &generator, setting)?,
            own,
            frozen,
            phases,
        })
    }

    /// Copies the weights of a decoder of the same shape (a VAE's) into the generator, which then starts from blurred
    /// images instead of noise. `decoder_name`: the name below which they live in the same store, e.g. `vae.decoder`.
    ///
    /// # Errors
    /// A decoder of another shape; nothing has been changed then.
    pub fn start_from_decoder(&self, decoder_name: &str) -> Result<(), Error> {
        copy_below(&self.scope, decoder_name, &self.generator_name)
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

    /// The generator network.
    pub fn generator(&self) -> &Decoder {
        &self.generator
    }

    fn fakes(&self, phase: &str, batch: &Batch<'_>, cx: &Ctx) -> Result<Tensor, Error> {
        let images = batch.images.dim(0)?;
        if images != batch.classes.len() {
            return Err(Error::Labels { labels: batch.classes.len(), images });
        }
        let shape = (images, self.generator.latent());
        let z = cx.noise(&self.stream_name(phase, "latent"), shape, batch.images.dtype(), batch.images.device())?;
        self.generator.forward(&z, batch.classes)
    }

    fn stream_name(&self, phase: &str, what: &str) -> String {
        format!("{}/{phase}/{what}", self.scope.name())
    }

    /// Real and generated images side by side, `[2 B, C, H, W]`, each augmented in its own way.
    fn pairs(&self, phase: &str, real: &Tensor, fake: &Tensor, cx: &Ctx) -> Result<Tensor, Error> {
        let both = Tensor::cat(&[&real.detach(), fake], 0)?;
        self.config.augment.apply(&both, &mut cx.stream(&self.stream_name(phase, "augment")))
    }

    fn critic_loss(&self, batch: &Batch<'_>, cx: &Ctx) -> Result<Loss, Error> {
        let fake = self.fakes("critic", batch, cx)?.detach();
        let seen = self.pairs("critic", batch.images, &fake, cx)?;
        let class_weight = self.config.class_weight(batch.progress);
        let labels = [batch.classes, batch.classes].concat();
        let n = batch.classes.len();
        let mut sum = Sum::default();
        if let Some(own) = &self.own {
            let noise = cx.noise(&self.stream_name("critic", "noise"), seen.shape(), seen.dtype(), seen.device())?;
            let moved = (&seen + (noise * self.config.sigma)?)?;
            let features = own.trunk.forward(&Tensor::cat(&[&seen, &moved], 0)?, &Ctx::eval())?;
            let logits = own.heads.forward(&features, &[&labels[..], &labels[..]].concat(), class_weight, Use::Learn)?;
            let (mut relativistic, mut penalty, mut gap) = (Mean::default(), Mean::default(), Mean::default());
            for logits in &logits {
                let verdict = logits.mean(1)?; // [4 B]: real, generated, both again with noise
                let lead = (verdict.narrow(0, 0, n)? - verdict.narrow(0, n, n)?)?;
                relativistic.add(ops::softplus(&lead.neg()?)?.mean_all()?)?;
                penalty.add((verdict.narrow(0, 0, 2 * n)? - verdict.narrow(0, 2 * n, 2 * n)?)?.sqr()?.mean_all()?)?;
                gap.add(lead.mean_all()?)?;
            }
            // The mean over 2 B images is half the sum of the two penalties.
            let strength = self.config.gamma / self.config.sigma.powi(2);
            sum.add("own", relativistic, 1.0)?;
            sum.add("penalty", penalty, strength)?;
            sum.note("gap", gap)?;
        }
        if let Some(frozen) = &self.frozen {
            let features = batch.trunk.forward(&seen, &Ctx::eval())?.detach();
            let logits = frozen.heads.forward(&frozen.projection.forward(&features)?, &labels, class_weight, Use::Learn)?;
            let (mut hinge, mut gap) = (Mean::default(), Mean::default());
            for logits in &logits {
                let (real, fake) = (logits.narrow(0, 0, n)?, logits.narrow(0, n, n)?);
                let missed = (ops::relu(&(real.neg()? + 1.0)?)?.mean_all()? + ops::relu(&(&fake + 1.0)?)?.mean_all()?)?;
                hinge.add(missed)?;
                gap.add((real.mean_all()? - fake.mean_all()?)?)?;
            }
            sum.add("frozen", hinge, self.frozen_weight())?;
            sum.note("frozen_gap", gap)?;
        }
        sum.finish()
    }

    fn generator_loss(&self, batch: &Batch<'_>, cx: &Ctx) -> Result<Loss, Error> {
        let fake = self.fakes("generator", batch, cx)?;
        let seen = self.pairs("generator", batch.images, &fake, cx)?;
        let class_weight = self.config.class_weight(batch.progress);
        let n = batch.classes.len();
        let (real, fake) = (seen.narrow(0, 0, n)?.detach(), seen.narrow(0, n, n)?.contiguous()?);
        let mut sum = Sum::default();
        if let Some(own) = &self.own {
            // Two passes, so that the backward one covers the generated images alone.
            let judge = |images: &Tensor| -> Result<Vec<Tensor>, Error> {
                own.heads.forward(&own.trunk.forward(images, &Ctx::eval())?, batch.classes, class_weight, Use::Judge)
            };
            let mut relativistic = Mean::default();
            for (real, fake) in judge(&real)?.iter().zip(&judge(&fake)?) {
                let lead = (real.mean(1)?.detach() - fake.mean(1)?)?;
                relativistic.add(ops::softplus(&lead)?.mean_all()?)?;
            }
            sum.add("own", relativistic, 1.0)?;
        }
        if let Some(frozen) = &self.frozen {
            let features = batch.trunk.forward(&fake, &Ctx::eval())?;
            let logits = frozen.heads.forward(&frozen.projection.forward(&features)?, batch.classes, class_weight, Use::Judge)?;
            let mut hinge = Mean::default();
            for logits in &logits {
                hinge.add(logits.mean_all()?.neg()?)?;
            }
            sum.add("frozen", hinge, self.frozen_weight())?;
            if self.config.feature_matching > 0.0 {
                let wanted = batch.trunk.forward(&real, &Ctx::eval())?.detach();
                let mut matching = Mean::default();
                for (fake, real) in features.taps.iter().zip(&wanted.taps) {
                    let loudness = 1.0 / (real.sqr()?.mean_all()?.sqrt()? + 1e-6)?;
                    let off = (fake.mean(0)? - real.mean(0)?)?.sqr()?.mean_all()?;
                    matching.add((off * loudness?.sqr()?)?)?;
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
        let values = stream.normals(labels.len() * self.latent());
        let like = self.scope.params();
        Ok(Tensor::from_vec(values, (labels.len(), self.latent()), like.device())?.to_dtype(like.dtype())?)
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
                return Err(Error::Option { key: "gan", problem: format!("cannot start `{to}` from `{from}`: {problem}") });
            }
        }
    }
    for (var, value) in pairs {
        var.set(&value.as_tensor().detach().copy()?)?;
    }
    Ok(())
}

/// The mean over the taps.
#[derive(Default)]
struct Mean {
    sum: Option<Tensor>,
    count: usize,
}

impl Mean {
    fn add(&mut self, term: Tensor) -> Result<(), Error> {
        self.sum = Some(match self.sum.take() {
            Some(sum) => (sum + term)?,
            None => term,
        });
        self.count += 1;
        Ok(())
    }

    fn finish(self) -> Result<Tensor, Error> {
        Ok((self.sum.ok_or(Error::NoTaps)? / self.count as f64)?)
    }
}

/// A weighted sum with its terms by name.
#[derive(Default)]
struct Sum {
    total: Option<Tensor>,
    terms: Vec<(&'static str, f64)>,
}

impl Sum {
    /// A part of the loss, listed before its weight.
    fn add(&mut self, name: &'static str, term: Mean, weight: f64) -> Result<(), Error> {
        let term = term.finish()?;
        self.terms.push((name, value(&term)?));
        let weighted = (term * weight)?;
        self.total = Some(match self.total.take() {
            Some(total) => (total + weighted)?,
            None => weighted,
        });
        Ok(())
    }

    /// Something worth plotting that is no part of the loss.
    fn note(&mut self, name: &'static str, term: Mean) -> Result<(), Error> {
        self.terms.push((name, value(&term.finish()?)?));
        Ok(())
    }

    fn finish(self) -> Result<Loss, Error> {
        Ok(Loss { total: self.total.ok_or(Error::NoTaps)?, terms: self.terms })
    }
}
