//! Task losses and gradients in, one weight a task (or the update itself) out: the published methods of multi-task optimisation.
//!
//! Several tasks share one trunk. Their losses differ in scale and their gradients can point against each other, so
//! that the plain sum serves one task at another's cost. A [`Balancer`] looks at the losses, and if it asks for it at
//! the inner products of the task gradients, and gives one weight a task: the shared parameters are then moved by
//! `sum_i w_i g_i`. It never sees a tensor: nearly everything here is `m x m` arithmetic in `f64`, `m` the number of tasks.
//!
//! The modules below are the methods, one file each, with equation, paper and defaults; [`BALANCERS`] lists them with what they
//! promise. In families: those that see losses only ([`fixed`], [`uncertainty`], [`dwa`], [`famo`], ...), gradients by their inner
//! products ([`pcgrad`], [`mgda`], [`upgrad`], ...) or whole ([`graddrop`], [`db_mtl`], ...), gradients of two halves of the batch
//! ([`sdmgrad`], [`modo`]), and what a weight does one step later ([`auto_lambda`]).
//!
//! Around those that see gradients a [`Wrap`] puts an average of the weights, an update every few steps, gradients of one length, or an update of
//! the mean gradient's length. [`suit`] says beforehand which losses a method cannot read.
//!
//! # Cost
//! The arithmetic is nothing beside a training step: microseconds for a handful of tasks. What costs is what a method [`Needs`]: one
//! backward pass for [`Needs::Losses`], a cheap backward pass of each head more for [`Needs::FeatureGram`], a backward
//! pass of the trunk for each task for [`Needs::TrunkGram`], the same in two halves for [`Needs::HalvesGram`], and the gradients
//! on the host for [`Needs::Gradients`]; and the [`Feedback`] a few of them want after the step.
//!
//! # Degenerate inputs
//! One behaviour of all methods that see gradients: one of length zero, or shorter than 1e-10 of the longest (a task that is done), is
//! left out and gets weight 0; a single task gets weight 1; methods that promise to work against no task make an update of zero
//! where no direction helps all. Of methods that see losses only, a single task gets weight 1 too, but from [`fixed`] and those
//! that learn a weight ([`uncertainty`], [`imtl_l`], [`auto_lambda`]). A number that is not finite is an error naming the task.
//!
//! # Tasks without labels
//! A task without a label in the batch is *absent*: it is not in [`Signals::present`], gets no weight, and its state is
//! left alone. State is kept by task name, so it does not matter who else is in the batch.
//!
//! # Example
//! ```
//! use mtl_balance::{Config, Gram, Signals};
//! let tasks = ["stress".to_owned(), "lesion".to_owned()];
//! let mut balancer = Config::named("pcgrad")?.build(&tasks)?;
//! // Two gradients of length 1 with an angle of 120 degrees between them.
//! let gram = Gram::new(2, vec![1.0, -0.5, -0.5, 1.0])?;
//! let signals = Signals::new(&tasks, &[0, 1], &[0.7, 0.3]).with_gram(&gram).at(0, 0);
//! let mut stream = mtl_rng::Seed::new(1).stream("balance", &[signals.step]);
//! assert_eq!(balancer.weights(&signals, &mut stream)?, [1.5, 1.5]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Adding a method
//! One file with a `Config` (its `build` checks the settings against the tasks) and a type that is a [`Balancer`], a
//! `pub mod` line here, and one line in the list in `registry.rs`: it is then configurable, listed, and run by the
//! conformance tests in `tests/it`.

mod adam;
mod balancer;
mod coordinates;
mod error;
mod gramian;
mod halves;
mod memory;
mod once;
mod preference;
mod registry;
mod route;
mod rows;
mod scalar;
mod signals;
mod solve;
mod suit;
mod wrap;

pub mod aligned;
pub mod auto_lambda;
pub mod cagrad;
pub mod config;
pub mod db_mtl;
pub mod dualproj;
pub mod dwa;
pub mod excess_mtl;
pub mod fairgrad;
pub mod famo;
pub mod fixed;
pub mod gls;
pub mod graddrop;
pub mod gradnorm;
pub mod gradvac;
pub mod imtl_g;
pub mod imtl_l;
pub mod krum;
pub mod log_sum;
pub mod mgda;
pub mod moco;
pub mod modo;
pub mod nash;
pub mod norm_scaling;
pub mod pcd;
pub mod pcgrad;
pub mod rlw;
pub mod sdmgrad;
pub mod stch;
pub mod trimmed_mean;
pub mod uncertainty;
pub mod upgrad;
pub mod uw_so;

pub use balancer::{Balancer, Combination, Feedback, Needs, State};
pub use coordinates::Coordinates;
pub use error::Error;
pub use gramian::Gramian;
pub use halves::Halves;
pub use once::{Update, once};
pub use preference::Preference;
pub use registry::{BALANCERS, Config, Family, Method};
pub use route::Route;
pub use scalar::Scalar;
pub use signals::{Gram, Signals};
pub use suit::{LossKind, suit};
pub use wrap::Wrap;
