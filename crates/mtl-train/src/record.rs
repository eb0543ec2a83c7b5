//! The outcome of a run: scores, gradient conflicts, stages.

use std::path::PathBuf;

use mtl_metrics::Score;
use mtl_model::step::conflict::TaskPair;
use serde::{Deserialize, Serialize};

/// Outcome of a finished run; returned by [`crate::train`] and written as `result.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run folder.
    pub run: PathBuf,
    /// Scores on the test subset, next to the baseline's.
    pub scores: Vec<TaskScores>,
    /// Gradient conflicts over the joint stage, the most frequent ones first.
    pub conflicts: Vec<TaskPair>,
    /// The stages, in order.
    pub stages: Vec<StageRecord>,
    /// The best validation of the joint stage; `None` if no stage validated.
    pub best: Option<Best>,
    /// Seconds of all stages together, over all processes.
    pub seconds: f64,
}

/// A finished stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// The stage's name.
    pub name: String,
    /// Steps done.
    pub steps: u64,
    /// Seconds, over all processes.
    pub seconds: f64,
    /// Seconds of those spent waiting for data.
    pub waited_seconds: f64,
    /// Its best validation; `None` for a stage that does not validate.
    #[serde(default)]
    pub best: Option<Best>,
}

/// The best validation of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Step of the stage.
    pub step: u64,
    /// Its value.
    #[serde(flatten)]
    pub value: Measured,
}

/// What a validation measures, and by which the best weights are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measured {
    /// Mean skill score over the tasks, of the joint stage: higher is better.
    Skill(f64),
    /// KID of samples against validation images, of a generator's stage: lower is better.
    Kid(f64),
    /// Loss on validation images, of the stage of a generator that has one: lower is better.
    Loss(f64),
}

/// Share by which a validation loss that rises exceeds the best one.
pub const RISE: f64 = 0.01;

impl Measured {
    /// Whether this is a better value than `other` of the same stage.
    pub fn better_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::Skill(own), Self::Skill(other)) => own > other,
            (Self::Kid(own), Self::Kid(other)) | (Self::Loss(own), Self::Loss(other)) => own < other,
            _ => false,
        }
    }

    /// Whether a stage counts this value as one without improvement over `best`. A loss changes by fractions of a percent from
    /// chance alone, and must be 1 % above the best one.
    pub fn stalls(self, best: Self) -> bool {
        match (self, best) {
            (Self::Loss(own), Self::Loss(best)) => own > best + RISE * best.abs(),
            _ => !self.better_than(best),
        }
    }

    /// The skill score, if it is one.
    pub fn skill(self) -> Option<f64> {
        match self {
            Self::Skill(skill) => Some(skill),
            Self::Kid(_) | Self::Loss(_) => None,
        }
    }
}

/// Scores of one task and of its baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskScores {
    /// The task.
    pub task: String,
    /// Its kind.
    pub kind: String,
    /// The model's scores, the primary one first.
    pub scores: Vec<Score>,
    /// The same scores, each of the constant prediction that is the best for it ([`mtl_metrics::Baseline`]), where defined.
    pub baseline: Vec<Score>,
    /// Description of the constant predictions.
    pub baseline_words: String,
}

/// Signs that the training of a generator fails, measured at a validation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Signs {
    /// Root mean square distance between samples, relative to that between validation images, in the features of the networks
    /// `random`; near 1 for samples as varied as real images.
    pub variety: f64,
    /// The class with the lowest relative distance, and that distance. `None` without classes of enough images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least_varied: Option<(usize, f64)>,
    /// Gap of the discriminator's scores. `None` without a discriminator, or if it does not tell samples from training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<f64>,
}
