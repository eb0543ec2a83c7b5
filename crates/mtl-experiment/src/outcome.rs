//! Outcomes of runs and arms.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mtl_metrics::Score;
use mtl_train::RunRecord;
use mtl_train::config::JOINT;
use serde::{Deserialize, Serialize};

use crate::arm::Arm;
use crate::error::{Error, Result};

/// An arm and its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmResult {
    /// The arm.
    pub arm: Arm,
    /// One run per seed.
    pub runs: Vec<Outcome>,
}

/// The part of a [`RunRecord`] that is compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Seed of the run.
    pub seed: u64,
    /// The run folder.
    pub run: PathBuf,
    /// The primary score of each task on the test images, by task; unlabelled objectives included.
    pub scores: BTreeMap<String, Score>,
    /// Best mean skill score on the validation images: 0 is the baseline, 1 is perfect.
    pub skill: f64,
    /// Seconds per step of the joint stage, validations included.
    pub step_seconds: f64,
}

impl Outcome {
    pub(crate) fn new(seed: u64, run: &Path, record: &RunRecord) -> Result<Self> {
        let missing = |problem| Error::Incomplete { run: run.to_owned(), problem };
        let skill = record.best.as_ref().and_then(|best| best.value.skill());
        let skill = skill.ok_or_else(|| missing("the run has no validation"))?;
        let joint = record.stages.iter().find(|stage| stage.name == JOINT);
        let joint = joint.ok_or_else(|| missing("the run has no joint stage"))?;
        let scores = record.scores.iter().filter_map(|task| Some((task.task.clone(), task.scores.first()?.clone())));
        Ok(Self {
            seed,
            run: run.to_owned(),
            scores: scores.collect(),
            skill,
            step_seconds: joint.seconds / joint.steps.max(1) as f64,
        })
    }
}
