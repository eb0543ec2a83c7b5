//! Runs of an experiment in one folder: found, resumed, or trained.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use mtl_model::Schema;
use mtl_train::Config;
use mtl_train::config::load;
use mtl_train::data::Plan;
use mtl_train::store::read_record;

use crate::arm::Arm;
use crate::error::{Error, Result};
use crate::event::{Event, Forward, Observer, send};
use crate::experiment::Experiment;
use crate::outcome::Outcome;

/// See the module.
pub(crate) struct Runner<'a, 'b> {
    experiment: &'a Experiment,
    /// The settings of the first run without those of an arm, with absolute paths, and generators for the length of their stages.
    base: Config,
    training_images: usize,
    /// Hash of the split of the data, by seed.
    splits: BTreeMap<u64, String>,
    /// The run folders, with their settings.
    folders: Vec<(PathBuf, Config)>,
    observers: &'a mut [&'b mut dyn Observer],
    stop: &'a AtomicBool,
    finished: usize,
    planned: usize,
}

impl<'a, 'b> Runner<'a, 'b> {
    /// A runner for the folder of `experiment`; `plan` is that of the first run.
    pub fn new(
        experiment: &'a Experiment,
        plan: &Plan,
        observers: &'a mut [&'b mut dyn Observer],
        stop: &'a AtomicBool,
    ) -> Result<Self> {
        let splits = [(plan.config.seed, plan.schema.split_sha256.clone())].into();
        let folders = folders(&experiment.runs)?;
        let (base, training_images) = (plan.config.clone(), plan.split.train.len());
        Ok(Self { experiment, base, training_images, splits, folders, observers, stop, finished: 0, planned: 0 })
    }

    /// Checks the settings of an arm without its data.
    ///
    /// # Errors
    /// [`Error::Arm`].
    pub fn check(&self, arm: &Arm, balanced: &[String]) -> Result<()> {
        let config = self.config(arm, 0)?;
        let check = || {
            config.check()?;
            config.balancer_options.apply(config.balancer.build(balanced)?, balanced)?;
            Ok(())
        };
        check().map_err(|source| Error::Arm { arm: arm.name.clone(), source: Box::new(source) })
    }

    /// Announces the number of runs.
    pub fn begin(&mut self, planned: usize, tasks: &[String]) {
        self.planned = planned;
        send(self.observers, &Event::Planned { runs: planned, tasks });
    }

    /// Sends an event.
    pub fn send(&mut self, event: &Event<'_>) {
        send(self.observers, event);
    }

    /// Run number `index` of an arm.
    ///
    /// # Errors
    /// [`Error::Run`]; [`Error::Interrupted`].
    pub fn run(&mut self, arm: &Arm, index: u64) -> Result<Outcome> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(self.interrupted());
        }
        let config = self.config(arm, index)?;
        let seed = config.seed;
        let run_error = |source| Error::Run { arm: arm.name.clone(), seed, source: Box::new(source) };
        let found = self.find(&config)?;
        let complete = |path: &Path| path.join("result.json").is_file();
        let reused = found.as_deref().is_some_and(complete);
        let (run, record) = match &found {
            Some(path) if reused => (path.clone(), read_record(path).map_err(run_error)?),
            _ => {
                send(self.observers, &Event::RunStarted { arm: &arm.name, seed, resumed: found.is_some() });
                let mut forward = Forward(self.observers);
                let observers: &mut [&mut dyn mtl_train::event::Observer] = &mut [&mut forward];
                let result = match &found {
                    Some(path) => mtl_train::resume(path, observers, self.stop),
                    None => mtl_train::train(config.clone(), observers, self.stop),
                };
                let record = result.map_err(|error| match error {
                    mtl_train::Error::Interrupted { .. } => self.interrupted(),
                    other => run_error(other),
                })?;
                let run = found.clone().unwrap_or_else(|| record.run.clone());
                (run, record)
            }
        };
        if found.is_none() {
            self.folders.push((run.clone(), config));
        }
        // Without its result a run would be resumed from its checkpoint.
        if !self.experiment.keep_checkpoints && complete(&run) {
            remove_checkpoints(&run)?;
        }
        let outcome = Outcome::new(seed, &run, &record)?;
        self.finished += 1;
        let (finished, planned) = (self.finished, self.planned);
        tracing::info!(arm = arm.name, seed, reused, skill = outcome.skill, "run finished");
        let event = Event::RunFinished { arm: &arm.name, outcome: &outcome, reused, finished, planned };
        send(self.observers, &event);
        Ok(outcome)
    }

    fn interrupted(&self) -> Error {
        Error::Interrupted { finished: self.finished, planned: self.planned }
    }

    /// The settings of a run as its folder has them: with absolute paths.
    fn config(&self, arm: &Arm, index: u64) -> Result<Config> {
        let config = self.experiment.config(arm, index);
        let mut config = config.map_err(|source| Error::Arm { arm: arm.name.clone(), source: Box::new(source) })?;
        config.data.path.clone_from(&self.base.data.path);
        config.data.sources.clone_from(&self.base.data.sources);
        config.model.init_from.clone_from(&self.base.model.init_from);
        config.resolve_lengths(self.training_images);
        Ok(config)
    }

    /// The folder of a run with these settings and the present data: a complete one if there are several.
    fn find(&mut self, config: &Config) -> Result<Option<PathBuf>> {
        let same = |other: &Config| Config { output: config.output.clone(), ..other.clone() } == *config;
        let candidates: Vec<PathBuf> =
            self.folders.iter().filter(|(_, other)| same(other)).map(|(path, _)| path.clone()).collect();
        if candidates.is_empty() {
            return Ok(None);
        }
        let split = self.split(config.seed)?;
        let mut usable: Vec<PathBuf> =
            candidates.into_iter().filter(|path| split_of(path).is_some_and(|other| other == split)).collect();
        usable.sort_by_key(|path| !path.join("result.json").is_file());
        Ok(usable.into_iter().next())
    }

    /// Hash of the split of the present data with this seed.
    fn split(&mut self, seed: u64) -> Result<String> {
        if let Some(split) = self.splits.get(&seed) {
            return Ok(split.clone());
        }
        let plan = Plan::new(Config { seed, ..self.base.clone() }).map_err(|error| Error::Base(Box::new(error)))?;
        self.splits.insert(seed, plan.schema.split_sha256.clone());
        Ok(plan.schema.split_sha256)
    }
}

/// The run folders in a folder that may not exist yet; others, and runs of another version, are left out.
fn folders(parent: &Path) -> Result<Vec<(PathBuf, Config)>> {
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::Io { path: parent.to_owned(), source }),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths
        .into_iter()
        .filter_map(|path| load::read_resolved(&path.join("config.toml")).ok().map(|config| (path, config)))
        .collect())
}

/// Hash of the split that a run was made with.
fn split_of(run: &Path) -> Option<String> {
    let text = fs::read(run.join("schema.json")).ok()?;
    serde_json::from_slice::<Schema>(&text).ok().map(|schema| schema.split_sha256)
}

fn remove_checkpoints(run: &Path) -> Result<()> {
    let path = run.join("checkpoints");
    match fs::remove_dir_all(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::Io { path, source }),
        _ => Ok(()),
    }
}
