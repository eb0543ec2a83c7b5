//! One multi-task model: a shared encoder, the objectives trained on it, generators, and the gradients of one joint step.
//!
//! * [`Model`] holds every network under one set of named parameters: `trunk.*`, `heads.TASK.*`, `autoencoder.*`, and the
//!   generators under their own names.
//! * An [`Objective`] is one loss of the joint stage: a labelled task's head, a generator that learns jointly (the VAE), an
//!   autoencoder. The registry of unlabelled objectives is [`objectives::OBJECTIVES`].
//! * [`step::step`] computes the gradients of one joint step in the way the balancer requires.
//! * [`Model::outputs`] gives predictions and reconstructions, with or without flip test-time augmentation.
//!
//! The crate reads no data set and writes no files; `mtl-train` does.
//!
//! Cost: [`Model::new`] is linear in the number of parameters; a joint step costs one forward and one backward pass, and with
//! balancers that need gradients up to one backward pass of the encoder per task ([`step`]).
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use mtl_model::{DeviceBatch, Model, ModelConfig, Schema, StepInput, step};
//! use mtl_rng::Seed;
//! use mtl_task::{Target, Task, TaskKind};
//! use mtl_tensor::{Ctx, DType, Device, Tensor};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let classes = vec!["cat".to_owned(), "dog".to_owned()];
//! let tasks = vec![Task::new("species", TaskKind::Classification { classes })];
//! let model = Model::new(&ModelConfig::default(), &Schema::new("pets", 3, (32, 32), tasks), &Device::Cpu)?;
//!
//! let batch = DeviceBatch {
//!     images: Tensor::zeros((4, 3, 32, 32), DType::F32, &Device::Cpu)?,
//!     targets: vec![Target::Class(vec![0, 1, 1, Target::NO_CLASS])],
//!     classes: vec![-1; 4],
//!     parts: 1,
//! };
//! let mut balancer = mtl_balance::Config::default().build(&model.objective_names())?;
//! let cx = Ctx::train(Seed::new(1), 0);
//! let input = StepInput { batch: &batch, step: 0, epoch: 0, compare: false };
//! let output = step::step(&model, &mut *balancer, &input, &cx, &mut cx.stream("balancer"))?;
//! assert_eq!(output.losses[0].0, "species");
//! assert!(output.grads.keys().any(|name| name.starts_with("trunk.")));
//! # Ok(())
//! # }
//! ```

mod batch;
mod error;
mod model;
pub mod objective;
pub mod objectives;
mod outputs;
mod schema;
pub mod step;

pub use batch::DeviceBatch;
pub use error::{Error, Result};
pub use model::{Model, ModelConfig, ModelParts};
pub use objective::{Objective, Output};
pub use outputs::Outputs;
pub use schema::Schema;
pub use step::{StepInput, StepOutput};
