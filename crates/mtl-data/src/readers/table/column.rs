//! A column of labels as a task.

use mtl_task::Task;

use super::super::row::Label;

/// A task and its label in every line.
pub(super) struct Column {
    pub task: Task,
    pub labels: Vec<Label>,
}
