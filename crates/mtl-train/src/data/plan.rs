//! A configuration checked against its data: everything that a run needs before its first step.

use std::sync::Arc;

use mtl_balance::Balancer;
use mtl_data::image::picture::is_multi_channel;
use mtl_data::inventory::{Inventory, Wanted};
use mtl_data::{Dataset, Scenes, Size, Skipped, loader, split::Splits};
use mtl_model::{DeviceBatch, Schema};
use mtl_registry::UnknownName;
use mtl_rng::Seed;
use mtl_task::{Target, Task, TaskKind, ValueStatistics};
use mtl_tensor::{Device, Tensor};

use super::labels::count_labels;
use super::sources;
use crate::config::{Config, JOINT};
use crate::error::{Error, Result};
use crate::event::LabelCount;
use crate::store::atomic::sha256;

/// Data, split, schema and balancer of a run.
pub struct Plan {
    /// The settings, with absolute paths.
    pub config: Config,
    /// The run's seed.
    pub seed: Seed,
    /// The data.
    pub dataset: Arc<dyn Dataset>,
    /// Position of each trained task in the data set's own schema.
    pub columns: Vec<usize>,
    /// Rows of the training, validation and test subset.
    pub split: Splits,
    /// Hashes and label statistics of all rows.
    pub inventory: Inventory,
    /// The part of all this that is saved with the model.
    pub schema: Schema,
    /// Labels of each task in each subset.
    pub labels: Vec<LabelCount>,
    /// Notes for the user.
    pub notes: Vec<String>,
    /// The balancer of the joint stage, until that stage takes it.
    pub balancer: Option<Box<dyn Balancer>>,
}

/// Opens the data that a configuration names.
///
/// # Errors
/// Data that cannot be opened.
pub fn open_data(config: &Config) -> Result<Arc<dyn Dataset>> {
    Ok(match &config.data.path {
        _ if !config.data.sources.is_empty() => sources::open(&config.data)?,
        Some(path) => Arc::from(mtl_data::open(path, &config.data.open)?),
        None => Arc::new(Scenes::new(config.data.scenes.clone())?),
    })
}

impl Plan {
    /// Opens the data and checks every setting that can be checked before training.
    ///
    /// # Errors
    /// Wrong settings, data that cannot be used.
    pub fn new(mut config: Config) -> Result<Self> {
        config.resolve()?;
        // A run folder must find its data, and the run it takes weights from, from any working directory.
        let sources = config.data.sources.iter_mut().map(|source| &mut source.path);
        for path in [&mut config.data.path, &mut config.model.init_from].into_iter().flatten().chain(sources) {
            if let Ok(absolute) = std::fs::canonicalize(&*path) {
                *path = absolute;
            }
        }
        let (height, width) = config.image_size()?;
        config.check()?;
        let dataset = open_data(&config)?;
        // Kept with the run: later images are scaled as these are.
        config.data.open.largest_value = config.data.open.largest_value.or(dataset.largest_value());
        for open in config.data.sources.iter_mut().filter_map(|source| source.open.as_mut()) {
            open.largest_value = open.largest_value.or(config.data.open.largest_value);
        }
        let seed = Seed::new(config.seed);
        let columns = choose_tasks(&config, &dataset.schema().tasks)?;
        let tasks: Vec<Task> = columns.iter().map(|&at| dataset.schema().tasks[at].clone()).collect();
        let names = || tasks.iter().map(|task| task.name.as_str());
        if let Some(name) = config.heads.keys().find(|name| names().all(|task| task != **name)) {
            return Err(UnknownName::new("task in `heads`", name, names()).into());
        }
        let unlabelled = config.objectives.iter().filter(|(_, objective)| objective.name() != "none");
        let balanced: Vec<String> =
            names().chain(unlabelled.map(|(name, _)| name.as_str())).map(str::to_owned).collect();
        let balancer = config.balancer_options.apply(config.balancer.build(&balanced)?, &balanced)?;
        let condition = choose_condition(&config, &tasks)?;
        let split = Splits::new(&*dataset, &config.data.split, seed)?;
        if split.validation.is_empty() {
            let problem = "0: a run needs validation images to choose its best weights by";
            return Err(Error::setting("data.split.validation", problem));
        }
        config.resolve_lengths(split.train.len());
        let channels = dataset.schema().channels;
        if is_multi_channel(channels) && !config.generators.is_empty() {
            let problem = format!(
                "images of {channels} channels; generators make images of 1 (grey) or 3 (colour). Without generators: \
                 --set 'stages.run=[\"joint\"]' 'objectives.reconstruction.none={{}}'"
            );
            return Err(Error::setting("data.open.channels", problem));
        }
        sources::check_normalisation(&config, &tasks, &*dataset, &split)?;
        let labels = count_labels(&*dataset, &columns, &tasks, &split);
        if let Some(count) = labels.iter().find(|count| count.labelled[0] == 0) {
            let problem =
                format!("task `{}` has no label on any training image; leave it out with data.tasks", count.task);
            return Err(Error::DataMismatch(problem));
        }
        let comparing = balancer.requirements().needs.gram().then(|| config.balancer.name());
        let described = sources::Described { dataset: &*dataset, columns: &columns, tasks: &tasks, split: &split };
        let mut notes = described.notes(config.data.sampling, comparing);
        notes.extend(dataset.reading().lines());
        notes.extend(split.notes.iter().cloned());
        notes.extend(Skipped::lines(dataset.skipped()).into_iter().map(|line| format!("skipped {line}")));
        let mut schema = Schema::new(&dataset.schema().name, channels, (height, width), tasks);
        schema.condition = condition;
        schema.split_sha256 = split_sha256(&*dataset, &split);
        let inventory = Inventory::new(&*dataset, Wanted::LABELS)?;
        notes.extend(mtl_data::concerns(&*dataset, &inventory, &columns, Some(&split)));
        schema.class_counts = columns.iter().map(|&at| inventory.class_counts(at, &split.train)).collect();
        // Numbers of generated images are made up: heads standardise by those of real ones.
        let real: Vec<usize> = real_rows(&*dataset, &split.train).collect();
        schema.values = value_statistics(&inventory, &columns, &schema.tasks, &real)?;
        let balancer = Some(balancer);
        let plan = Self { config, seed, dataset, columns, split, inventory, schema, labels, notes, balancer };
        if plan.dataset.origins().len() > 1 {
            // Whether several folders can be sampled as configured depends on rows and batches: checked before training.
            for stage in &plan.config.stages.run {
                plan.training_loader(stage, plan.config.batch(stage), stage)?;
            }
        }
        Ok(plan)
    }

    /// Image size of the loaders.
    pub fn size(&self) -> Size {
        size_of(&self.schema)
    }

    /// The training rows without generated images: baselines are of these.
    pub fn real_training_rows(&self) -> impl Iterator<Item = usize> {
        real_rows(&*self.dataset, &self.split.train)
    }

    /// A loader of the training images of a stage, shuffled; `name` names its random numbers. The joint stage augments them. A
    /// generator reproduces what it is shown, so that it is shown real images, and they are flipped only: it would learn turned,
    /// blurred and tinted ones.
    ///
    /// # Errors
    /// No rows.
    pub fn training_loader(&self, stage: &str, batch: usize, name: &str) -> Result<loader::Loader> {
        let augment = &self.config.data.augment;
        let (rows, augment) = match stage {
            JOINT => (self.split.train.clone(), augment.clone()),
            _ => (self.real_training_rows().collect(), augment.flips()),
        };
        let (sampling, cache) = (self.config.data.sampling, self.config.data.loader.cache_mib << 20);
        let plain = loader::Config::plain(batch);
        let config = loader::Config { augment, sampling, shuffle: true, drop_last: true, cache_bytes: cache, ..plain };
        self.loader_of(rows, config, name)
    }

    /// A loader of some rows as they are, in order.
    ///
    /// # Errors
    /// No rows.
    pub fn loader(&self, rows: &[usize], batch: usize, name: &str) -> Result<loader::Loader> {
        // Each subset and stage has its own cache; training images are read again in every epoch.
        let cache_bytes = (self.config.data.loader.cache_mib << 20) / 4;
        self.loader_of(rows.to_vec(), loader::Config { cache_bytes, ..loader::Config::plain(batch) }, name)
    }

    fn loader_of(&self, rows: Vec<usize>, config: loader::Config, name: &str) -> Result<loader::Loader> {
        let config = loader::Config { workers: self.config.data.loader.workers, ..config };
        let seed = self.seed.child(name, 0);
        Ok(loader::Loader::new(Arc::clone(&self.dataset), rows, self.size(), config, seed)?)
    }

    /// A batch of the loader on a device.
    ///
    /// # Errors
    /// Out of memory.
    pub fn to_device(&self, batch: &loader::Batch, device: &Device) -> Result<DeviceBatch> {
        let targets: Vec<Target> = self.columns.iter().map(|&at| batch.targets[at].clone()).collect();
        let classes = self.schema.conditioning(&targets, batch.rows.len());
        let images = Tensor::from_slice(&batch.images, batch.shape.to_vec(), device)?;
        Ok(DeviceBatch { images, targets, classes, parts: 1 })
    }

    /// Some rows as one batch, without augmentation.
    ///
    /// # Errors
    /// Images that cannot be read.
    pub fn batch_of(&self, rows: &[usize], device: &Device) -> Result<DeviceBatch> {
        self.to_device(&loader::batch_of(&*self.dataset, rows, self.size())?, device)
    }
}

/// The rows whose images were not generated.
fn real_rows<'a>(dataset: &'a dyn Dataset, rows: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
    rows.iter().copied().filter(|&row| !dataset.is_generated(row))
}

/// Statistics of the numbers of the training images, for tasks whose heads standardise.
fn value_statistics(
    inventory: &Inventory,
    columns: &[usize],
    tasks: &[Task],
    train: &[usize],
) -> Result<Vec<Option<ValueStatistics>>> {
    let relative = |task: &Task| task.kind.unit() == TaskKind::RELATIVE;
    let of_task = |(&column, task)| inventory.value_statistics(column, train).filter(|_| !relative(task));
    let values: Vec<Option<ValueStatistics>> = columns.iter().zip(tasks).map(of_task).collect();
    for (task, values) in tasks.iter().zip(&values) {
        if let Some(values) = values.filter(ValueStatistics::constant) {
            let problem = format!(
                "task `{}`: the labels of all {} training images are {}, and there is nothing to learn; leave it out with \
                 data.tasks",
                task.name, values.images, values.min
            );
            return Err(Error::DataMismatch(problem));
        }
    }
    Ok(if values.iter().any(Option::is_some) { values } else { Vec::new() })
}

/// Image size of a schema, for loaders.
pub(crate) fn size_of(schema: &Schema) -> Size {
    Size { height: schema.height, width: schema.width }
}

fn split_sha256(dataset: &dyn Dataset, split: &Splits) -> String {
    let names = |rows: &Vec<usize>| rows.iter().map(|&row| dataset.row_name(row)).collect::<Vec<_>>().join("\n");
    let subsets = [&split.train, &split.validation, &split.test].map(names);
    sha256(subsets.join("\n\n").as_bytes())
}

fn choose_tasks(config: &Config, tasks: &[Task]) -> Result<Vec<usize>> {
    let names = || tasks.iter().map(|task| task.name.as_str());
    let Some(wanted) = &config.data.tasks else {
        return Ok((0..tasks.len()).collect());
    };
    wanted
        .iter()
        .map(|name| {
            let at = tasks.iter().position(|task| task.name == *name);
            at.ok_or_else(|| UnknownName::new("task in `data.tasks`", name, names()).into())
        })
        .collect()
}

fn choose_condition(config: &Config, tasks: &[Task]) -> Result<Option<usize>> {
    let classifies = |task: &Task| matches!(task.kind, TaskKind::Classification { .. });
    match &config.model.condition_on {
        None => Ok(tasks.iter().position(classifies)),
        Some(name) => match tasks.iter().position(|task| task.name == *name && classifies(task)) {
            Some(at) => Ok(Some(at)),
            None => {
                let names = tasks.iter().filter(|task| classifies(task)).map(|task| task.name.as_str());
                Err(UnknownName::new("classification task in `model.condition_on`", name, names).into())
            }
        },
    }
}
