//! Evaluation of a run's generators: their samples against held-out images, in the features of networks that no generator was
//! trained with.
//!
//! | file | contents |
//! |---|---|
//! | `images` | images as training, held-out and generated ones, in 8 bits |
//! | `random` | the networks `random`: untrained, three seeds |
//! | `evaluator` | the network `evaluator`: a classifier trained on the real training images |
//! | `inception` | the network `inception`: that of the FID, with weights that the user gives |
//! | `report` | the evaluation itself |
//! | `neighbours` | the picture of samples and their nearest training images |

mod evaluator;
pub(crate) mod images;
mod inception;
mod neighbours;
pub(crate) mod random;
mod report;
#[cfg(test)]
mod tests;

pub use inception::InceptionReport;
pub use report::{
    ClassifierAccuracy, EvaluatorReport, GenerationEvaluation, GenerationRequest, GeneratorReport, NetworkScores,
    evaluate_generation,
};
