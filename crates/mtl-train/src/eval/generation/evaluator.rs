//! The network `evaluator`: a classifier trained on the real training images of a run, once.
//!
//! It shares no weights, architecture, seed or step with the run's trunk or generators, so what generators learned from the trunk
//! does not help them here. Its features are those before the last layer, standardised over the real training images. It is
//! kept in the run folder, with the hash of everything it depends on.

use std::collections::BTreeMap;
use std::path::Path;

use mtl_metrics::generation::Features;
use mtl_metrics::{Confusion, Score};
use mtl_rng::Seed;
use mtl_tensor::layers::{ConvNorm, Linear, NormKind};
use mtl_tensor::optim::{Config, Optimizer, Schedule, collect};
use mtl_tensor::{Ctx, DType, Device, Params, Tensor, backward, ops, serial, to_f64};
use serde::{Deserialize, Serialize};

use super::images::{BATCH, Images};
use super::random::standards;
use crate::error::{Error, Result};
use crate::store::atomic::{sha256, write_atomically};

/// Name in tables and files.
pub(super) const NAME: &str = "evaluator";
/// Channels after each convolution, which halves height and width.
const CHANNELS: [usize; 4] = [32, 64, 128, 128];
/// Features per image.
const WIDTH: usize = 64;
/// Passes over the training images, within the two limits of steps.
const EPOCHS: usize = 20;
const STEPS: std::ops::RangeInclusive<usize> = 200..=1500;
const LR: f64 = 3e-3;

/// A trained classifier.
#[derive(Debug)]
pub(super) struct Evaluator {
    network: Network,
    /// Mean and standard deviation of each feature over the training images.
    scale: Vec<(f32, f32)>,
    /// SHA-256 of its weights.
    pub sha256: String,
}

#[derive(Debug)]
struct Network {
    layers: Vec<ConvNorm>,
    hidden: Linear,
    last: Linear,
    params: Params,
    device: Device,
}

/// Everything that a kept evaluator depends on, beside the images.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// Version of this file's architecture and training.
    version: u32,
    /// Channels, height and width, classes.
    shape: [usize; 4],
    /// Of the training images and their classes.
    images_sha256: String,
    /// Of the file of weights.
    weights_sha256: String,
}

const VERSION: u32 = 1;

impl Network {
    fn new(channels: usize, classes: usize, seed: u64, device: &Device) -> Result<Self> {
        let params = Params::new(Seed::new(seed).child(NAME, u64::from(VERSION)), DType::F32, device);
        let mut layers = Vec::new();
        let mut from = channels;
        for (at, to) in CHANNELS.into_iter().enumerate() {
            layers.push(ConvNorm::new(&params.scope(&format!("layer{at}")), (from, to), 3, 2, NormKind::Group)?);
            from = to;
        }
        let hidden = Linear::new(&params.scope("hidden"), from, WIDTH)?;
        let last = Linear::new(&params.scope("last"), WIDTH, classes)?;
        Ok(Self { layers, hidden, last, params, device: device.clone() })
    }

    fn hidden(&self, images: &Tensor, cx: &Ctx) -> Result<Tensor> {
        let mut x = images.clone();
        for layer in &self.layers {
            x = layer.forward(&x, true, cx)?;
        }
        Ok(ops::relu(&self.hidden.forward(&ops::global_avg_pool(&x)?)?)?)
    }

    /// Trains on the images with a class.
    fn train(&self, images: &Images, seed: u64) -> Result<()> {
        let labelled: Vec<usize> = (0..images.len()).filter(|&row| images.classes[row] >= 0).collect();
        let batch = BATCH.min(labelled.len());
        let steps = (EPOCHS * labelled.len() / batch).clamp(*STEPS.start(), *STEPS.end());
        let parameters = self.params.trainable();
        let mut optimizer = Optimizer::new(Config::default(), &parameters, |_| 1.0)?;
        let schedule = Schedule { lr: LR, ..Schedule::default() };
        let seed = Seed::new(seed).child(NAME, 1);
        let mut order: Vec<usize> = Vec::new();
        for step in 0..steps {
            if order.len() < batch {
                order = seed.stream("order", &[step as u64]).permutation(labelled.len());
            }
            let rows: Vec<usize> = order.drain(..batch).map(|at| labelled[at]).collect();
            let classes: Vec<i32> = rows.iter().map(|&row| images.classes[row]).collect();
            let hidden = self.hidden(&images.batch(&rows, &self.device)?, &Ctx::train(seed, step as u64))?;
            let loss = ops::loss::cross_entropy(&self.last.forward(&hidden)?, &classes, &Default::default())?;
            let grads = collect(&backward(&loss)?, &parameters);
            optimizer.step(&grads, schedule.at(step as f64 / steps as f64), 1.0)?;
        }
        Ok(())
    }

    /// Accuracy on the images with a class; `None` without any.
    fn accuracy(&self, images: &Images, classes: usize) -> Result<Option<Score>> {
        let mut confusion = Confusion::new(classes);
        let mut first = 0;
        for batch in images.batches(&self.device) {
            let logits = self.last.forward(&self.hidden(&batch?, &Ctx::eval())?)?;
            let predicted: Vec<u32> = to_f64(&logits)?
                .chunks_exact(classes)
                .map(|row| (0..classes).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0) as u32)
                .collect();
            confusion.add(&images.classes[first..first + predicted.len()], &predicted)?;
            first += predicted.len();
        }
        Ok(confusion.scores().into_iter().find(|score| score.name == "accuracy"))
    }
}

impl Evaluator {
    /// The evaluator kept in `folder`, if it was trained on these images; else a new one, which is kept there. Returns whether it
    /// was kept.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn kept_or_new(folder: &Path, training: &Images, classes: usize, device: &Device) -> Result<(Self, bool)> {
        let (weights, about) = (folder.join("evaluator.safetensors"), folder.join("evaluator.json"));
        let expected = |weights_sha256: String| Kept {
            version: VERSION,
            shape: training.dims(classes),
            images_sha256: training.sha256(),
            weights_sha256,
        };
        let channels = training.dims(classes)[0];
        let network = Network::new(channels, classes, 0, device)?;
        let found: Option<Kept> = std::fs::read(&about).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if let (Some(found), Ok(bytes)) = (found, std::fs::read(&weights))
            && found == expected(sha256(&bytes))
            && serial::from_bytes(&bytes).and_then(|values| network.params.load(&values)).is_ok()
        {
            return Ok((Self::of(network, training, found.weights_sha256)?, true));
        }
        network.train(training, 0)?;
        let values: BTreeMap<String, Tensor> =
            network.params.all().into_iter().map(|(name, var)| (name, var.as_tensor().clone())).collect();
        let bytes = serial::to_bytes(&values, &BTreeMap::new())?;
        std::fs::create_dir_all(folder).map_err(Error::io("cannot create", folder))?;
        write_atomically(&weights, &bytes)?;
        let kept = expected(sha256(&bytes));
        let text = serde_json::to_vec_pretty(&kept)
            .map_err(|error| Error::io("cannot write", &about)(std::io::Error::other(error)))?;
        write_atomically(&about, &text)?;
        Ok((Self::of(network, training, kept.weights_sha256)?, false))
    }

    /// Accuracy on `test` of the same classifier trained on `images` alone.
    ///
    /// # Errors
    /// Out of memory.
    pub fn accuracy_after_training_on(
        images: &Images,
        test: &Images,
        classes: usize,
        device: &Device,
    ) -> Result<Option<Score>> {
        let network = Network::new(images.dims(classes)[0], classes, 0, device)?;
        network.train(images, 0)?;
        network.accuracy(test, classes)
    }

    fn of(network: Network, training: &Images, sha256: String) -> Result<Self> {
        let mut evaluator = Self { network, scale: vec![(0.0, 1.0); WIDTH], sha256 };
        evaluator.scale = standards(&evaluator.values(training)?, WIDTH);
        Ok(evaluator)
    }

    /// Features of every image.
    ///
    /// # Errors
    /// A feature that is not finite.
    pub fn features(&self, images: &Images) -> Result<Features<'static>> {
        Ok(Features::new(self.values(images)?, WIDTH)?)
    }

    fn values(&self, images: &Images) -> Result<Vec<f32>> {
        let mut all = Vec::with_capacity(images.len() * WIDTH);
        for batch in images.batches(&self.network.device) {
            let hidden = to_f64(&self.network.hidden(&batch?, &Ctx::eval())?)?;
            let standard = |(value, (mean, deviation)): (&f64, &(f32, f32))| (*value as f32 - mean) / deviation;
            all.extend(hidden.chunks_exact(WIDTH).flat_map(|row| row.iter().zip(&self.scale).map(standard)));
        }
        Ok(all)
    }

    /// Share of the images whose class it recognises; `None` without classes.
    ///
    /// # Errors
    /// Out of memory.
    pub fn accuracy(&self, images: &Images, classes: usize) -> Result<Option<Score>> {
        self.network.accuracy(images, classes)
    }
}
