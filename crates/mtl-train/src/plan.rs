//! A configuration checked against the data: everything a run needs to know before its first step.

use std::sync::Arc;

use mtl_data::{Dataset, Labels, Scenes, Size, loader, split::Split};
use mtl_registry::UnknownName;
use mtl_rng::Seed;
use mtl_task::{Target, Task, TaskKind};
use serde::{Deserialize, Serialize};

use crate::config::{Config, ReconstructionKind, Stage};
use crate::error::{Error, Result};
use crate::event::LabelCount;
use crate::model::RECONSTRUCTION;
use crate::sources;

/// What a trained model must know about its data to be used without it; saved as `schema.json` in the run folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSchema {
    /// The data set's name.
    pub data: String,
    /// 1 or 3.
    pub channels: usize,
    /// Image rows.
    pub height: usize,
    /// Image columns.
    pub width: usize,
    /// The tasks that are learnt.
    pub tasks: Vec<Task>,
    /// Training labels of each class of each task; empty for dense tasks.
    pub class_counts: Vec<Vec<u64>>,
    /// Index of the task whose classes condition the generators.
    pub condition: Option<usize>,
    /// SHA-256 of the rows' names on each side of the split: a folder that has gained or lost an image is divided anew,
    /// and images that were learnt from must not be scored as held out.
    pub sides_sha256: String,
}

impl RunSchema {
    /// The size as the loader wants it.
    pub fn size(&self) -> Size {
        Size { height: self.height, width: self.width }
    }

    /// Class names that generators know; empty if they are unconditional.
    pub fn condition_classes(&self) -> &[String] {
        self.condition.map_or(&[], |task| self.tasks[task].kind.classes())
    }
}

/// Data, sides of the split and schema.
pub struct Plan {
    /// The settings.
    pub config: Config,
    /// The run's seed.
    pub seed: Seed,
    /// The data.
    pub dataset: Arc<dyn Dataset>,
    /// Position of each learnt task in the data set's own schema.
    pub columns: Vec<usize>,
    /// Sides of the split.
    pub split: Split,
    /// What is saved with the model.
    pub schema: RunSchema,
    /// Labels of each task on each side.
    pub labels: Vec<LabelCount>,
    /// Sentences the user should see.
    pub notes: Vec<String>,
}

/// Opens the data a configuration names.
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

/// `64` or `64x128` as height and width.
///
/// # Errors
/// Not of that form, not divisible by 8, outside 32 to 256.
pub fn parse_size(text: &str) -> Result<(usize, usize)> {
    let wrong = |problem: &str| Error::Config(format!("size = \"{text}\": {problem}"));
    let side =
        |text: &str| text.trim().parse::<usize>().map_err(|_| wrong("write 64 or 64x128 (height x width, pixels)"));
    let (height, width) = match text.split_once('x') {
        Some((height, width)) => (side(height)?, side(width)?),
        None => (side(text)?, side(text)?),
    };
    for side in [height, width] {
        if side % 8 != 0 {
            let (below, above) = (side / 8 * 8, side.div_ceil(8) * 8);
            return Err(wrong(&format!("{side} is not divisible by 8; use {} or {above}", below.max(32))));
        }
        if !(32..=256).contains(&side) {
            return Err(wrong(&format!("{side} is outside 32 to 256")));
        }
    }
    Ok((height, width))
}

impl Plan {
    /// Opens the data and checks every setting that can be checked before training.
    ///
    /// # Errors
    /// Wrong settings, data that cannot be used.
    pub fn new(mut config: Config) -> Result<Self> {
        // A run folder must find its data, and the run it began with, again from anywhere.
        let sources = config.data.sources.iter_mut().map(|source| &mut source.path);
        for path in [&mut config.data.path, &mut config.model.from].into_iter().flatten().chain(sources) {
            if let Ok(absolute) = std::fs::canonicalize(&*path) {
                *path = absolute;
            }
        }
        let (height, width) = parse_size(&config.size)?;
        check_numbers(&config)?;
        let dataset = open_data(&config)?;
        let seed = Seed::new(config.seed);
        let columns = choose_tasks(&config, &dataset.schema().tasks)?;
        let tasks: Vec<Task> = columns.iter().map(|&at| dataset.schema().tasks[at].clone()).collect();
        for name in config.heads.keys() {
            if !tasks.iter().any(|task| task.name == *name) {
                return Err(
                    UnknownName::new("task in `heads`", name, tasks.iter().map(|task| task.name.as_str())).into()
                );
            }
        }
        let mut balanced: Vec<String> = tasks.iter().map(|task| task.name.clone()).collect();
        if config.model.reconstruction != ReconstructionKind::None {
            balanced.push(RECONSTRUCTION.to_owned());
        }
        let compares = balancer(&config, &balanced)?.needs().gram();
        let condition = choose_condition(&config, &tasks)?;
        let split = Split::new(&*dataset, &config.data.split, seed)?;
        if split.validation.is_empty() {
            let problem = "data.split.validation = 0: a run needs validation images to choose its best weights by";
            return Err(Error::Config(problem.into()));
        }
        sources::check_normalisation(&config, &tasks, &*dataset, &split)?;
        let labels = count_labels(&*dataset, &columns, &tasks, &split);
        let comparing = compares.then(|| config.balancer.name());
        let mut notes = sources::told(&*dataset, (&columns, &tasks), &split, config.data.mixing, comparing);
        notes.extend(dataset.notes().iter().cloned());
        notes.extend(split.notes.iter().cloned());
        notes.extend(
            dataset.skipped().iter().map(|skipped| format!("skipped {}: {}", skipped.path.display(), skipped.reason)),
        );
        let mut schema = RunSchema {
            data: dataset.schema().name.clone(),
            channels: dataset.schema().channels,
            height,
            width,
            class_counts: tasks.iter().map(|task| vec![0; task.kind.classes().len()]).collect(),
            tasks,
            condition,
            sides_sha256: sides_sha256(&*dataset, &split),
        };
        count_classes(&*dataset, &columns, &split.train, &mut schema)?;
        for (task, count) in schema.tasks.iter().zip(&labels) {
            if count.labelled[0] == 0 {
                let problem =
                    format!("task `{}` has no label on any training image; leave it out with data.tasks", task.name);
                return Err(Error::DataMismatch(problem));
            }
        }
        let plan = Self { config, seed, dataset, columns, split, schema, labels, notes };
        // Whether sources can be mixed depends on rows and batches: better known now than at the stage.
        for stage in &plan.config.stages {
            plan.loader(&plan.split.train, plan.config.batch(*stage), true, stage.name())?;
        }
        Ok(plan)
    }

    /// The balancer of the joint stage with what is put around it.
    ///
    /// # Errors
    /// Settings outside their range, tasks the run does not have.
    pub fn balancer(&self, tasks: &[String]) -> Result<Box<dyn mtl_balance::Balancer>> {
        balancer(&self.config, tasks)
    }

    /// A loader of some rows.
    ///
    /// # Errors
    /// No rows.
    pub fn loader(&self, rows: &[usize], batch: usize, training: bool, name: &str) -> Result<loader::Loader> {
        let mut config = loader::Config::plain(batch);
        config.workers = self.config.data.loader.workers;
        // Each side and stage has a cache of its own; training images are what is read over and over.
        config.cache_bytes = (self.config.data.loader.cache_mib << 20) / if training { 1 } else { 4 };
        if training {
            config.augment = self.config.data.augment.clone();
            config.shuffle = true;
            config.mixing = self.config.data.mixing;
            config.drop_last = true;
        }
        let seed = self.seed.child(name, 0);
        Ok(loader::Loader::new(Arc::clone(&self.dataset), rows.to_vec(), self.schema.size(), config, seed)?)
    }

    /// True if a stage is run.
    pub fn runs(&self, stage: Stage) -> bool {
        self.config.stages.contains(&stage)
    }

    /// The learnt tasks' targets of a batch, in the order of [`RunSchema::tasks`].
    pub fn targets(&self, batch: &loader::Batch) -> Vec<Target> {
        self.columns.iter().map(|&at| batch.targets[at].clone()).collect()
    }
}

fn balancer(config: &Config, tasks: &[String]) -> Result<Box<dyn mtl_balance::Balancer>> {
    Ok(config.balancing.around(config.balancer.build(tasks)?, tasks)?)
}

fn sides_sha256(dataset: &dyn Dataset, split: &Split) -> String {
    let side = |rows: &Vec<usize>| rows.iter().map(|&row| dataset.row_name(row)).collect::<Vec<_>>().join("\n");
    let sides = [&split.train, &split.validation, &split.test].map(side);
    crate::checkpoint::sha256(sides.join("\n\n").as_bytes())
}

fn check_numbers(config: &Config) -> Result<()> {
    let wrong = |text: String| Err(Error::Config(text));
    let given = [config.budget.steps.map(|v| v as f64), config.budget.epochs, config.budget.minutes];
    if given.iter().flatten().count() > 1 {
        return wrong("budget: give one of steps, epochs and minutes, not several".into());
    }
    if given.iter().flatten().any(|v| !v.is_finite() || *v <= 0.0) {
        return wrong("budget: steps, epochs and minutes must be above 0".into());
    }
    if config.budget.shares.iter().any(|share| !share.is_finite() || *share <= 0.0) {
        return wrong(format!("budget.shares = {:?}: three numbers above 0", config.budget.shares));
    }
    if config.stages.is_empty() || config.stages.windows(2).any(|pair| pair[0] >= pair[1]) {
        return wrong("stages: some of \"joint\", \"vae\", \"gan\", each at most once and in this order".into());
    }
    for (key, batch) in [("joint", config.joint.batch), ("vae", config.vae.batch), ("gan", config.gan.batch)] {
        if batch < 2 {
            return wrong(format!("{key}.batch = {batch}: at least 2, since statistics are taken over a batch"));
        }
    }
    for (key, ema) in [("joint", config.joint.ema), ("vae", config.vae.ema), ("gan", config.gan.ema)] {
        if !(0.0..1.0).contains(&ema) {
            return wrong(format!("{key}.ema = {ema}: from 0 (no averaging) to below 1"));
        }
    }
    let schedule = config.joint.schedule;
    let shares =
        [schedule.warmup, schedule.floor, config.vae.warmup, config.vae.floor, config.gan.warmup, config.gan.floor];
    if !(schedule.peak > 0.0 && schedule.peak.is_finite()) || shares.iter().any(|share| !(0.0..1.0).contains(share)) {
        return wrong("schedule: a peak above 0, warmup and floor from 0 to below 1".into());
    }
    let clips = [config.joint.clip, config.vae.clip, config.gan.clip];
    if clips.iter().any(|clip| !clip.is_finite() || *clip < 0.0) {
        return wrong("clip: at least 0 (0 is no limit), for joint, vae and gan".into());
    }
    if [config.vae.rate, config.gan.rate].iter().any(|rate| !rate.is_finite() || *rate <= 0.0) {
        return wrong("vae.rate and gan.rate: above 0".into());
    }
    if [config.budget.steps, config.budget.vae_steps, config.budget.gan_steps].contains(&Some(0)) {
        return wrong("budget: every stage needs at least one step; leave a stage out of `stages` to skip it".into());
    }
    config.data.mixing.validate().map_err(|error| Error::Config(format!("data.{error}")))?;
    config.data.augment.validate().map_err(|error| Error::Config(format!("data.augment: {error}")))?;
    let weight = config.model.reconstruction_weight;
    if !(weight >= 0.0 && weight.is_finite()) {
        return wrong(format!("model.reconstruction_weight = {weight}: at least 0"));
    }
    Ok(())
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
    match &config.model.condition {
        None => Ok(tasks.iter().position(classifies)),
        Some(name) => match tasks.iter().position(|task| task.name == *name && classifies(task)) {
            Some(at) => Ok(Some(at)),
            None => {
                let names = tasks.iter().filter(|task| classifies(task)).map(|task| task.name.as_str());
                Err(UnknownName::new("classification task in `model.condition`", name, names).into())
            }
        },
    }
}

fn count_labels(dataset: &dyn Dataset, columns: &[usize], tasks: &[Task], split: &Split) -> Vec<LabelCount> {
    let sides = [&split.train, &split.validation, &split.test];
    let mut counts: Vec<LabelCount> = tasks
        .iter()
        .map(|task| LabelCount {
            task: task.name.clone(),
            kind: task.kind.name(),
            labelled: [0; 3],
            images: sides.map(Vec::len),
        })
        .collect();
    for (side, rows) in sides.iter().enumerate() {
        for &row in *rows {
            let labels = dataset.labels(row);
            for (count, &column) in counts.iter_mut().zip(columns) {
                count.labelled[side] += usize::from(is_labelled(&labels[column]));
            }
        }
    }
    counts
}

/// Whether there is any label.
pub(crate) fn is_labelled(labels: &Labels) -> bool {
    match labels {
        Labels::Missing => false,
        Labels::MultiLabel(cells) => cells.iter().any(Option::is_some),
        Labels::Class(_) | Labels::Pixels => true,
    }
}

/// Training labels of each class; pixels are counted on at most 256 images, of each source in proportion: enough for class
/// weights.
fn count_classes(dataset: &dyn Dataset, columns: &[usize], train: &[usize], schema: &mut RunSchema) -> Result<()> {
    let mut masks_seen = vec![0; columns.len()];
    for row in mtl_data::sources::spread(dataset, train) {
        let labels = dataset.labels(row);
        let mut sample = None;
        for (at, &column) in columns.iter().enumerate() {
            match &labels[column] {
                Labels::Class(class) => schema.class_counts[at][*class] += 1,
                Labels::MultiLabel(cells) => {
                    for (count, cell) in schema.class_counts[at].iter_mut().zip(cells) {
                        *count += u64::from(*cell == Some(true));
                    }
                }
                Labels::Pixels
                    if masks_seen[at] < 256 && matches!(schema.tasks[at].kind, TaskKind::Segmentation { .. }) =>
                {
                    masks_seen[at] += 1;
                    if sample.is_none() {
                        sample = Some(dataset.sample(row, Size { height: 32, width: 32 })?);
                    }
                    if let Some(Target::Mask(pixels)) = sample.as_ref().map(|sample| &sample.targets[column]) {
                        for &pixel in pixels.iter().filter(|&&pixel| pixel != Target::NO_PIXEL) {
                            schema.class_counts[at][usize::from(pixel)] += 1;
                        }
                    }
                }
                Labels::Pixels | Labels::Missing => {}
            }
        }
    }
    Ok(())
}
