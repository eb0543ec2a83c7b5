//! Errors of generators.

use crate::Phase;

/// Error of building, training or sampling a generator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An image size that generators do not support.
    #[error("images of {height}x{width}: generators need height and width divisible by 8, from 32 to 256")]
    Size {
        /// Height of the images, in pixels.
        height: usize,
        /// Width of the images, in pixels.
        width: usize,
    },
    /// A number of channels that generators do not support.
    #[error("images of {channels} channels: generators make images of 1 (grey) or 3 (colour) channels")]
    Channels {
        /// Channels of the images.
        channels: usize,
    },
    /// A trunk without taps.
    #[error("the trunk has no taps; generators need a trunk with at least one")]
    NoTaps,
    /// A trunk without a tap of the stride that is needed.
    #[error("the trunk has no tap of stride {stride}, which {reader} reads")]
    MissingTap {
        /// The stride, in image pixels.
        stride: usize,
        /// The network that reads it.
        reader: &'static str,
    },
    /// A setting out of range.
    #[error("{key} = {value}: {problem}")]
    Option {
        /// Its key in the configuration.
        key: String,
        /// Its value.
        value: String,
        /// The values allowed.
        problem: String,
    },
    /// Parameters that cannot be copied.
    #[error("cannot copy the parameters below `{from}` to `{to}`: {problem}")]
    Copy {
        /// Prefix of the names of the source.
        from: String,
        /// Prefix of the names of the destination.
        to: String,
        /// The parameter that is missing or has another shape.
        problem: String,
    },
    /// A label outside the classes.
    #[error("class {class} of a generator with {classes} classes (0 to {}; negative for none)", .classes.saturating_sub(1))]
    Class {
        /// The label.
        class: i32,
        /// Number of classes.
        classes: usize,
    },
    /// A number of labels that differs from the number of images.
    #[error("{labels} labels for {images} images; one per image is needed (negative where missing)")]
    Labels {
        /// Number of labels.
        labels: usize,
        /// Number of images or rows.
        images: usize,
    },
    /// A phase that the generator does not have.
    #[error("no phase {phase}; phases by index from 0: {}", .known.join(", "))]
    Phase {
        /// The index.
        phase: usize,
        /// Names of the phases, in order.
        known: Vec<&'static str>,
    },
    /// A training step before the features of the training images are known.
    #[error("feature matching needs the training images: complete `Generator::reference_fit` before the first step")]
    NoReference,
    /// A step whose last phase has been taken.
    #[error("the last phase of this step has been taken; begin the next step")]
    StepOver,
    /// NaN or infinite values.
    #[error(
        "{what} is not finite; the model has diverged: lower the learning rate or go back to an earlier checkpoint"
    )]
    NonFinite {
        /// The value.
        what: String,
    },
    /// The loss of a task on the discriminator's features failed.
    #[error("{source}")]
    Task {
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] mtl_tensor::Error),
}

impl Error {
    /// The error for a setting, by its key relative to the generator's table.
    pub(crate) fn option(key: impl Into<String>, value: impl std::fmt::Debug, problem: impl Into<String>) -> Self {
        Self::Option { key: key.into(), value: format!("{value:?}"), problem: problem.into() }
    }

    /// The same error with the key of a setting below `table`.
    pub(crate) fn below(self, table: &str) -> Self {
        match self {
            Self::Option { key, value, problem } => Self::Option { key: format!("{table}.{key}"), value, problem },
            other => other,
        }
    }

    /// Checks that there is one label per image or latent of a batch.
    ///
    /// # Errors
    /// [`Self::Labels`].
    pub(crate) fn check_labels(labels: &[i32], batch: &mtl_tensor::Tensor) -> Result<(), Self> {
        let images = batch.dim(0)?;
        if labels.len() == images { Ok(()) } else { Err(Self::Labels { labels: labels.len(), images }) }
    }

    /// The error for a phase index beyond `phases`.
    pub(crate) fn phase(phase: usize, phases: &[Phase]) -> Self {
        Self::Phase { phase, known: phases.iter().map(|phase| phase.name).collect() }
    }
}
