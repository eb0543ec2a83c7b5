//! Configuration keys of the tests that train, in one place; only tests of a single key name others.

/// The smallest networks and batches.
pub const TINY: &[&str] = &[
    "size='32'",
    "data.scenes.count=60",
    "data.scenes.size=32",
    "stages.joint.batch=8",
    "stages.joint.validations=2",
    "stages.vae.batch=8",
    "stages.gan.batch=8",
    "model.trunk.resnet.widths=[8,8,16]",
    "model.trunk.resnet.blocks=1",
    "generators.vae.vae.decoder.latent=8",
    "generators.gan.gan.decoder.latent=8",
    "output.pictures=1",
    "data.loader.cache_mib=16",
];

/// A preset's own networks, few images and small batches.
pub const SHORT: &[&str] = &[
    "data.scenes.count=60",
    "stages.joint.batch=8",
    "stages.joint.validations=2",
    "stages.vae.batch=8",
    "stages.gan.batch=8",
    "output.pictures=1",
    "data.loader.cache_mib=16",
];

/// Few steps, and gradients compared in every second one.
pub const STEPS: &[&str] =
    &["budget.steps=6", "stages.vae.steps=3", "stages.gan.steps=4", "stages.joint.gradient_stats_every=2"];

/// Stages.
pub const JOINT: &str = "stages.run=['joint']";
pub const VAE: &str = "stages.run=['vae']";
pub const GAN: &str = "stages.run=['gan']";
pub const JOINT_VAE: &str = "stages.run=['joint','vae']";
pub const JOINT_GAN: &str = "stages.run=['joint','gan']";

/// Discriminators.
pub const GAN_SCRATCH: &str = "generators.gan.gan.mode='scratch'";
pub const GAN_FINETUNED: &str = "generators.gan.gan.mode='finetuned'";
pub const GAN_HYBRID: &str = "generators.gan.gan.mode='hybrid'";

/// The reconstruction task.
pub const AUTOENCODER: &str = "objectives.reconstruction='autoencoder'";
pub const NO_RECONSTRUCTION: &str = "objectives.reconstruction='none'";

/// Networks and data.
pub const OBLONG: &str = "size='32x40'";
pub const ONE_TASK: &str = "data.tasks=['class']";
pub const FULL_STEM: &str = "model.trunk.resnet.stem='full'";
/// Two blocks per stage.
pub const DEEPER: &str = "model.trunk.resnet.blocks=2";
/// No batch statistics in the trunk and in the heads of the folders' tasks.
pub const GROUP_NORM: &[&str] = &["model.trunk.resnet.norm='group'", "heads.mask.segmentation.norm='group'"];
pub const SAMPLING_UNIFORM: &str = "data.sampling='uniform'";
pub const SAMPLING_TEMPERATURE: &str = "data.sampling.temperature.t=3.0";
pub const SAMPLING_ROUND_ROBIN: &str = "data.sampling='round_robin'";
pub const SGD: &str = "stages.joint.optimizer.sgd.momentum=0.8";
pub const NO_EMA_NO_CLIPPING: &[&str] =
    &["stages.joint.ema_decay=0.0", "stages.joint.clip_grad_norm=0.0", "stages.joint.flip_tta=false"];

/// Balancers, one per kind of signal.
pub const FIXED: &str = "balancer.fixed.weights={class=0.5,parts=2.0}";
pub const LOSSES: &str = "balancer='uncertainty'";
pub const LOSSES_AFTER_THE_STEP: &str = "balancer='famo'";
pub const LOOKAHEAD: &str = "balancer='auto_lambda'";
pub const FEATURE_GRAM: &str = "balancer.upgrad.gradients_wrt='representation'";
pub const TRUNK_GRAM: &str = "balancer='pcgrad'";
pub const GRADIENTS: &str = "balancer='graddrop'";
pub const SPLIT_BATCH: &str = "balancer='modo'";
/// Options of a balancer.
pub const BALANCER_OPTIONS: &[&str] =
    &["balancer='nash_mtl'", "balancer_options.every=2", "balancer_options.ema=0.5", "balancer_options.normalise=true"];

/// Settings that are refused.
pub const MISTAKES: &[&str] = &[
    "stages.joint.bach=4",
    "jont.batch=4",
    "stages.joint.batch",
    "stages.joint.batch=x",
    "stages.joint.batch=1",
    "joint=3",
    "stages.joint.ema_decay=1.5",
    "stages.joint.clip_grad_norm=-1",
    "stages.joint.schedule.lr=0",
    "stages.run=['gan','joint']",
    "stages.run=['joined']",
    "stages.gan.steps=0",
    "balancer=pcgard",
    "balancer.cagrad.c=-1",
    "balancer.fixed.weights={clas=1.0}",
    "balancer_options.normalise=true",
    "balancer_options.ema=2",
    "data.tasks=['clas']",
    "data.split.validation=0",
    "data.sampling.temperature.t=0",
    "data.augment.hflip=2",
    "heads.part.segmentation={}",
    "heads.class.segmentation={}",
    "model.condition_on=parts",
    "generators.gan.gan.mode=alive",
    "model.trunk=resnt",
];

/// Configuration files that are refused.
pub const MISTAKEN_FILES: &[(&str, &str)] = &[
    ("key.toml", "seed = 1\n\n[stages.joint]\nbatch = 8\nclipp = 1\n"),
    ("type.toml", "seed = 1\n\n[stages.joint]\nbatch = \"eight\"\n"),
    ("syntax.toml", "seed = 1\n[stages.joint\nbatch = 8\n"),
    ("budgets.toml", "[budget]\nsteps = 3\nepochs = 2\n"),
];

pub const UNKNOWN_SAMPLING: &str = "data.sampling=unifrom";
/// No broken file is skipped.
pub const NONE_MAY_BE_BROKEN: &str = "data.open.max_broken=0";
/// Losses that become NaN after a step or two.
pub const DIVERGES: &[&str] =
    &["stages.joint.schedule.lr=1e30", "stages.joint.clip_grad_norm=0.0", "stages.joint.validations=1"];
