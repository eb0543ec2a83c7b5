//! The part of a data set's description that a model depends on.

use mtl_task::{Task, ValueStatistics};
use serde::{Deserialize, Serialize};

/// Tasks, classes and image size: a trained model is used with this and without its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// Name of the data set.
    pub data: String,
    /// Image channels, 1 (grey) or 3 (colour).
    pub channels: usize,
    /// Image height in pixels.
    pub height: usize,
    /// Image width in pixels.
    pub width: usize,
    /// The labelled tasks.
    pub tasks: Vec<Task>,
    /// Number of training labels per class of each task (images or pixels); empty for tasks of numbers.
    pub class_counts: Vec<Vec<u64>>,
    /// Statistics of each task's training labels, by which a head of numbers standardises; `None` for tasks of classes and relative
    /// ones. Empty without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Option<ValueStatistics>>,
    /// Index of the task whose classes condition the generators.
    pub condition: Option<usize>,
    /// SHA-256 of the row names of the training, validation and test subset. A folder that has gained or lost an image is
    /// split differently, and images of the training subset must not be scored as held-out images.
    pub split_sha256: String,
}

impl Schema {
    /// A schema for images of `channels` channels and `(height, width)` pixels, without label statistics or conditioning.
    pub fn new(data: impl Into<String>, channels: usize, (height, width): (usize, usize), tasks: Vec<Task>) -> Self {
        let class_counts = tasks.iter().map(|task| vec![0; task.kind.classes().len()]).collect();
        let (data, split_sha256, values) = (data.into(), String::new(), Vec::new());
        Self { data, channels, height, width, tasks, class_counts, values, condition: None, split_sha256 }
    }

    /// Class names that condition the generators; empty for unconditional generators.
    pub fn condition_classes(&self) -> &[String] {
        self.condition.map_or(&[], |task| self.tasks[task].kind.classes())
    }

    /// The conditioning classes of a batch of `count` images, -1 where missing.
    pub fn conditioning(&self, targets: &[mtl_task::Target], count: usize) -> Vec<i32> {
        match self.condition.map(|at| &targets[at]) {
            Some(mtl_task::Target::Class(labels)) => labels.clone(),
            _ => vec![-1; count],
        }
    }
}
