//! The interface of generators: phases of a training step, losses, sampling, and optional roles in other stages.

use std::collections::BTreeMap;

use mtl_rng::{Seed, Stream};
use mtl_tensor::{Ctx, Tensor, Var, optim};
use mtl_trunk::{Features, TapSpec, Trunk, TrunkConfig};

use crate::{Error, Sampling, decoder};

/// Input of a generator's construction: the trunk, the image format and the number of classes.
#[derive(Clone, Copy, Debug)]
pub struct GeneratorInput<'a> {
    /// Settings of the shared trunk. A discriminator with a backbone of its own has the same architecture.
    pub trunk: &'a dyn TrunkConfig,
    /// Taps of the shared trunk, finest first.
    pub taps: &'a [TapSpec],
    /// Height and width of the images, in pixels: divisible by 8, from 32 to 256.
    pub size: (usize, usize),
    /// Image channels: 1 or 3.
    pub channels: usize,
    /// Number of classes that condition the images; 0: unconditional.
    pub classes: usize,
}

impl GeneratorInput<'_> {
    /// # Errors
    /// A size or number of channels that generators do not support.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let fits = |side: usize| side.is_multiple_of(8) && (32..=256).contains(&side);
        if !fits(self.size.0) || !fits(self.size.1) {
            return Err(Error::Size { height: self.size.0, width: self.size.1 });
        }
        if self.channels != 1 && self.channels != 3 {
            return Err(Error::Channels { channels: self.channels });
        }
        Ok(())
    }
}

/// Data of one training step.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    /// The shared trunk.
    pub trunk: &'a dyn Trunk,
    /// `[B, C, H, W]` in `[-1, 1]`.
    pub images: &'a Tensor,
    /// One class per image, negative where missing.
    pub classes: &'a [i32],
    /// Completed fraction of this stage's training, 0 to 1.
    pub progress: f64,
    /// Loss of the labelled tasks, given features of this batch's real images. A finetuned discriminator adds it to its own
    /// loss. `None`: no tasks.
    pub task_loss: Option<&'a TaskLossFn<'a>>,
}

/// Loss of the labelled tasks as a function of features of the batch's real images. `None` if no image has a label. The
/// heads' parameters are constants in it: only the features carry gradients.
pub type TaskLossFn<'a> = dyn Fn(&Features) -> Result<Option<TaskLoss>, Error> + 'a;

/// Loss of the labelled tasks.
#[derive(Clone, Debug)]
pub struct TaskLoss {
    /// Sum over the tasks, before the weight: a scalar.
    pub total: Tensor,
    /// Loss of each task by the name `task/NAME`, before the weight.
    pub terms: Vec<(String, f64)>,
}

/// A part of a training step with an optimizer of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Name in progress bars and logs: `vae`, `critic`, `generator`.
    pub name: &'static str,
    /// Name prefixes of the parameters it optimizes.
    pub prefixes: Vec<String>,
    /// Factors of the learning rate, by name prefix. Default: 1.
    pub lr_scales: Vec<(String, f64)>,
    /// The optimizer.
    pub optimizer: optim::Config,
    /// The peak learning rate.
    pub lr: f64,
}

impl Phase {
    /// The parameters that this phase optimizes. Gradients of all others are to be dropped.
    pub fn of(&self, parameters: &BTreeMap<String, Var>) -> BTreeMap<String, Var> {
        let own = |name: &str| self.prefixes.iter().any(|prefix| has_prefix(name, prefix));
        parameters.iter().filter(|(name, _)| own(name)).map(|(name, var)| (name.clone(), var.clone())).collect()
    }

    /// Factor of the learning rate for the parameter `name`.
    pub fn lr_scale(&self, name: &str) -> f64 {
        self.lr_scales.iter().find(|(prefix, _)| has_prefix(name, prefix)).map_or(1.0, |(_, scale)| *scale)
    }
}

/// Whether `name` is `prefix` or lies below it.
pub(crate) fn has_prefix(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A loss and its terms.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The loss to minimise: a scalar.
    pub total: Tensor,
    /// Terms before their weights and further values for logs, by name and in a fixed order.
    pub terms: Vec<(String, f64)>,
}

/// Input of [`Generator::prepare`].
#[derive(Clone, Copy)]
pub struct Prepare<'a> {
    /// Name prefix of the shared trunk's parameters.
    pub trunk_name: &'a str,
    /// The shared trunk.
    pub trunk: &'a dyn Trunk,
    /// Training images `[B, C, H, W]` in `[-1, 1]`, for statistics of features.
    pub images: &'a Tensor,
    /// The model's generators by name.
    pub generator: &'a dyn Fn(&str) -> Option<&'a dyn Generator>,
}

impl<'a> Prepare<'a> {
    /// The decoder of the generator `name` as a start of the generator `own`, whose decoder has the settings `decoder`; else a note
    /// that says why it starts at random.
    pub(crate) fn source(&self, own: &str, name: &str, decoder: &decoder::Config) -> Result<DecoderSource<'a>, String> {
        match (self.generator)(name).and_then(|generator| generator.decoder_source()) {
            Some(source) if source.config == decoder => Ok(source),
            Some(_) => {
                Err(format!("generator `{own}` starts at random: generator `{name}` has other decoder settings"))
            }
            None => Err(format!("generator `{own}` starts at random: there is no decoder of a generator `{name}`")),
        }
    }
}

/// A network that samples new images.
pub trait Generator: Send + Sync + std::fmt::Debug {
    /// The phases of one training step, in order.
    fn phases(&self) -> &[Phase];

    /// Completed fraction of the training of one phase when `progress` of the stage is completed, for its learning rate. `None`:
    /// this part of the stage does not train the phase. Default: `progress`, every phase is trained in every step.
    ///
    /// # Errors
    /// A device that fails.
    fn phase_progress(&self, _phase: usize, progress: f64) -> Result<Option<f64>, Error> {
        Ok(Some(progress))
    }

    /// A fit to features of training images that is due before the step at `progress`, where one part of the stage ends and the
    /// next one begins, on averaged weights, which the next part keeps. Its result is stored with the model's parameters. Default: none.
    ///
    /// # Errors
    /// A device that fails.
    fn due_fit(&self, _progress: f64) -> Result<Option<Box<dyn PriorFit + '_>>, Error> {
        Ok(None)
    }

    /// Whether the network that samples is being trained, or has been: before that part of the stage, samples are neither
    /// validated nor drawn. Default: true.
    ///
    /// # Errors
    /// A device that fails.
    fn can_sample(&self) -> Result<bool, Error> {
        Ok(true)
    }

    /// Initialisation from trained networks, once before the first step of a fresh stage. A resumed run must not call it:
    /// its effects are part of the checkpoint. Returns notes for the user.
    ///
    /// # Errors
    /// Images that do not fit, a trunk of another architecture.
    fn prepare(&self, input: &Prepare<'_>) -> Result<Vec<String>, Error>;

    /// Begins one training step and computes the inputs of all phases. The phases are then taken in order: `loss(0)`, backward
    /// pass, optimizer step, `loss(1)` and so on.
    ///
    /// # Errors
    /// Labels or images that do not fit.
    fn begin_step<'a>(&'a self, batch: &'a Batch<'a>, cx: &'a Ctx) -> Result<Box<dyn GeneratorStep + 'a>, Error>;

    /// Name prefix of the parameters that sampling uses: those of the weight average.
    fn sampled(&self) -> &str;

    /// Length of the latent vector.
    fn latent(&self) -> usize;

    /// Checks settings of sampling before the first image. Default: `truncation` within its range, and neither `guidance` nor
    /// `steps`, which only some generators have.
    ///
    /// # Errors
    /// A setting out of range, or that this generator does not have.
    fn check_sampling(&self, sampling: &Sampling) -> Result<(), Error> {
        sampling.check_truncation()?;
        let unsupported = |key: &str, value: &dyn std::fmt::Debug| {
            Err(Error::option(key, value, "this generator decodes latents in one pass and has no such setting"))
        };
        match (sampling.guidance, sampling.steps) {
            (Some(guidance), _) => unsupported("guidance", &guidance),
            (None, Some(steps)) => unsupported("steps", &steps),
            (None, None) => Ok(()),
        }
    }

    /// Draws one latent vector per label, `[B, latent]`, image by image.
    ///
    /// # Errors
    /// A label outside the classes.
    fn latents(&self, labels: &[i32], sampling: &Sampling, stream: &mut Stream) -> Result<Tensor, Error>;

    /// The mean of the latents' distribution for each label, `[B, latent]`. Default: 0.
    ///
    /// # Errors
    /// A label outside the classes.
    fn mean_latents(&self, labels: &[i32]) -> Result<Tensor, Error> {
        let any = self.latents(labels, &Sampling::default(), &mut Seed::new(0).stream("shape", &[]))?;
        Ok(any.zeros_like()?)
    }

    /// Latent vectors to images, `[B, C, H, W]` in `(-1, 1)`. An image does not depend on the others of its batch. Gradients
    /// reach `z`.
    ///
    /// # Errors
    /// A label outside the classes, shapes that do not fit.
    fn decode(&self, z: &Tensor, labels: &[i32], sampling: &Sampling) -> Result<Tensor, Error>;

    /// Latent vectors `[B, latent]` whose images with these settings resemble `images` (`[B, C, H, W]` in `[-1, 1]`), as a start of
    /// inversion. Default: none.
    ///
    /// # Errors
    /// A label outside the classes, shapes that do not fit.
    fn encode(
        &self,
        _trunk: &dyn Trunk,
        _images: &Tensor,
        _labels: &[i32],
        _sampling: &Sampling,
    ) -> Result<Option<Tensor>, Error> {
        Ok(None)
    }

    /// Samples one image per label. Equal streams give equal images; 64 images at once equal 8 times 8 from one stream.
    ///
    /// # Errors
    /// A label outside the classes.
    fn sample(&self, labels: &[i32], sampling: &Sampling, stream: &mut Stream) -> Result<Tensor, Error> {
        Ok(self.decode(&self.latents(labels, sampling, stream)?, labels, sampling)?.detach())
    }

    /// Mean loss per image of held-out images, of a generator whose loss says how well it fits their distribution: the best
    /// weights are chosen by it, and training ends once it rises. Equal streams give equal noise. `None`: a generator without
    /// such a loss, whose weights are chosen by KID. Default: none.
    ///
    /// # Errors
    /// Labels or images that do not fit.
    fn validation_loss(&self, _batch: &Batch<'_>, _stream: &mut Stream) -> Result<Option<f64>, Error> {
        Ok(None)
    }

    /// Its role as an objective of joint training. Default: none.
    fn joint(&self) -> Option<&dyn JointObjective> {
        None
    }

    /// A fit of what its loss needs of all training images. It is made at the start of a stage, fresh or resumed, and is not part of
    /// a checkpoint. Default: none.
    fn reference_fit(&self) -> Option<Box<dyn ReferenceFit + '_>> {
        None
    }

    /// Its discriminator, as a detector of overfitting. Default: none.
    fn discriminator(&self) -> Option<&dyn Discriminator> {
        None
    }

    /// A new fit of the sampling distribution to features of training images. Default: none.
    fn prior_fit(&self) -> Option<Box<dyn PriorFit + '_>> {
        None
    }

    /// The decoder that another generator may start from. Default: none.
    fn decoder_source(&self) -> Option<DecoderSource<'_>> {
        None
    }
}

/// One training step of a generator.
pub trait GeneratorStep {
    /// The loss of the phase with this index. Only gradients of the phase's parameters are meant to be used. The graph is
    /// released with the last phase, so each phase can be taken once, in order.
    ///
    /// # Errors
    /// A phase that the generator does not have, a step that is over, shapes that do not fit.
    fn loss(&mut self, phase: usize) -> Result<Loss, Error>;
}

/// A generator as one objective of joint training, together with the labelled tasks.
pub trait JointObjective: Send + Sync {
    /// The loss of a batch, given the trunk's features with their graph. `classes` holds one class per image, negative where
    /// missing.
    ///
    /// # Errors
    /// Labels or shapes that do not fit.
    fn loss(&self, features: &Features, images: &Tensor, classes: &[i32], cx: &Ctx) -> Result<Loss, Error>;

    /// Reconstructions of images from their features, `[B, C, H, W]` in `(-1, 1)`.
    ///
    /// # Errors
    /// Labels or shapes that do not fit.
    fn reconstruct(&self, features: &Features, classes: &[i32]) -> Result<Tensor, Error>;
}

/// A network that tells real from generated images while a generator trains.
pub trait Discriminator {
    /// One score per image of `[B, C, H, W]` in `[-1, 1]`, high for images that it takes for real ones; without augmentation.
    ///
    /// # Errors
    /// Labels or images that do not fit.
    fn scores(&self, trunk: &dyn Trunk, images: &Tensor, classes: &[i32]) -> Result<Vec<f64>, Error>;

    /// Raises the probability of augmentation by `by`, and returns it. `None`: its augmentation does not adapt, or cannot
    /// become more probable.
    ///
    /// # Errors
    /// A device that fails.
    fn raise_augmentation(&self, by: f64) -> Result<Option<f64>, Error>;
}

/// Streaming fit of what a generator's loss needs of training images.
pub trait ReferenceFit {
    /// Adds a batch of training images, `[B, C, H, W]` in `[-1, 1]`.
    ///
    /// # Errors
    /// Images of another format.
    fn add(&mut self, trunk: &dyn Trunk, images: &Tensor) -> Result<(), Error>;

    /// Ends the fit.
    ///
    /// # Errors
    /// No images, features that are not finite.
    fn finish(self: Box<Self>) -> Result<(), Error>;
}

/// Streaming fit of a sampling distribution to training images.
pub trait PriorFit {
    /// Adds the features of a batch, without their graph, and one class per image (negative where missing).
    ///
    /// # Errors
    /// Features of another trunk.
    fn add(&mut self, features: &Features, classes: &[i32]) -> Result<(), Error>;

    /// Fits the distribution and stores it with the model's parameters.
    ///
    /// # Errors
    /// No images, another number of labels, values that are not finite.
    fn finish(self: Box<Self>) -> Result<(), Error>;
}

/// A trained decoder that another generator may start from.
#[derive(Clone, Copy, Debug)]
pub struct DecoderSource<'a> {
    /// Settings of the decoder; both decoders must have the same.
    pub config: &'a decoder::Config,
    /// Name prefix of the decoder's parameters.
    pub decoder: &'a str,
    /// Name prefix of the prior's parameters.
    pub prior: &'a str,
    /// Name prefix of the parameters of the encoder's layers behind the trunk.
    pub encoder: &'a str,
}

/// Length of a generator's stage, relative to joint training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StageDefaults {
    /// Images per step.
    pub batch: usize,
    /// Steps, as a multiple of the joint stage's steps.
    pub steps_ratio: f64,
    /// Share of the run's time limit, 0 to 1.
    pub minutes_share: f64,
    /// Number of validations.
    pub validations: u64,
    /// Validations without a better score until the stage ends; 0: it never ends early.
    pub patience: u64,
}

/// Length of a generator's stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StageLength {
    /// In steps.
    Steps(u64),
    /// In minutes.
    Minutes(f64),
}
