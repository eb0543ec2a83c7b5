//! What a run is, as written in a TOML file: every key, its unit, its default and why.
//!
//! The file is read strictly (an unknown key is an error with a suggestion); [`crate::settings`] merges preset, file and
//! `--set` overrides into one [`Config`], and [`crate::plan`] checks it against the data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mtl_data::{Mixing, OpenOptions, augment, scenes, split};
use mtl_tensor::optim;
use serde::{Deserialize, Serialize};

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The number all chance of the run follows from. Default 0.
    pub seed: u64,
    /// `cpu` (default), `cuda`, `cuda:1` or `metal`; the last two need a program built with that feature.
    pub device: String,
    /// Image size, `64` or `64x128` (height x width); both divisible by 8, 32 to 256. Default 64.
    #[serde(deserialize_with = "text_or_number")]
    pub size: String,
    /// What is trained, in this order: `joint`, then `vae` and `gan` with the learnt trunk. Default all three.
    pub stages: Vec<Stage>,
    /// Where images come from.
    pub data: Data,
    /// The networks.
    pub model: Model,
    /// Settings of single heads: `[heads.TASK.KIND]`.
    pub heads: BTreeMap<String, mtl_heads::Config>,
    /// How the tasks' losses become one step.
    pub balancer: mtl_balance::Config,
    /// What is put around that method: averages of its weights, an update every few steps, lengths of gradients and update.
    pub balancing: mtl_balance::Wrap,
    /// How long to train.
    pub budget: Budget,
    /// The joint stage.
    pub joint: Joint,
    /// The VAE stage.
    pub vae: GeneratorStage,
    /// The GAN stage.
    pub gan: GeneratorStage,
    /// What is written while training.
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
            stages: vec![Stage::Joint, Stage::Vae, Stage::Gan],
            data: Data::default(),
            model: Model::default(),
            heads: BTreeMap::new(),
            balancer: mtl_balance::Config::default(),
            balancing: mtl_balance::Wrap::default(),
            budget: Budget::default(),
            joint: Joint::default(),
            vae: GeneratorStage::default(),
            gan: GeneratorStage { batch: 32, ..GeneratorStage::default() },
            output: Output::default(),
        }
    }
}

impl Config {
    /// Images a step of a stage.
    pub fn batch(&self, stage: Stage) -> usize {
        match stage {
            Stage::Joint => self.joint.batch,
            Stage::Vae => self.vae.batch,
            Stage::Gan => self.gan.batch,
        }
    }
}

/// A part of the run with its own loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Trunk, heads and reconstruction together.
    Joint,
    /// VAE on the learnt trunk's features; trunk and heads stay as they are.
    Vae,
    /// GAN whose critic uses the learnt trunk; trunk and heads stay as they are.
    Gan,
}

impl Stage {
    /// As in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Joint => "joint",
            Self::Vae => "vae",
            Self::Gan => "gan",
        }
    }
}

/// Where images come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// A folder of images; without one, and without `sources`, the built-in scenes are drawn.
    pub path: Option<PathBuf>,
    /// Names of the tasks to learn; without, all that have labels.
    pub tasks: Option<Vec<String>>,
    /// Several folders in place of `path`, each with the tasks it has labels for: `[[data.sources]]`.
    pub sources: Vec<SourceFolder>,
    /// How often each source is seen while training: `[data.mixing.temperature]`, `proportional`, `uniform` or
    /// `round_robin`. Default: `proportional`, every image once an epoch.
    pub mixing: Mixing,
    /// How folders are opened.
    pub open: OpenOptions,
    /// The built-in scenes.
    pub scenes: scenes::Config,
    /// Sides of the split.
    pub split: split::Config,
    /// Random views of the training images.
    pub augment: augment::Config,
    /// Loader threads and memory.
    pub loader: LoaderLimits,
}

/// One of several folders of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFolder {
    /// The folder.
    pub path: PathBuf,
    /// What messages call it. Default: the folder's name.
    #[serde(default)]
    pub name: Option<String>,
    /// Only these of the tasks it has labels for, by the folder's own names; an empty list leaves images without labels.
    /// Default: all.
    #[serde(default)]
    pub tasks: Option<Vec<String>>,
    /// Other names for its tasks (`rename = { class = "leaf" }`): of one name and one list of classes are tasks that are
    /// one.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    /// How it is opened. Default: as `data.open` says.
    #[serde(default)]
    pub open: Option<OpenOptions>,
}

impl SourceFolder {
    /// A folder with all it has.
    pub fn new(path: PathBuf) -> Self {
        Self { path, name: None, tasks: None, rename: BTreeMap::new(), open: None }
    }
}

/// Threads and memory of the loader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderLimits {
    /// Worker threads that decode and augment. Default 2.
    pub workers: usize,
    /// Decoded images kept in memory, MiB. Default 384.
    pub cache_mib: usize,
}

impl Default for LoaderLimits {
    fn default() -> Self {
        Self { workers: 2, cache_mib: 384 }
    }
}

/// The networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Folder of a run whose trunk and heads this one begins with, and whose VAE if there is one; tasks, size and trunk must
    /// be the same. With it, `stages = ["gan"]` trains a GAN on a learnt trunk, and `joint` goes on learning. Default:
    /// none, random weights.
    pub from: Option<PathBuf>,
    /// The shared encoder: `[model.trunk.resnet]` or `[model.trunk.tutorial]`.
    pub trunk: mtl_trunk::Config,
    /// What gives images back from the features in the joint stage: `vae` (default), `autoencoder` (the tutorial's) or
    /// `none`. Without that stage, `vae` takes the VAE of the run in `from` along: the GAN may start from its decoder.
    pub reconstruction: ReconstructionKind,
    /// Weight of that task's loss beside the labelled ones. Default 0.2: enough to learn an encoder, and
    /// meant to be too little to bend the trunk; not compared with other values yet.
    pub reconstruction_weight: f64,
    /// How many images of a step are reconstructed: decoding is the dearest part of a step, and the first images of a
    /// shuffled batch stand for all. Default 16.
    pub reconstruction_images: usize,
    /// The classification task whose classes condition the generators. Default: the first there is.
    pub condition: Option<String>,
    /// The VAE.
    pub vae: mtl_gen::vae::Config,
    /// The GAN.
    pub gan: mtl_gen::gan::Config,
    /// The GAN's generator starts from the VAE's decoder, where there is one and both are built alike: it then has
    /// shapes and colours from the first step. Default true.
    pub warm_start: bool,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            from: None,
            trunk: mtl_trunk::Config::default(),
            reconstruction: ReconstructionKind::Vae,
            reconstruction_weight: 0.2,
            reconstruction_images: 16,
            condition: None,
            vae: mtl_gen::vae::Config::default(),
            gan: mtl_gen::gan::Config::default(),
            warm_start: true,
        }
    }
}

/// The joint stage's task without labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReconstructionKind {
    /// A VAE whose encoder is the trunk.
    Vae,
    /// The tutorial's two transposed convolutions.
    Autoencoder,
    /// Labelled tasks only.
    None,
}

/// How long to train. Of `steps`, `epochs` and `minutes` at most one is given; each is about the joint stage's work,
/// and the generator stages follow in proportion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Steps of the joint stage. Default 800, if nothing else is given.
    pub steps: Option<u64>,
    /// Passes of the joint stage over the training images, or, with a `data.mixing` that takes some of them more often than
    /// others, over as many images.
    pub epochs: Option<f64>,
    /// Minutes for all stages together, split by `shares`. The number of steps is then set from measured speed, anew
    /// every 32 steps, so two such runs differ, and a resumed one from what it would have been.
    pub minutes: Option<f64>,
    /// Steps of the VAE stage. Default: half the joint stage's.
    pub vae_steps: Option<u64>,
    /// Steps of the GAN stage. Default: as many as the joint stage's.
    pub gan_steps: Option<u64>,
    /// Shares of the minutes for joint, VAE and GAN; stages that are not run give theirs to the others.
    /// Default 0.7, 0.08, 0.22.
    pub shares: [f64; 3],
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: None, epochs: None, minutes: None, vae_steps: None, gan_steps: None, shares: [0.7, 0.08, 0.22] }
    }
}

/// The joint stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Joint {
    /// Images a step. Default 64.
    pub batch: usize,
    /// Update rule. Default AdamW.
    pub optimizer: optim::Config,
    /// Learning rate: linear warm-up, then half a cosine.
    pub schedule: optim::Schedule,
    /// Longest gradient, all parameters together; longer ones are scaled down. Default 5; 0 is no limit.
    pub clip: f64,
    /// Decay of the weight average that is evaluated. Default 0.99 a step.
    pub ema: f64,
    /// Evaluations on validation images over the run. Default 20.
    pub evaluations: u64,
    /// Stop after this many evaluations without a better validation score; 0 (default 8) never stops early.
    pub patience: u64,
    /// Compare the tasks' gradients every so many steps, for the log and the words at the end; 0 is never. Costs a backward pass
    /// of the trunk for each task but one in such a step, unless the balancer pays for it anyway. Default 25: 2 to 3 % of the
    /// time with four tasks.
    pub compare_every: u64,
    /// Average predictions over each image and its mirror image when scoring and predicting. Default true.
    pub mirrored: bool,
}

impl Default for Joint {
    fn default() -> Self {
        Self {
            batch: 64,
            optimizer: optim::Config::default(),
            schedule: optim::Schedule::default(),
            clip: 5.0,
            ema: 0.99,
            evaluations: 20,
            patience: 8,
            compare_every: 25,
            mirrored: true,
        }
    }
}

/// A generator's stage. Update rules and peak learning rates are the generator's own (`mtl list generators`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratorStage {
    /// Images a step. Default 64 for the VAE, 32 for the GAN.
    pub batch: usize,
    /// Multiplies the generator's own learning rates. Default 1.
    pub rate: f64,
    /// Share of the stage spent warming up. Default 0.02.
    pub warmup: f64,
    /// Learning rate at the end as a share of the peak. Default 0.1.
    pub floor: f64,
    /// Longest gradient of a phase; 0 is no limit. Default 10.
    pub clip: f64,
    /// Decay of the weight average that is sampled. Default 0.99.
    pub ema: f64,
}

impl Default for GeneratorStage {
    fn default() -> Self {
        Self { batch: 64, rate: 1.0, warmup: 0.02, floor: 0.1, clip: 10.0, ema: 0.99 }
    }
}

/// What is written while training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Output {
    /// Folder that run folders are made in. Default `runs`.
    pub dir: PathBuf,
    /// Name of the run; a number is appended. Default: the data set's.
    pub name: Option<String>,
    /// Steps between checkpoints. Default: ten a stage. Without checkpoints a killed run has nothing to resume from.
    pub checkpoint_every: Option<u64>,
    /// Pictures of samples over each generator stage. Default 8.
    pub pictures: u64,
}

impl Default for Output {
    fn default() -> Self {
        Self { dir: "runs".into(), name: None, checkpoint_every: None, pictures: 8 }
    }
}
