//! Batch loading: decoding and augmentation in worker threads, ahead of the consumer, in an order that does not depend on
//! the number of threads.
//!
//! * Epoch `e` visits the rows in the order of the stream `("shuffle", [e])`, or, of several sources, by
//!   [`crate::sampling`]; the view of a row is drawn from `("augment", [pass, row])`, where `pass` is the number of earlier passes
//!   over its source (`e`, if every row comes once per epoch). Batch `i` of epoch `e` is therefore a
//!   function of the seed alone, and a run resumed at `(e, i)` sees the same batches as without the interruption.
//! * Workers are threads of the loader's own (never rayon's, which the kernels compute on). They take one row at a
//!   time, work at most [`AHEAD`] batches ahead, and go on into the next epoch.
//! * Decoded and resized samples are kept, as bytes, until the budget is full. Rows are visited about equally
//!   often, so the first samples stay cached: eviction of the oldest would always miss.
//!
//! Memory is at most `cache_bytes` plus `AHEAD + 1` batches.

mod cache;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mtl_rng::Seed;
use mtl_task::Target;
use serde::{Deserialize, Serialize};

use crate::augment;
use crate::dataset::{Dataset, Sample, Schema};
use crate::sampling::{self, Mixer, SampledRow, Sampling};
use crate::size::Size;
use cache::Cache;
pub use stream::{BatchStream, Epoch};

/// Batches under construction or finished that the consumer has not taken yet.
pub const AHEAD: usize = 3;

/// Images and labels of one batch, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[B, C, H, W]` in `[-1, 1]`: `byte / 127.5 - 1`.
    pub images: Vec<f32>,
    /// `[B, C, H, W]`.
    pub shape: [usize; 4],
    /// One target per task, in schema order.
    pub targets: Vec<Target>,
    /// The rows of the data set, in batch order.
    pub rows: Vec<usize>,
}

/// Loader settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Images per batch. Default 64. With fewer rows, a batch is all of them.
    pub batch: usize,
    /// Worker threads. Default 2: with cached images one keeps up with a small network, the second is for the first
    /// epoch. 0 counts as 1.
    pub workers: usize,
    /// Budget for decoded images and labels kept in memory, in bytes. Default 512 MiB: of 64x64 pixels, 43,000
    /// colour images alone or 16,000 with a mask and a dense map.
    pub cache_bytes: usize,
    /// Random views. Default: [`augment::Config::standard`].
    pub augment: augment::Config,
    /// A new order every epoch. Default true; without it rows come as given.
    pub shuffle: bool,
    /// How often each source of the data is seen, where rows are shuffled. Default: every row once per epoch.
    pub sampling: Sampling,
    /// Leave out an epoch's last batch if it is smaller than the others. Default true: batch statistics and learning
    /// rate then mean the same at every step. A batch that is an epoch's only one always stays.
    pub drop_last: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch: 64,
            workers: 2,
            cache_bytes: 512 << 20,
            augment: augment::Config::default(),
            shuffle: true,
            sampling: Sampling::default(),
            drop_last: true,
        }
    }
}

impl Config {
    /// Every row once, in the given order, as it is: for evaluation.
    pub fn plain(batch: usize) -> Self {
        Self { batch, augment: augment::Config::none(), shuffle: false, drop_last: false, ..Self::default() }
    }
}

/// Errors of batch loading.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data set could not deliver a row.
    #[error("row {row} ({name}) of `{dataset}`: {source}")]
    Row {
        /// The data set's name.
        dataset: String,
        /// The row's number.
        row: usize,
        /// The row's name.
        name: String,
        /// Its fault.
        source: Box<crate::error::Error>,
    },
    /// The data set delivered something that does not fit its own schema.
    #[error("row {row} ({name}) of `{dataset}` does not fit its schema: {problem}; its `Dataset::sample` is at fault")]
    Misfit {
        /// The data set's name.
        dataset: String,
        /// The row's number.
        row: usize,
        /// The row's name.
        name: String,
        /// The difference.
        problem: String,
    },
    /// The code that decodes or augments panicked.
    #[error(
        "row {row} of `{dataset}` made a worker thread panic: {message}; take the row out of the data, and report it"
    )]
    Panicked {
        /// The data set's name.
        dataset: String,
        /// The row's number.
        row: usize,
        /// The panic's message.
        message: String,
    },
    /// A thread could not be started.
    #[error("cannot start worker thread {index}: {source}; lower `workers`")]
    Thread {
        /// Number of the thread.
        index: usize,
        /// The system's reason.
        source: std::io::Error,
    },
    /// No rows.
    #[error("no rows of `{dataset}` were requested: this subset is empty")]
    NoRows {
        /// The data set's name.
        dataset: String,
    },
    /// A row that does not exist.
    #[error("row {row} was requested, but `{dataset}` has {len} rows (0 to {})", .len.saturating_sub(1))]
    NoSuchRow {
        /// The data set's name.
        dataset: String,
        /// The requested row.
        row: usize,
        /// The data set's length.
        len: usize,
    },
    /// A batch size of 0.
    #[error("batch = 0: a batch holds at least one image")]
    EmptyBatch,
    /// An image size of 0.
    #[error("an image size of {height}x{width}: both sides must be at least 1 pixel")]
    EmptySize {
        /// Requested height.
        height: usize,
        /// Requested width.
        width: usize,
    },
    /// A value in the augmentation's configuration.
    #[error(transparent)]
    Augment(#[from] augment::Error),
    /// Sources that cannot be sampled with the chosen strategy.
    #[error(transparent)]
    Sampling(#[from] sampling::Error),
}

/// Makes batches of some rows of a data set; see the module's documentation.
#[derive(Clone)]
pub struct Loader {
    shared: Arc<Shared>,
}

/// State shared by the consumer and the workers.
struct Shared {
    dataset: Arc<dyn Dataset>,
    rows: Vec<usize>,
    size: Size,
    config: Config,
    seed: Seed,
    mixer: Mixer,
    cache: Cache,
    waited_ns: AtomicU64,
}

impl Loader {
    /// A loader of `rows` at `size`. Nothing is decoded and no thread is started before the first batch is requested.
    ///
    /// # Errors
    /// No rows, a row the data set does not have, an empty batch or size, a wrong value in `config.augment` or
    /// `config.sampling`.
    pub fn new(
        dataset: Arc<dyn Dataset>,
        rows: Vec<usize>,
        size: Size,
        config: Config,
        seed: Seed,
    ) -> Result<Self, Error> {
        let (name, len) = (|| dataset.schema().name.clone(), dataset.len());
        if rows.is_empty() {
            return Err(Error::NoRows { dataset: name() });
        }
        if let Some(&row) = rows.iter().find(|&&row| row >= len) {
            return Err(Error::NoSuchRow { dataset: name(), row, len });
        }
        if config.batch == 0 {
            return Err(Error::EmptyBatch);
        }
        if size.height == 0 || size.width == 0 {
            return Err(Error::EmptySize { height: size.height, width: size.width });
        }
        config.augment.validate()?;
        let sources: Vec<usize> = rows.iter().map(|&row| dataset.origin(row)).collect();
        let slots =
            if config.drop_last { rows.len().min(batches(rows.len(), &config) * config.batch) } else { rows.len() };
        let mixer = Mixer::new(config.sampling, &sources, config.batch, slots)?;
        let cache = Cache::new(rows.len(), config.cache_bytes);
        let waited_ns = AtomicU64::new(0);
        Ok(Self { shared: Arc::new(Shared { dataset, rows, size, config, seed, mixer, cache, waited_ns }) })
    }

    /// Batches per epoch; at least 1.
    pub fn batches(&self) -> usize {
        self.shared.batches()
    }

    /// Number of rows that an epoch draws from.
    pub fn rows(&self) -> usize {
        self.shared.rows.len()
    }

    /// The batches of one epoch from number `first_batch` on. The workers stop at its end.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn epoch(&self, epoch: u64, first_batch: usize) -> Result<Epoch, Error> {
        Ok(Epoch { stream: BatchStream::start(Arc::clone(&self.shared), epoch, first_batch, Some(epoch + 1))? })
    }

    /// Batches without end, from batch `first_batch` of `epoch` on. Workers continue into the next epoch while the
    /// consumer takes the last batches of this one, so that epochs follow without a stall.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn stream(&self, epoch: u64, first_batch: usize) -> Result<BatchStream, Error> {
        let past = (first_batch / self.batches()) as u64; // batch n of an epoch of n is batch 0 of the next
        BatchStream::start(Arc::clone(&self.shared), epoch + past, first_batch % self.batches(), None)
    }

    /// Total time that consumers of this loader were blocked.
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.shared.waited_ns.load(Ordering::Relaxed))
    }

    /// Bytes of decoded samples kept now; never above [`Config::cache_bytes`].
    pub fn cached_bytes(&self) -> usize {
        self.shared.cache.used_bytes()
    }
}

/// Batches per epoch.
fn batches(rows: usize, config: &Config) -> usize {
    if config.drop_last { (rows / config.batch).max(1) } else { rows.div_ceil(config.batch) }
}

impl Shared {
    fn batches(&self) -> usize {
        batches(self.rows.len(), &self.config)
    }

    /// Positions in `rows` in the order of `epoch`.
    fn order(&self, epoch: u64) -> Vec<SampledRow> {
        if self.config.shuffle {
            self.mixer.epoch(self.seed, epoch)
        } else {
            (0..self.rows.len()).map(|position| SampledRow { position, pass: epoch }).collect()
        }
    }

    /// The augmented sample of a draw.
    fn sample(&self, draw: SampledRow) -> Result<Sample, Error> {
        let row = self.rows[draw.position];
        let decode = || checked_sample(self.dataset.as_ref(), row, self.size);
        let mut sample = self.cache.get_or_insert(draw.position, decode)?;
        if self.config.augment != augment::Config::none() {
            let mut stream = self.seed.stream("augment", &[draw.pass, row as u64]);
            augment::apply(&self.config.augment, &mut sample, self.size, self.dataset.schema().channels, &mut stream);
        }
        Ok(sample)
    }
}

/// The rows as they are, decoded by the calling thread.
///
/// # Errors
/// A row that cannot be decoded.
pub fn batch_of(dataset: &dyn Dataset, rows: &[usize], size: Size) -> Result<Batch, Error> {
    let len = dataset.len();
    let samples = rows
        .iter()
        .map(|&row| {
            if row >= len {
                return Err(Error::NoSuchRow { dataset: dataset.schema().name.clone(), row, len });
            }
            checked_sample(dataset, row, size)
        })
        .collect::<Result<Vec<Sample>, Error>>()?;
    Ok(assemble(dataset.schema(), rows.to_vec(), &samples, size))
}

/// One row, checked for the size and the targets of the schema.
fn checked_sample(dataset: &dyn Dataset, row: usize, size: Size) -> Result<Sample, Error> {
    let schema = dataset.schema();
    let (name, place) = (|| dataset.row_name(row), || schema.name.clone());
    let sample = dataset.sample(row, size).map_err(|source| Error::Row {
        dataset: place(),
        row,
        name: name(),
        source: Box::new(source),
    })?;
    let misfit = |problem| Err(Error::Misfit { dataset: place(), row, name: name(), problem });
    let bytes = schema.channels * size.height * size.width;
    if sample.image.len() != bytes {
        return misfit(format!("the image has {} bytes instead of {bytes}", sample.image.len()));
    }
    if sample.targets.len() != schema.tasks.len() {
        return misfit(format!("it has {} targets for {} tasks", sample.targets.len(), schema.tasks.len()));
    }
    for (task, target) in schema.tasks.iter().zip(&sample.targets) {
        let model = task.kind.missing(1, size.height, size.width);
        let same_kind = std::mem::discriminant(&model) == std::mem::discriminant(target);
        if !same_kind || target_len(&model) != target_len(target) {
            return misfit(format!("its target for task `{}` is of another kind or size", task.name));
        }
    }
    Ok(sample)
}

fn target_len(target: &Target) -> usize {
    match target {
        Target::Class(labels) => labels.len(),
        Target::MultiLabel(values) | Target::Dense(values) | Target::Value(values) => values.len(),
        Target::Mask(pixels) => pixels.len(),
    }
}

/// A batch of checked samples.
fn assemble(schema: &Schema, rows: Vec<usize>, samples: &[Sample], size: Size) -> Batch {
    let shape = [samples.len(), schema.channels, size.height, size.width];
    let mut images = Vec::with_capacity(shape.iter().product());
    for sample in samples {
        images.extend(sample.image.iter().map(|&byte| f32::from(byte) / 127.5 - 1.0));
    }
    let mut targets: Vec<Target> =
        schema.tasks.iter().map(|task| task.kind.missing(0, size.height, size.width)).collect();
    for sample in samples {
        for (all, one) in targets.iter_mut().zip(&sample.targets) {
            all.extend(one);
        }
    }
    Batch { images, shape, targets, rows }
}
