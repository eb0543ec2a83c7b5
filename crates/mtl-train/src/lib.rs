//! Puts one trunk, its heads, generators, a balancer and data together and runs them, exactly resumable.
//!
//! [`train`] is a run from its first step to its last: [`plan`] checks the configuration against the data, [`model`]
//! builds the networks, the joint stage trains trunk, heads and reconstruction together, the generator stages train VAE
//! and GAN on the learnt trunk, and everything is scored on images nothing was chosen by. [`resume`] goes on where a run
//! stopped, bit for bit; [`evaluate()`], [`predict`] and [`generate`] use it. The library never prints: an
//! [`event::Observer`] listens.
//!
//! Cost: beside the networks' own work a step pays for the weight average and one pass for the length of the gradient,
//! together about 2 %; a checkpoint is four times the weights on disk.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//! # fn main() -> mtl_train::Result<()> {
//! let config = mtl_train::settings::load("small", None, &["budget.steps=50".into()])?;
//! let run = mtl_train::train(config, &mut [], &AtomicBool::new(false))?;
//! for task in mtl_train::evaluate(&run, None, None)?.scores {
//!     println!("{}: {:.3}", task.task, task.scores[0].value);
//! }
//! # Ok(())
//! # }
//! ```

pub mod checkpoint;
pub mod config;
pub mod conflict;
mod environment;
mod error;
pub mod evaluate;
pub mod event;
mod generate;
mod generation;
mod joint;
mod live;
pub mod model;
mod pictures;
pub mod plan;
mod predict;
mod record;
mod run;
pub mod run_dir;
mod seen;
mod session;
pub mod settings;
mod sources;
mod start;
pub mod step;
mod trained;

pub use config::Config;
pub use environment::built_from;
pub use error::{Error, Result};
pub use generate::{GenerateRequest, Generated, generate};
pub use predict::{Predicted, Predictions, TaskPrediction, predict};
pub use run::{resume, train};
pub use trained::{Evaluation, Trained, evaluate};
