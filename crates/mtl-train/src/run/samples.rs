//! Validation of a generator's stage: samples against validation images.

use mtl_data::concat::spread;
use mtl_gen::{Batch, Generator};
use mtl_metrics::generation::GenerationScore;

use super::collapse;
use super::stage::RunContext;
use crate::error::Result;
use crate::eval::generation::images::Images;
use crate::eval::generation::random::{RandomFeatures, RandomNetworks};
use crate::record::Signs;

/// Validation images and samples that are compared at most.
const IMAGES: usize = 256;
/// With fewer validation images the differences between steps are chance, and the last step is as good a choice.
const FEWEST: usize = 50;

/// Validation images in the features of the networks `random`.
pub(super) struct Validator {
    networks: RandomNetworks,
    real: RandomFeatures,
    /// Training images, for the gap of a discriminator.
    training: Images,
    /// The validation images.
    validation: Images,
    /// Classes of the samples: those of the validation images.
    labels: Vec<i32>,
}

impl Validator {
    /// Whether there are enough validation images.
    pub fn supported(run: &RunContext) -> bool {
        run.plan.split.validation.len() >= FEWEST
    }

    /// # Errors
    /// Images that cannot be read.
    pub fn new(run: &RunContext) -> Result<Self> {
        let plan = &run.plan;
        let take = |rows: Vec<usize>| -> Vec<usize> {
            let mut rows = spread(&*plan.dataset, &rows);
            rows.truncate(IMAGES);
            rows
        };
        // Features are scaled by training images, so that the scale does not depend on the images that are scored.
        let training = Images::real(plan, &take(plan.real_training_rows().collect()))?;
        let validation = Images::real(plan, &take(plan.split.validation.clone()))?;
        let networks = RandomNetworks::new(plan.schema.channels, &training, &run.device)?;
        let real = networks.features(&validation, &run.device)?;
        let labels = if plan.schema.condition_classes().is_empty() {
            vec![-1; validation.len()]
        } else {
            validation.classes.clone()
        };
        Ok(Self { networks, real, training, validation, labels })
    }

    /// KID of one sample per validation image, and signs of failure. The latents are the same in every validation, so that values
    /// differ by the generator alone.
    ///
    /// # Errors
    /// Samples that are not finite.
    pub fn compare(&self, run: &RunContext, generator: &dyn Generator) -> Result<(GenerationScore, Signs)> {
        let mut stream = run.plan.seed.stream("validation samples", &[]);
        let samples = Images::sampled(generator, &self.labels, &mut stream)?;
        let features = self.networks.features(&samples, &run.device)?;
        let mut signs = collapse::signs_of((&self.real, &self.labels), (&features, &self.labels))?;
        let images = [&self.training, &self.validation, &samples];
        signs.gap = collapse::gap(generator, run.model.trunk(), images, &run.device)?;
        Ok((self.real.kid(&features)?, signs))
    }

    /// Mean loss of the validation images, of a generator that has one. Its noise is the same in every validation.
    ///
    /// # Errors
    /// A loss that is not finite.
    pub fn loss(&self, run: &RunContext, generator: &dyn Generator) -> Result<Option<f64>> {
        let mut stream = run.plan.seed.stream("validation noise", &[]);
        let (mut sum, mut done) = (0.0, 0);
        for images in self.validation.batches(&run.device) {
            let images = images?;
            let classes = &self.labels[done..][..images.dim(0)?];
            let batch = Batch { trunk: run.model.trunk(), images: &images, classes, progress: 1.0, task_loss: None };
            let Some(loss) = generator.validation_loss(&batch, &mut stream)? else { return Ok(None) };
            sum += loss * classes.len() as f64;
            done += classes.len();
        }
        let loss = sum / done as f64;
        if !loss.is_finite() {
            return Err(mtl_model::Error::NonFinite { what: "the loss on validation images".to_owned() }.into());
        }
        Ok(Some(loss))
    }
}
