//! Training of one multi-task model and its generators on image folders, resumable bit for bit.
//!
//! [`train`] runs the configured stages: [`data::Plan`] checks the configuration against the data, [`mtl_model::Model`] holds the
//! networks, and one training loop drives each [`run::stage::Stage`]: `joint` trains encoder, heads and objectives together, the
//! stages of generators train those on the trained encoder. At the end the test images are scored. [`resume`] continues an
//! interrupted run, bit for bit; [`evaluate()`], [`predict`] and [`generate`] use a trained one. The library never prints:
//! [`event::Observer`]s receive typed events, and `tracing` spans and events go to the program's subscriber.
//!
//! Rooms, each importing only those after it: `run`, `eval`, `data`, `store`, `event`, `record`, `config`, `error`.
//!
//! Cost: besides the networks' own work a step costs the weight average and the norm of the gradient, together about 2 %; a
//! checkpoint is four times the weights on disk.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//! # fn main() -> mtl_train::Result<()> {
//! let config = mtl_train::config::load::load("small", None, &["budget.steps=50".into()])?;
//! let record = mtl_train::train(config, &mut [], &AtomicBool::new(false))?;
//! for task in &record.scores {
//!     println!("{}: {:.3}", task.task, task.scores[0].value);
//! }
//! # Ok(())
//! # }
//! ```

pub mod config;
pub mod data;
mod error;
pub mod eval;
pub mod event;
mod record;
pub mod run;
pub mod store;

pub use config::Config;
pub use error::{Error, ErrorKind, Origin, Remedy, Result};
pub use eval::evaluate::{Evaluation, evaluate};
pub use eval::generate::{
    Agreement, Edit, Endpoint, GenerateRequest, Generated, Inversion, InversionStep, Work, generate,
};
pub use eval::generation::{
    ClassifierAccuracy, EvaluatorReport, GenerationEvaluation, GenerationRequest, GeneratorReport, InceptionReport,
    NetworkScores, evaluate_generation,
};
pub use eval::label_quality::{Judge, LabelQuality, SuspectLabel, label_quality};
pub use eval::predict::{PredictRequest, Predictions, predict};
pub use eval::prediction::{Predicted, TaskPrediction};
pub use eval::prediction_table::Format;
pub use record::{Best, Measured, RunRecord, Signs, StageRecord, TaskScores};
pub use run::{resume, resume_moved, train};
pub use store::{LoadedRun, built_from};
