//! Methods of multi-task optimisation: task losses and gradients in, one weight per task (or the update itself) out.
//!
//! Several tasks share one trunk (hard parameter sharing). Their losses differ in scale, and their gradients can conflict, so that
//! the plain sum trains one task at the expense of another (negative transfer). A [`Balancer`] takes the losses, and if it needs
//! them the inner products of the task gradients, and gives one weight per task: the shared parameters move along
//! `sum_i w_i g_i`. It uses no tensors: nearly everything here is `m x m` arithmetic in `f64`, for `m` tasks.
//!
//! [`methods`] has one file per method, with equation, paper and defaults; [`BALANCERS`] lists them with their guarantees. There are
//! methods of losses ([`fixed`](methods::fixed), [`uncertainty`](methods::uncertainty), [`famo`](methods::famo) ...), of gradients by
//! their inner products ([`pcgrad`](methods::pcgrad), [`mgda`](methods::mgda), [`upgrad`](methods::upgrad) ...) or per coordinate
//! ([`graddrop`](methods::graddrop), [`db_mtl`](methods::db_mtl) ...), of gradients on two halves of the batch
//! ([`sdmgrad`](methods::sdmgrad), [`modo`](methods::modo)), and bilevel methods ([`auto_lambda`](methods::auto_lambda)).
//! [`UpdateOptions`] apply to all methods of gradients. [`check_losses`] finds unusable losses before the first step.
//!
//! # One call
//! ```
//! use mtl_balance::{aggregate, methods::upgrad};
//! let update = aggregate(&upgrad::Config::default(), &[[1.0, 0.0], [-0.5, 1.0]])?;
//! assert!(update.vector.iter().zip([0.4, 0.7]).all(|(a, b)| (a - b).abs() < 1e-12));
//! # Ok::<(), mtl_balance::Error>(())
//! ```
//! [`Aggregator`] adds losses, options and a random seed.
//!
//! # A training run
//! ```
//! use mtl_balance::{Config, Gram, Signals};
//! let tasks = ["stress".to_owned(), "lesion".to_owned()];
//! let mut balancer = Config::default_of("pcgrad")?.build(&tasks)?;
//! // Two gradients of length 1 at an angle of 120 degrees.
//! let gram = Gram::new(2, vec![1.0, -0.5, -0.5, 1.0])?;
//! let signals = Signals::new(&tasks, &[0, 1], &[0.7, 0.3]).with_gram(&gram).at(0, 0);
//! let mut stream = mtl_rng::Seed::new(1).stream("balance", &[signals.step]);
//! assert_eq!(balancer.weights(&signals, &mut stream)?, [1.5, 1.5]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Cost
//! The arithmetic takes microseconds for a handful of tasks. The cost of a method is that of its [`Requirements`]: one
//! backward pass for [`Needs::Losses`], one more backward pass per head for [`Needs::FeatureGram`], one backward
//! pass of the trunk per task for [`Needs::TrunkGram`], two halves of it for [`Needs::HalvesGram`], and the gradients
//! on the host for [`Needs::Gradients`]; and the [`Feedback`] after the step, for the few methods that use it.
//!
//! # Degenerate inputs
//! All methods of gradients treat them alike. A gradient of length zero, or shorter than 1e-10 of the longest (a finished task), gets
//! weight 0; a single task gets weight 1; methods with the guarantee "no conflict" give an update of zero
//! where no direction improves all tasks. Methods of losses give a single task weight 1 too, except [`fixed`](methods::fixed) and
//! those with learned weights ([`uncertainty`](methods::uncertainty), [`imtl_l`](methods::imtl_l),
//! [`auto_lambda`](methods::auto_lambda)). A number that is not finite is an error that names the task.
//!
//! # Tasks without labels
//! A task without a label in the batch is *absent*: it is not in [`Signals::present`], gets no weight, and its state does not
//! change. State is kept by task name, so it does not depend on the other tasks of the batch.
//!
//! # Adding a method
//! In this crate: one file in `methods/` with a `Config` that implements [`Method`], a `pub mod` line in `methods.rs`, and one line in
//! `registry.rs`. It is then configurable, listed, and run by the conformance tests in `tests/it`. From another crate:
//! implement one of the rule traits ([`GramRule`], [`LossRule`], [`GradientRule`], [`SplitBatchRule`]) or [`Balancer`], and [`Method`]
//! for its settings; `examples/own_method.rs` is such a file.

mod adam;
mod aggregate;
mod balancer;
mod check_losses;
mod error;
mod gradients_wrt;
mod gram;
mod needs;
mod options;
mod preference;
mod registry;
mod rows;
mod rules;
mod signals;
mod solve;
mod task_state;
mod vector;

pub mod methods;

pub use aggregate::{Aggregator, Update, aggregate};
pub use balancer::{Aggregation, Balancer, Method, State};
pub use check_losses::{LossKind, check_losses};
pub use error::Error;
pub use gradients_wrt::GradientsWrt;
pub use gram::Gram;
pub use needs::{Feedback, Needs, Requirements};
pub use options::UpdateOptions;
pub use preference::Preference;
pub use registry::{BALANCERS, Config, Facts, Family};
pub use rows::Rows;
pub use rules::{GradientRule, GramRule, LossRule, Ruled, SplitBatchRule};
pub use signals::Signals;
