//! Comparison of balancers with equal weighting, tuned fixed weights and single tasks.

use std::sync::atomic::AtomicBool;

use mtl_train::data::Plan;
use serde::{Deserialize, Serialize};

use crate::arm::{Arm, ArmKind};
use crate::error::{Error, Result};
use crate::event::{Event, Observer};
use crate::experiment::Experiment;
use crate::outcome::ArmResult;
use crate::runner::Runner;

/// Balancers that are compared unless others are named.
pub const METHODS: [&str; 10] =
    ["uncertainty", "dwa", "rlw", "famo", "norm_scaling", "pcgrad", "cagrad", "nash_mtl", "upgrad", "db_mtl"];

/// Weights that are tried for one objective at a time, the others being 1.
const TRIALS: [f64; 2] = [0.33, 3.0];

/// A comparison: every arm has the same number of steps and the same seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Comparison {
    /// The settings that all runs share; these must leave the balancer as it is.
    pub experiment: Experiment,
    /// Balancers, as `NAME` or `NAME:key=value;key=value`. Default [`METHODS`].
    pub methods: Vec<String>,
}

impl Default for Comparison {
    fn default() -> Self {
        Self { experiment: Experiment::default(), methods: METHODS.map(str::to_owned).to_vec() }
    }
}

/// Outcome of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparisonResult {
    /// The comparison.
    pub comparison: Comparison,
    /// The labelled tasks.
    pub tasks: Vec<String>,
    /// Single-task baselines, equal weighting, tuned weights, balancers.
    pub arms: Vec<ArmResult>,
    /// The weights that were tried, with one run each.
    pub trials: Vec<ArmResult>,
}

/// Trains the arms of a comparison, as far as their runs are not in the folder yet.
///
/// Fixed weights are tuned by a modest search: the weight of one objective at a time is lowered and raised with the first seed, and
/// the best mean skill score on validation images decides, equal weighting included. No two weights are changed together.
///
/// `stop` is read after every step; once it is true the present run saves a checkpoint and [`Error::Interrupted`] is returned.
///
/// # Errors
/// Settings of any arm that cannot be used, before the first run; a run that fails; an interruption.
pub fn compare(
    comparison: &Comparison,
    observers: &mut [&mut dyn Observer],
    stop: &AtomicBool,
) -> Result<ComparisonResult> {
    let experiment = &comparison.experiment;
    let equal = Arm::equal_weighting();
    let plan = plan(experiment, &equal)?;
    let tasks: Vec<String> = plan.schema.tasks.iter().map(|task| task.name.clone()).collect();
    let unlabelled = plan.config.objectives.iter().filter(|(_, objective)| objective.name() != "none");
    let balanced: Vec<String> = tasks.iter().chain(unlabelled.map(|(name, _)| name)).cloned().collect();
    if balanced.len() < 2 {
        return Err(Error::Settings(
            "the data has one task and there is no other objective: nothing to compare".into(),
        ));
    }
    let single: Vec<Arm> = tasks.iter().map(|task| Arm::single_task(task, &plan.config.objectives)).collect();
    let weights: Vec<(String, Arm)> = balanced
        .iter()
        .flat_map(|task| TRIALS.map(|weight| (format!("{task}={weight}"), Arm::weight(task, weight))))
        .collect();
    let methods: Vec<Arm> = comparison.methods.iter().map(|method| Arm::balancer(method)).collect::<Result<_>>()?;

    let mut runner = Runner::new(experiment, &plan, observers, stop)?;
    // The data may be large, and every run opens its own.
    drop(plan);
    for (arm, task) in single.iter().zip(&tasks) {
        runner.check(arm, std::slice::from_ref(task))?;
    }
    for arm in weights.iter().map(|(_, arm)| arm).chain(&methods) {
        runner.check(arm, &balanced)?;
    }
    let full = single.len() + 2 + methods.len();
    runner.begin(full * experiment.seeds as usize + weights.len(), &tasks);

    let mut arms =
        single.into_iter().map(|arm| all_seeds(&mut runner, arm, experiment.seeds)).collect::<Result<Vec<_>>>()?;
    let equal = all_seeds(&mut runner, equal, experiment.seeds)?;
    let (mut best, mut tuned) = (equal.runs[0].skill, None);
    arms.push(equal);
    let mut trials = Vec::new();
    for (words, arm) in weights {
        let trial = all_seeds(&mut runner, arm, 1)?;
        if trial.runs[0].skill > best {
            best = trial.runs[0].skill;
            tuned = Some((words, trial.arm.overrides.clone()));
        }
        trials.push(trial);
    }
    let (words, overrides) = tuned.unwrap_or_else(|| ("none better".into(), Vec::new()));
    let tuned = Arm { name: format!("tuned weights: {words}"), kind: ArmKind::FixedWeights, overrides };
    for arm in [tuned].into_iter().chain(methods) {
        arms.push(all_seeds(&mut runner, arm, experiment.seeds)?);
    }
    Ok(ComparisonResult { comparison: comparison.clone(), tasks, arms, trials })
}

/// The first run's settings, checked against the data.
fn plan(experiment: &Experiment, equal: &Arm) -> Result<Plan> {
    if experiment.seeds == 0 {
        return Err(Error::Settings("seeds: at least 1 run of each arm is needed".into()));
    }
    let config = experiment.config(equal, 0).map_err(|error| Error::Base(Box::new(error)))?;
    if config.balancer != Default::default() {
        let name = config.balancer.name();
        return Err(Error::Settings(format!(
            "balancer `{name}` is set for all runs, but balancers are compared: name it as a method"
        )));
    }
    let plan = Plan::new(config).map_err(|error| Error::Base(Box::new(error)))?;
    if plan.split.test.is_empty() {
        return Err(Error::Settings(
            "data.split.test: no test images, but arms are compared by their scores on these".into(),
        ));
    }
    Ok(plan)
}

fn all_seeds(runner: &mut Runner<'_, '_>, arm: Arm, seeds: u64) -> Result<ArmResult> {
    let runs = (0..seeds).map(|index| runner.run(&arm, index)).collect::<Result<_>>()?;
    let result = ArmResult { arm, runs };
    runner.send(&Event::ArmFinished(&result));
    Ok(result)
}
