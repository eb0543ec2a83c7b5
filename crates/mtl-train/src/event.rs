//! Typed events of a run, for progress bars, log files and tests. The library never prints.

use std::path::PathBuf;
use std::time::Duration;

use mtl_metrics::generation::GenerationScore;
use mtl_model::step::conflict::{Comparison, TaskPair};
use serde::Serialize;

use crate::record::{RunRecord, Signs, TaskScores};

/// Number of labels of one task in each subset.
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

/// One optimizer step.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Name of the optimizer: `joint`, or the phase of a generator (`vae`, `critic`, `generator`).
    pub optimizer: String,
    /// The learning rate, before the scales of single parameters.
    pub lr: f64,
    /// Euclidean norm of the gradient of all parameters together, before clipping.
    pub grad_norm: f64,
}

/// An event of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The run folder exists, the data is open, the model is built.
    Started {
        /// The run folder.
        run: PathBuf,
        /// The data set's name.
        data: String,
        /// Images in all subsets.
        images: usize,
        /// Height and width.
        size: (usize, usize),
        /// Trained values of trunk, heads and generators.
        parameters: usize,
        /// Labels of each task.
        labels: Vec<LabelCount>,
        /// Notes for the user: skipped files, columns not used.
        notes: Vec<String>,
        /// True when an earlier run is continued.
        resumed: bool,
    },
    /// A stage starts, or continues from `step`.
    StageStarted {
        /// Name of the stage.
        stage: String,
        /// Steps already done.
        step: u64,
        /// Steps planned; an initial estimate with a budget in minutes.
        steps: u64,
    },
    /// One step has finished.
    Step {
        /// Name of the stage.
        stage: String,
        /// Steps done.
        step: u64,
        /// Steps planned.
        steps: u64,
        /// Losses by name, before weighting.
        losses: Vec<(String, f64)>,
        /// The balancer's weight of each task that had labels; empty outside the joint stage.
        weights: Vec<(String, f64)>,
        /// The optimizer steps, in order.
        updates: Vec<Update>,
        /// Estimated seconds until the end of the stage; `None` before the first estimate.
        left_s: Option<f64>,
    },
    /// The tasks' gradients of the shared parameters were compared in a step of the joint stage.
    Compared(Comparison),
    /// Gradient conflicts over the joint stage, the most frequent ones first.
    Conflicts {
        /// Every pair of tasks that was compared.
        pairs: Vec<TaskPair>,
    },
    /// The validation images were scored.
    Validated {
        /// Steps done.
        step: u64,
        /// Mean skill score over the tasks: 0 is the baseline, 1 is perfect.
        skill: f64,
        /// Whether it is the best so far.
        best: bool,
        /// All scores.
        scores: Vec<TaskScores>,
    },
    /// Samples of a generator were compared with the validation images.
    SamplesValidated {
        /// Name of the stage.
        stage: String,
        /// Steps done.
        step: u64,
        /// KID in the features of random networks, mean and spread over them.
        kid: GenerationScore,
        /// Loss on the validation images, of a generator that has one. The best weights are then chosen by it, not by KID.
        loss: Option<f64>,
        /// Variety of the samples, and the gap of the discriminator.
        signs: Signs,
        /// Whether it is the best so far.
        best: bool,
    },
    /// A checkpoint was saved.
    Saved {
        /// Its folder.
        path: PathBuf,
    },
    /// A picture was written.
    Picture {
        /// The file.
        path: PathBuf,
    },
    /// A stage has finished.
    StageFinished {
        /// Name of the stage.
        stage: String,
        /// Steps done.
        step: u64,
        /// Duration, over all processes.
        took: Duration,
        /// Share of that time spent waiting for data.
        waiting: f64,
    },
    /// A message for the user that is no problem.
    Note {
        /// The message.
        message: String,
    },
    /// A problem that does not stop the run.
    Warning {
        /// The message.
        message: String,
    },
    /// The run has finished; `result.json` is written.
    Finished(RunRecord),
}

/// Receives the events of a run.
pub trait Observer {
    /// Called on the training thread; must return quickly.
    fn event(&mut self, event: &Event);
}

/// Sends an event to all observers.
pub(crate) fn send(observers: &mut [&mut dyn Observer], event: &Event) {
    for observer in observers {
        observer.event(event);
    }
}
