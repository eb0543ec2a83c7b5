//! Predictions for one image.

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
    /// The number, of a task of numbers, in `unit`: for a dense map the mean over its pixels.
    pub value: Option<f64>,
    /// Unit of a task of numbers, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Class indices as a grey PNG of the image's own size; of dense tasks the values, in 16 bits.
    pub mask: Option<PathBuf>,
    /// Dense tasks: the value of the number 1 in `mask`. Depths are written as those of the training images are stored, from 1
    /// (0 means "not measured"); relative values from 0 to 1 over the range of 16 bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
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
