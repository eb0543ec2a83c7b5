//! What is predicted for one image.

use std::path::PathBuf;

use serde::Serialize;

/// Prediction of one task for one image.
#[derive(Clone, Debug, Serialize)]
pub struct TaskPrediction {
    /// The task.
    pub task: String,
    /// Its kind.
    pub kind: &'static str,
    /// Probability per class or label; for pixel tasks the share of pixels per class.
    pub probabilities: Vec<(String, f64)>,
    /// The number, of a task of numbers: for a dense map the mean over its pixels.
    pub value: Option<f64>,
    /// Class indices as a grey PNG of the image's own size (dense tasks: 16 bit over the range 0 to 1).
    pub mask: Option<PathBuf>,
    /// The image with the predicted classes as a coloured overlay.
    pub overlay: Option<PathBuf>,
}

/// Predictions of all tasks for one image.
#[derive(Clone, Debug, Serialize)]
pub struct Predicted {
    /// The image file.
    pub image: PathBuf,
    /// One entry per task.
    pub tasks: Vec<TaskPrediction>,
}
