//! `[stages]`: which stages run, and the settings of each.

use std::collections::BTreeMap;

use mtl_tensor::optim;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Name of the joint stage.
pub const JOINT: &str = "joint";
/// Name in [`Stages::run`] of the generators that are best for the length of the run.
pub const AUTO: &str = "auto";
/// Shortest budget in minutes for which [`AUTO`] is `flow`.
pub const FLOW_MINUTES: f64 = 5.0;
/// Shortest budget in steps of the joint stage for which [`AUTO`] is `flow`.
pub const FLOW_STEPS: u64 = 1000;

/// The stages of a run.
///
/// In a file: `stages.run = ["joint", "flow"]`, `[stages.joint]` with the keys of [`Joint`], and for every other stage
/// `[stages.NAME]` with the keys of [`StageSettings`].
#[derive(Clone, Debug, PartialEq)]
pub struct Stages {
    /// Names of the stages, in order: `joint` trains encoder, heads and objectives together; the name of a generator trains
    /// that generator on the trained encoder. Default `joint`, `auto`: `flow` if `budget.minutes` is at least [`FLOW_MINUTES`] or
    /// `budget.steps` at least [`FLOW_STEPS`], else `vae` and `gan`, which give better images in less time.
    pub run: Vec<String>,
    /// The joint stage.
    pub joint: Joint,
    /// All other stages by name.
    pub settings: BTreeMap<String, StageSettings>,
}

impl Default for Stages {
    fn default() -> Self {
        let run = [JOINT, AUTO].map(str::to_owned).to_vec();
        Self { run, joint: Joint::default(), settings: BTreeMap::new() }
    }
}

impl Stages {
    /// Replaces [`AUTO`] by the generators for a short or a long run, without those that are named already.
    pub(super) fn resolve_auto(&mut self, long: bool) {
        let Some(at) = self.run.iter().position(|name| name == AUTO) else { return };
        let generators: &[&str] = if long { &["flow"] } else { &["vae", "gan"] };
        let new = generators.iter().filter(|name| !self.runs(name)).map(|name| (*name).to_owned()).collect::<Vec<_>>();
        self.run.splice(at..=at, new);
    }

    /// Whether a stage runs.
    pub fn runs(&self, name: &str) -> bool {
        self.run.iter().any(|stage| stage == name)
    }

    /// Names of the stages other than the joint one.
    pub fn of_generators(&self) -> impl Iterator<Item = &str> {
        self.run.iter().map(String::as_str).filter(|name| *name != JOINT)
    }

    /// The settings of a stage other than the joint one.
    pub fn settings(&self, name: &str) -> StageSettings {
        self.settings.get(name).cloned().unwrap_or_default()
    }

    /// Whether training has passed the end of stage `name`, when it is in stage `at` (`finished`: at its end).
    pub fn passed(&self, name: &str, at: &str, finished: bool) -> bool {
        let position = |name: &str| self.run.iter().position(|stage| stage == name);
        match (position(name), position(at)) {
            (Some(own), Some(now)) => own < now || (own == now && finished),
            _ => false,
        }
    }
}

impl Serialize for Stages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2 + self.settings.len()))?;
        map.serialize_entry("run", &self.run)?;
        map.serialize_entry(JOINT, &self.joint)?;
        for (name, settings) in &self.settings {
            map.serialize_entry(name, settings)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Stages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap;
        impl<'de> Visitor<'de> for OfMap {
            type Value = Stages;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "a table: `run = [\"joint\", \"vae\"]`, and one table per stage (`stages.run` lists the stages)",
                )
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Stages, A::Error> {
                let mut stages = Stages::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "run" => stages.run = map.next_value()?,
                        JOINT => stages.joint = map.next_value()?,
                        _ => {
                            stages.settings.insert(key, map.next_value()?);
                        }
                    }
                }
                Ok(stages)
            }
        }
        deserializer.deserialize_map(OfMap)
    }
}

/// The joint stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Joint {
    /// Images per step. Default 64.
    pub batch: usize,
    /// Optimizer. Default AdamW.
    pub optimizer: optim::Config,
    /// Learning rate: linear warm-up, then half a cosine.
    pub schedule: optim::Schedule,
    /// Largest norm of the gradient of all parameters together; longer ones are scaled down. Default 5; 0 disables clipping.
    pub clip_grad_norm: f64,
    /// Decay per step of the weight average (EMA) that is evaluated. Default 0.99.
    pub ema_decay: f64,
    /// Number of validations over the stage. Default 20.
    pub validations: u64,
    /// Stop after this many validations without a better skill score; 0 never stops early. Default 8.
    pub patience: u64,
    /// Steps between comparisons of the tasks' gradients, for the log and the summary; 0 disables them. Each costs one backward
    /// pass of the encoder per task but one, unless the balancer computes it anyway. Default 25: 2 to 3 % of the time with
    /// four tasks.
    pub gradient_stats_every: u64,
    /// Flip test-time augmentation: average predictions over each image and its horizontal flip in validation, scoring and
    /// prediction. Default true.
    pub flip_tta: bool,
    /// Share of `budget.minutes`, relative to the shares of the other stages that run. Default 0.7.
    pub minutes_share: f64,
}

impl Default for Joint {
    fn default() -> Self {
        Self {
            batch: 64,
            optimizer: optim::Config::default(),
            schedule: optim::Schedule::default(),
            clip_grad_norm: 5.0,
            ema_decay: 0.99,
            validations: 20,
            patience: 8,
            gradient_stats_every: 25,
            flip_tta: true,
            minutes_share: 0.7,
        }
    }
}

/// A stage other than the joint one. Optimizers and peak learning rates are the generator's own (`mtl list generators`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StageSettings {
    /// Images per step. Default: the generator's, 64 for a VAE or a flow and 32 for a GAN.
    pub batch: Option<usize>,
    /// Steps. Default: in proportion to the joint stage's, half as many for a VAE, as many for a GAN, twice
    /// as many for a flow.
    pub steps: Option<u64>,
    /// Share of `budget.minutes`, relative to the shares of the other stages that run. Default: 0.08 for a VAE, 0.8 for
    /// other generators: more than the joint stage's 0.7.
    pub minutes_share: Option<f64>,
    /// Multiplies the generator's own learning rates. Default 1.
    pub lr_scale: f64,
    /// Share of the stage spent on warm-up. Default 0.02.
    pub warmup: f64,
    /// Learning rate at the end, as a share of the peak. Default 0.1.
    pub min_lr_ratio: f64,
    /// Largest gradient norm of a phase; 0 disables clipping. Default 10.
    pub clip_grad_norm: f64,
    /// Half-life of the weight average (EMA) that is sampled, as a share of the images seen so far. Default 0.05.
    pub ema_half_life: f64,
    /// Number of validations over the stage: KID of samples against at most 256 validation images, in the features of untrained
    /// networks, and for a flow its loss on these images. The weights of the best one are kept: of the lowest loss of a flow,
    /// of the lowest KID of other generators. 0, or fewer than 50 validation images: those of the last step are. Default: 8, 16
    /// for a flow.
    pub validations: Option<u64>,
    /// Stop after this many validations in a row without a better value, for a flow: with a loss more than 1 % above the best
    /// one. 0 never stops early. Default: 3 for a flow, 0 for other generators, whose KID is not precise enough.
    pub patience: Option<u64>,
}

impl Default for StageSettings {
    fn default() -> Self {
        Self {
            batch: None,
            steps: None,
            minutes_share: None,
            lr_scale: 1.0,
            warmup: 0.02,
            min_lr_ratio: 0.1,
            clip_grad_norm: 10.0,
            ema_half_life: 0.05,
            validations: None,
            patience: None,
        }
    }
}
