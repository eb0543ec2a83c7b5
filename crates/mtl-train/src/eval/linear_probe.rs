//! Labels as a linear probe on the trunk's features sees them, each image by a fit without it.

use std::collections::HashMap;
use std::sync::Arc;

use mtl_data::{Dataset, Loader, loader};
use mtl_metrics::probe::Probe;
use mtl_rng::Seed;
use mtl_tensor::{Ctx, Tensor, ops, to_f64};

use crate::data::size_of;
use crate::error::Result;
use crate::store::LoadedRun;

/// Number of folds.
pub(super) const FOLDS: usize = 5;
/// Classes with fewer labelled images are not judged.
const FEWEST: usize = 2 * FOLDS;

/// Features of all images, `[n, width]`: the mean over the pixels of every tap.
pub(super) struct Features {
    values: Vec<f32>,
    width: usize,
    /// Hash of the stored bytes of each image.
    hashes: Vec<Option<u64>>,
}

/// What the probe sees of one task.
pub(super) struct Probed {
    /// The label of each image; `None` also where its class has too few images.
    pub labels: Vec<Option<usize>>,
    /// `[n, classes]`.
    pub probabilities: Vec<f64>,
    /// Classes with too few images.
    pub rare: Vec<usize>,
}

impl Features {
    /// Runs the trunk on every image.
    ///
    /// # Errors
    /// An image that can no longer be read.
    pub(super) fn of(trained: &LoadedRun, dataset: &Arc<dyn Dataset>) -> Result<Self> {
        let rows: Vec<usize> = (0..dataset.len()).collect();
        let hashes = rows.iter().map(|&row| dataset.content_hash(row)).collect::<std::result::Result<_, _>>()?;
        let plain = loader::Config::plain(trained.config.stages.joint.batch);
        let loader = Loader::new(Arc::clone(dataset), rows, size_of(&trained.schema), plain, Seed::new(0))?;
        let (mut values, mut width) = (Vec::new(), 0);
        for batch in loader.epoch(0, 0)? {
            let batch = batch?;
            let images = Tensor::from_slice(&batch.images, batch.shape.to_vec(), &trained.device)?;
            let features = trained.model.sharing.forward(&images, &Ctx::eval())?;
            let taps = &features.of(0).taps;
            let means = taps.iter().map(ops::global_avg_pool).collect::<mtl_tensor::Result<Vec<_>>>()?;
            let means = Tensor::cat(&means, 1)?;
            width = means.dim(1)?;
            values.extend(to_f64(&means)?.into_iter().map(|value| value as f32));
        }
        Ok(Self { values, width, hashes })
    }

    /// Probabilities of the classes from the fits of the other folds; `None` with fewer than two classes that have enough images.
    pub(super) fn probe(&self, task: &str, labels: &[Option<usize>], classes: usize) -> Option<Probed> {
        let mut counts = vec![0_usize; classes];
        labels.iter().flatten().for_each(|&class| counts[class] += 1);
        let enough = |class: usize| counts[class] >= FEWEST;
        if (0..classes).filter(|&class| enough(class)).count() < 2 {
            return None;
        }
        let rare = (0..classes).filter(|&class| counts[class] > 0 && !enough(class)).collect();
        let labels: Vec<Option<usize>> = labels.iter().map(|label| label.filter(|&class| enough(class))).collect();
        let folds = self.folds(task, &labels);
        let (features, width) = (&self.values[..], self.width);
        let probe = Probe { features, width, labels: &labels, classes, folds: &folds };
        let probabilities = probe.out_of_fold();
        Some(Probed { labels, probabilities, rare })
    }

    /// A fold per image, each class divided evenly. Equal images are in one fold: no fit has seen the image that it judges.
    fn folds(&self, task: &str, labels: &[Option<usize>]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..labels.len()).collect();
        Seed::new(0).stream(&format!("probe/{task}"), &[]).shuffle(&mut order);
        order.sort_by_key(|&at| labels[at]);
        let mut folds = vec![0; labels.len()];
        let mut of_image: HashMap<u64, usize> = HashMap::new();
        for (place, at) in order.into_iter().enumerate() {
            let fold = place % FOLDS;
            folds[at] = self.hashes[at].map_or(fold, |hash| *of_image.entry(hash).or_insert(fold));
        }
        folds
    }
}
