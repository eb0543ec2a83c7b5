//! Rows to batches: decoding and augmentation in worker threads, ahead of the consumer, in an order that no number of
//! threads changes.
//!
//! * Epoch `e` visits the rows in the order of the stream `("shuffle", [e])`, or, of several sources, as
//!   [`crate::mixing`] says; the view of a row is drawn from `("augment", [pass, row])`, where `pass` is how often its
//!   source was gone through before (`e`, if every row comes once an epoch). Batch `i` of epoch `e` is therefore a
//!   function of the seed alone, and a run resumed at `(e, i)` sees what it would have seen.
//! * Workers are threads of the loader's own (never rayon's, which the kernels compute on). They take one row at a
//!   time, work at most [`AHEAD`] batches ahead, and go on into the next epoch.
//! * Decoded and resized samples are kept, as bytes, until the budget is full. Rows are visited about equally
//!   often, so the first to come stay: a cache that evicts the oldest would always miss.
//!
//! Memory is at most `cache_bytes` plus `AHEAD + 1` batches.

mod cache;
mod feed;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mtl_rng::Seed;
use mtl_task::Target;
use serde::{Deserialize, Serialize};

use crate::augment;
use crate::dataset::{self, Dataset, Sample, Schema, Size};
use crate::mixing::{self, Draw, Mixer, Mixing};
use cache::Cache;
pub use feed::{Epoch, Feed};

/// Batches under construction or finished that the consumer has not taken yet.
pub const AHEAD: usize = 3;

/// One step's images and labels, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[B, C, H, W]` in `[-1, 1]`: `byte / 127.5 - 1`.
    pub images: Vec<f32>,
    /// `[B, C, H, W]`.
    pub shape: [usize; 4],
    /// One target a task, in schema order.
    pub targets: Vec<Target>,
    /// The rows of the data set, in batch order.
    pub rows: Vec<usize>,
}

/// How batches are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Images a batch. Default 64. If there are fewer rows, a batch is all of them.
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
    /// How often each source of the data is seen, where rows are shuffled. Default: every row once an epoch.
    pub mixing: Mixing,
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
            mixing: Mixing::default(),
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

/// Why there is no batch.
#[derive(Debug, thiserror::Error)]
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
        /// What is wrong with it.
        source: Box<dataset::Error>,
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
        /// What differs.
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
    /// The system refused a thread.
    #[error("cannot start worker thread {index}: {source}; ask for fewer with `workers`")]
    Thread {
        /// Which one.
        index: usize,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Nothing to load.
    #[error("no rows of `{dataset}` were asked for: this side of the split is empty")]
    NoRows {
        /// The data set's name.
        dataset: String,
    },
    /// A row that is not there.
    #[error("row {row} was asked for, but `{dataset}` has {len} rows (0 to {})", .len.saturating_sub(1))]
    NoSuchRow {
        /// The data set's name.
        dataset: String,
        /// The row asked for.
        row: usize,
        /// The data set's length.
        len: usize,
    },
    /// A batch of nothing.
    #[error("batch = 0: a batch holds at least one image")]
    EmptyBatch,
    /// Images of nothing.
    #[error("an image size of {height}x{width}: both sides must be at least 1 pixel")]
    EmptySize {
        /// Height asked for.
        height: usize,
        /// Width asked for.
        width: usize,
    },
    /// A value in the augmentation's configuration.
    #[error(transparent)]
    Augment(#[from] augment::Error),
    /// Sources that cannot be mixed as asked.
    #[error(transparent)]
    Mixing(#[from] mixing::Error),
}

/// Makes batches of some rows of a data set; see the module's documentation.
#[derive(Clone)]
pub struct Loader {
    shared: Arc<Shared>,
}

/// What the consumer and the workers both need.
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
    /// A loader of `rows` at `size`. Nothing is decoded and no thread is started before batches are asked for.
    ///
    /// # Errors
    /// No rows, a row the data set does not have, an empty batch or size, a wrong value in `config.augment` or
    /// `config.mixing`.
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
        let sources: Vec<usize> = rows.iter().map(|&row| dataset.source(row)).collect();
        let slots =
            if config.drop_last { rows.len().min(batches(rows.len(), &config) * config.batch) } else { rows.len() };
        let mixer = Mixer::new(config.mixing, &sources, config.batch, slots)?;
        let cache = Cache::new(rows.len(), config.cache_bytes);
        let waited_ns = AtomicU64::new(0);
        Ok(Self { shared: Arc::new(Shared { dataset, rows, size, config, seed, mixer, cache, waited_ns }) })
    }

    /// Batches an epoch; at least 1.
    pub fn batches(&self) -> usize {
        self.shared.batches()
    }

    /// Number of rows an epoch draws from.
    pub fn rows(&self) -> usize {
        self.shared.rows.len()
    }

    /// The batches of one epoch from number `first_batch` on. The workers stop at its end.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn epoch(&self, epoch: u64, first_batch: usize) -> Result<Epoch, Error> {
        Ok(Epoch { feed: Feed::start(Arc::clone(&self.shared), epoch, first_batch, Some(epoch + 1))? })
    }

    /// Batches without end, from batch `first_batch` of `epoch` on. Workers go on into the next epoch while the
    /// consumer still has this one's last batches, so that nothing stalls in between.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn stream(&self, epoch: u64, first_batch: usize) -> Result<Feed, Error> {
        let past = (first_batch / self.batches()) as u64; // batch n of an epoch of n is batch 0 of the next
        Feed::start(Arc::clone(&self.shared), epoch + past, first_batch % self.batches(), None)
    }

    /// How long consumers of this loader have been blocked, all in all.
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.shared.waited_ns.load(Ordering::Relaxed))
    }

    /// Bytes of decoded samples kept now; never above [`Config::cache_bytes`].
    pub fn cached_bytes(&self) -> usize {
        self.shared.cache.used_bytes()
    }
}

/// Batches an epoch.
fn batches(rows: usize, config: &Config) -> usize {
    if config.drop_last { (rows / config.batch).max(1) } else { rows.div_ceil(config.batch) }
}

impl Shared {
    fn batches(&self) -> usize {
        batches(self.rows.len(), &self.config)
    }

    /// Positions in `rows` in the order of `epoch`.
    fn order(&self, epoch: u64) -> Vec<Draw> {
        if self.config.shuffle {
            self.mixer.epoch(self.seed, epoch)
        } else {
            (0..self.rows.len()).map(|position| Draw { position, pass: epoch }).collect()
        }
    }

    /// The view of a row that its turn brings.
    fn sample(&self, draw: Draw) -> Result<Sample, Error> {
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

/// One row, and the certainty that it has the size and the targets that the schema promises.
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
        Target::MultiLabel(values) | Target::Dense(values) => values.len(),
        Target::Mask(pixels) => pixels.len(),
    }
}

/// Samples that were checked, side by side.
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
