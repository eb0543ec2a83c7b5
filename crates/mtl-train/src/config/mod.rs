//! The configuration of a run, as written in a TOML file: every key with its unit, default and reason.
//!
//! The file is read strictly (an unknown key is an error with a suggestion). [`load`] merges preset, file and `--set`
//! overrides into one [`Config`]; [`crate::data::Plan`] checks it against the data.

mod check;
mod data;
pub mod load;
mod stages;

use std::collections::BTreeMap;
use std::path::PathBuf;

use mtl_gen::{StageDefaults, StageLength};
use mtl_model::{ModelConfig, objectives};
use mtl_registry::UnknownName;
use mtl_trunk::sharing;
use serde::{Deserialize, Serialize};

pub use data::{Data, LoaderLimits, SourceFolder};
pub use stages::{AUTO, FLOW_MINUTES, FLOW_STEPS, JOINT, Joint, StageSettings, Stages};

/// Name of the unlabelled objective that every run has unless it is set to `none`.
pub const RECONSTRUCTION: &str = "reconstruction";
/// Steps of the joint stage without any other budget.
const DEFAULT_STEPS: u64 = 800;

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Random seed. Default 0.
    pub seed: u64,
    /// `cpu` (default), `cuda`, `cuda:1` or `metal`; the last three need a program built with that feature.
    pub device: String,
    /// Image size in pixels, `64` or `64x128` (height x width); both divisible by 8, 32 to 256. Default 64.
    #[serde(deserialize_with = "text_or_number")]
    pub size: String,
    /// Image folders.
    pub data: Data,
    /// Encoder, sharing, initial weights.
    pub model: Model,
    /// Heads: `[heads.TASK.KIND]`. Default: the head of the task's kind.
    pub heads: BTreeMap<String, mtl_heads::Config>,
    /// Unlabelled objectives of the joint stage: `[objectives.NAME.KIND]`. Default: `reconstruction`, a VAE.
    pub objectives: BTreeMap<String, objectives::Config>,
    /// Generators: `[generators.NAME.KIND]`. Default: a name that is a kind (`vae`, `gan`, `flow`) is that kind with its defaults.
    pub generators: BTreeMap<String, mtl_gen::Config>,
    /// The multi-task balancer.
    pub balancer: mtl_balance::Config,
    /// Options that apply to any gradient-based balancer.
    pub balancer_options: mtl_balance::UpdateOptions,
    /// Length of training.
    pub budget: Budget,
    /// Training stages and their settings: `stages.run`, `[stages.joint]`, `[stages.NAME]`.
    pub stages: Stages,
    /// Files written while training.
    pub output: Output,
}

/// A square size may be written as a plain number.
fn text_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a size, 64 or \"64x128\" (height x width)")]
    enum Written {
        Number(u64),
        Text(String),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Number(side) => side.to_string(),
        Written::Text(text) => text,
    })
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            device: "cpu".into(),
            size: "64".into(),
            data: Data::default(),
            model: Model::default(),
            heads: BTreeMap::new(),
            objectives: BTreeMap::new(),
            generators: BTreeMap::new(),
            balancer: mtl_balance::Config::default(),
            balancer_options: mtl_balance::UpdateOptions::default(),
            budget: Budget::default(),
            stages: Stages::default(),
            output: Output::default(),
        }
    }
}

impl Config {
    /// Writes out the defaults that depend on names and on the budget: the stages [`AUTO`], the objective [`RECONSTRUCTION`], the
    /// generators in use, the settings of their stages. Applied by [`load`] and once more before a run, so that `config.toml` holds every key.
    ///
    /// # Errors
    /// An objective that names an unknown generator.
    pub fn resolve(&mut self) -> Result<(), UnknownName> {
        self.stages.resolve_auto(self.budget.is_long());
        self.objectives.entry(RECONSTRUCTION.to_owned()).or_default();
        for objective in self.objectives.values() {
            let Some(name) = objective.generator().filter(|name| !self.generators.contains_key(*name)) else {
                continue;
            };
            let generator = mtl_gen::Config::default_of(name)?;
            self.generators.insert(name.to_owned(), generator);
        }
        for name in self.stages.of_generators() {
            if let (false, Ok(generator)) = (self.generators.contains_key(name), mtl_gen::Config::default_of(name)) {
                self.generators.insert(name.to_owned(), generator);
            }
        }
        for name in self.stages.of_generators().map(str::to_owned).collect::<Vec<_>>() {
            let defaults = self.stage_defaults(&name);
            let settings = self.stages.settings.entry(name).or_default();
            settings.batch.get_or_insert(defaults.batch);
            settings.minutes_share.get_or_insert(defaults.minutes_share);
            settings.validations.get_or_insert(defaults.validations);
            settings.patience.get_or_insert(defaults.patience);
        }
        Ok(())
    }

    /// Whether the generators are those that [`AUTO`] is for this budget.
    fn has_auto_generators(&self) -> bool {
        let mut auto = Stages::default();
        auto.resolve_auto(self.budget.is_long());
        self.stages.of_generators().eq(auto.of_generators())
    }

    /// Whether the joint stage runs.
    pub fn runs_joint(&self) -> bool {
        self.stages.runs(JOINT)
    }

    /// Images per step of a stage.
    pub fn batch(&self, stage: &str) -> usize {
        match stage {
            JOINT => self.stages.joint.batch,
            other => self.stages.settings(other).batch.unwrap_or_else(|| self.stage_defaults(other).batch),
        }
    }

    /// Share of `budget.minutes` of a stage, relative to those of the other stages.
    pub fn minutes_share(&self, stage: &str) -> f64 {
        match stage {
            JOINT => self.stages.joint.minutes_share,
            other => {
                self.stages.settings(other).minutes_share.unwrap_or_else(|| self.stage_defaults(other).minutes_share)
            }
        }
    }

    /// Minutes of a stage, if the budget is in minutes.
    pub fn minutes(&self, stage: &str) -> Option<f64> {
        let all: f64 = self.stages.run.iter().map(|stage| self.minutes_share(stage)).sum();
        self.budget.minutes.map(|minutes| minutes * self.minutes_share(stage) / all)
    }

    /// Steps of the joint stage on so many training images, if the budget is not in minutes.
    pub fn joint_steps(&self, training_images: usize) -> u64 {
        let batches = (training_images / self.stages.joint.batch).max(1);
        let epochs = || self.budget.epochs.map(|epochs| (epochs * batches as f64).ceil() as u64);
        self.budget.steps.or_else(epochs).unwrap_or(DEFAULT_STEPS).max(1)
    }

    /// Writes out the settings of generators that depend on the length of their stage.
    pub fn resolve_lengths(&mut self, training_images: usize) {
        let joint = self.joint_steps(training_images);
        let length = |name: &str| match self.minutes(name) {
            Some(minutes) => StageLength::Minutes(minutes),
            None => StageLength::Steps(self.steps(name, joint)),
        };
        let resolved = self.generators.iter().map(|(name, config)| (name.clone(), config.resolved(length(name))));
        self.generators = resolved.collect();
    }

    /// Number of validations of a generator's stage, and validations without a better value until it ends.
    pub fn validations(&self, stage: &str) -> (u64, u64) {
        let (own, defaults) = (self.stages.settings(stage), self.stage_defaults(stage));
        (own.validations.unwrap_or(defaults.validations), own.patience.unwrap_or(defaults.patience))
    }

    /// Steps of a stage, when the joint stage has `joint` steps.
    pub fn steps(&self, stage: &str, joint: u64) -> u64 {
        match stage {
            JOINT => joint,
            other => self
                .stages
                .settings(other)
                .steps
                .unwrap_or_else(|| (joint as f64 * self.stage_defaults(other).steps_ratio).ceil() as u64),
        }
    }

    /// The defaults that a generator has for its stage.
    fn stage_defaults(&self, name: &str) -> StageDefaults {
        let named = || mtl_gen::Config::default_of(name).unwrap_or_default();
        self.generators.get(name).cloned().unwrap_or_else(named).stage_defaults()
    }

    /// The model's settings for the stages that run: objectives only with the joint stage; of the generators those that a
    /// stage trains, and those of objectives that are trained here or loaded from another run.
    pub fn model(&self) -> ModelConfig {
        let joint = self.runs_joint();
        let objective = |name: &str| {
            (joint || self.model.init_from.is_some())
                && self.objectives.values().any(|objective| objective.generator() == Some(name))
        };
        let used = |name: &String| self.stages.runs(name) || objective(name);
        let generators = self.generators.iter().filter(|(name, _)| used(name));
        ModelConfig {
            seed: self.seed,
            trunk: self.model.trunk.clone(),
            sharing: self.model.sharing.clone(),
            heads: self.heads.clone(),
            generators: generators.map(|(name, config)| (name.clone(), config.clone())).collect(),
            objectives: if joint { self.objectives.clone() } else { BTreeMap::new() },
        }
    }
}

/// Encoder, sharing, initial weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Run folder that trunk, heads and generators take their initial weights from; tasks, size and trunk must be equal. With
    /// it, `stages.run=["gan"]` trains a GAN on a trained trunk, and `joint` continues training. Default: none, random weights.
    pub init_from: Option<PathBuf>,
    /// The shared encoder: `[model.trunk.resnet]` or `[model.trunk.convnet]`.
    pub trunk: mtl_trunk::Config,
    /// How the tasks share the encoder: `[model.sharing.hard]`.
    pub sharing: sharing::Config,
    /// The classification task whose classes condition the generators. Default: the first one.
    pub condition_on: Option<String>,
}

/// Length of training. At most one of `steps`, `epochs` and `minutes` is given; generator stages follow in proportion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Steps of the joint stage. Default 800, if nothing else is given.
    pub steps: Option<u64>,
    /// Epochs of the joint stage: passes over the training images, or, with a sampler that draws some of them more often than
    /// others, over as many images.
    pub epochs: Option<f64>,
    /// Minutes for all stages together, divided by each stage's `minutes_share`. The number of steps then follows from the
    /// measured speed, updated every 32 steps, so that two such runs differ, and a resumed one from an uninterrupted one.
    pub minutes: Option<f64>,
}

impl Budget {
    /// Whether [`AUTO`] is `flow`.
    pub(super) fn is_long(&self) -> bool {
        self.minutes.is_some_and(|minutes| minutes >= FLOW_MINUTES)
            || self.steps.is_some_and(|steps| steps >= FLOW_STEPS)
    }
}

/// Files written while training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Output {
    /// Folder that run folders are created in. Default `runs`.
    pub dir: PathBuf,
    /// Name of the run; a number is appended. Default: the data set's.
    pub name: Option<String>,
    /// Steps between checkpoints. Default: a tenth of the stage.
    pub checkpoint_every: Option<u64>,
    /// Pictures of samples per generator stage. Default 8.
    pub pictures: u64,
}

impl Default for Output {
    fn default() -> Self {
        Self { dir: "runs".into(), name: None, checkpoint_every: None, pictures: 8 }
    }
}
