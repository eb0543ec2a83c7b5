//! What a run tells while it runs. The library never prints: a progress bar, a log file or a test listens.

use std::path::PathBuf;
use std::time::Duration;

use mtl_metrics::Score;
use serde::Serialize;

use crate::config::Stage;
use crate::conflict::{Comparison, Pair};

/// How many labels one task has on each side of the split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelCount {
    /// The task.
    pub task: String,
    /// Its kind.
    pub kind: &'static str,
    /// Images with a label: training, validation, test.
    pub labelled: [usize; 3],
    /// Images: training, validation, test.
    pub images: [usize; 3],
}

/// Scores of one task next to the trivial baseline's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskScores {
    /// The task.
    pub task: String,
    /// Its kind.
    pub kind: &'static str,
    /// The model's scores, the one that decides first.
    pub scores: Vec<Score>,
    /// The same scores of the best constant prediction (majority class, all background, mean value), where defined.
    pub baseline: Vec<Score>,
    /// The constant prediction in words.
    pub baseline_words: String,
}

/// One move of one optimizer.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Whose: `joint`, or the phase of a generator (`vae`, `critic`, `generator`).
    pub optimizer: &'static str,
    /// The learning rate; parameters that learn slower have a share of it.
    pub lr: f64,
    /// Euclidean length of the gradient of all parameters together, before clipping.
    pub grad_norm: f64,
}

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The run folder exists, the data is open, the model is built.
    Started {
        /// The run folder.
        run: PathBuf,
        /// The data set's name.
        data: String,
        /// Height and width.
        size: (usize, usize),
        /// Trained values of trunk, heads and generators.
        parameters: usize,
        /// Labels of each task.
        labels: Vec<LabelCount>,
        /// Sentences the user should see: skipped files, columns not used, warnings.
        notes: Vec<String>,
        /// True when an earlier run is continued.
        resumed: bool,
    },
    /// A stage begins (or goes on from `step`).
    StageStarted {
        /// Which.
        stage: Stage,
        /// Steps already done.
        step: u64,
        /// Steps planned; with a budget in minutes a first guess.
        steps: u64,
    },
    /// One step is done.
    Step {
        /// Which stage.
        stage: Stage,
        /// Steps done.
        step: u64,
        /// Steps planned.
        steps: u64,
        /// Losses by name, before weighting.
        losses: Vec<(String, f64)>,
        /// The balancer's weight of each task that had labels; empty in generator stages.
        weights: Vec<(String, f64)>,
        /// What the optimizers did, in order.
        updates: Vec<Update>,
        /// Seconds this stage still needs, once that can be said.
        left_s: Option<f64>,
    },
    /// The tasks' gradients of the trunk were compared in a step of the joint stage.
    Compared(Comparison),
    /// What the tasks did to each other over the joint stage, those that pulled apart most often first.
    Conflicts {
        /// Every pair of tasks that was compared.
        pairs: Vec<Pair>,
    },
    /// The validation images were scored.
    Validated {
        /// Steps done.
        step: u64,
        /// Mean skill over the tasks, 0 is the trivial baseline and 1 perfect.
        skill: f64,
        /// Whether it is the best so far.
        best: bool,
        /// All scores.
        scores: Vec<TaskScores>,
    },
    /// A checkpoint is on the disk.
    Saved {
        /// Its folder.
        path: PathBuf,
    },
    /// A picture is on the disk.
    Picture {
        /// The file.
        path: PathBuf,
    },
    /// A stage is over.
    StageFinished {
        /// Which.
        stage: Stage,
        /// Steps done.
        step: u64,
        /// How long it took, over all sessions.
        took: Duration,
        /// Share of that time spent waiting for data.
        waiting: f64,
    },
    /// Something the user should know that stops nothing.
    Warning {
        /// In words.
        message: String,
    },
    /// The run is over.
    Finished {
        /// The run folder.
        run: PathBuf,
        /// Scores on the test images.
        scores: Vec<TaskScores>,
        /// How long it took, over all sessions.
        took: Duration,
    },
}

/// Listens to a run.
pub trait Observer {
    /// Called on the training thread: return quickly.
    fn event(&mut self, event: &Event);
}

/// Tells all observers.
pub(crate) fn tell(observers: &mut [&mut dyn Observer], event: &Event) {
    for observer in observers {
        observer.event(event);
    }
}
