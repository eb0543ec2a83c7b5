//! Task losses and gradients in, one weight a task (or the update itself) out: the published methods of multi-task optimisation.
//!
//! Several tasks share one trunk. Their losses differ in scale and their gradients can point against each other, so
//! that the plain sum serves one task at another's cost. A [`Balancer`] looks at the losses, and if it asks for it at
//! the inner products of the task gradients, and gives one weight a task: the shared parameters are then moved by
//! `sum_i w_i g_i`. It never sees a tensor: everything here is `m x m` arithmetic in `f64`, `m` the number of tasks.
//!
//! | method | needs | in a word |
//! |---|---|---|
//! | [`fixed`] | losses | the weights you write down, 1 by default; hard to beat when tuned |
//! | [`uncertainty`] | losses | learns a noise level for each task; evens out loss scales |
//! | [`dwa`] | losses | more weight to tasks whose loss falls slowly |
//! | [`uw_so`] | losses | the same, nothing learned |
//! | [`imtl_l`] | losses | the same up to a factor |
//! | [`gls`] | losses | the geometric mean in place of the sum |
//! | [`log_sum`] | losses | one over the loss |
//! | [`stch`] | losses | the largest loss, smoothly |
//! | [`famo`] | losses, also after the step | weighs less who fell fastest |
//! | [`rlw`] | losses | random, anew at each step: the baseline that must be beaten |
//! | [`norm_scaling`] | Gram matrix | every gradient brought to the same usual length |
//! | [`gradnorm`] | Gram matrix | lengths of gradients follow how far behind their tasks are |
//! | [`db_mtl`] | gradients | logarithms of losses, averaged gradients made equally long |
//! | [`excess_mtl`] | gradients | more weight to tasks far from the best they can do |
//! | [`gradvac`] | Gram matrix | gradients turned towards the angles they usually have |
//! | [`pcgrad`] | Gram matrix | takes from each gradient the part that works against another |
//! | [`mgda`] | Gram matrix | the shortest common descent direction |
//! | [`cagrad`] | Gram matrix | near the mean, where the worst-off task gains most |
//! | [`imtl_g`] | Gram matrix | equal projections on all gradients |
//! | [`nash`] | Gram matrix | the bargain that maximises the product of gains |
//! | [`fairgrad`] | Gram matrix | gains as fair as `alpha` says |
//! | [`aligned`] | Gram matrix | gradients made orthogonal and equally long |
//! | [`dualproj`] | Gram matrix | the mean gradient, turned until it works against none |
//! | [`upgrad`] | Gram matrix | each gradient turned until it works against none, then the mean |
//! | [`config`] | Gram matrix | the same angle to every gradient |
//! | [`pcd`] | Gram matrix | near the primary gradient, with some progress left to the others |
//! | [`moco`] | gradients | the shortest common direction of gradients averaged over steps |
//! | [`sdmgrad`] | two halves of the batch | a common direction near the mean |
//! | [`modo`] | two halves of the batch | small steps towards the shortest direction |
//! | [`auto_lambda`] | losses, one step ahead | weights that lower the primary tasks' loss on other images |
//! | [`krum`] | Gram matrix | the gradients with most company, no others |
//! | [`graddrop`] | gradients | each coordinate goes with one sign, drawn |
//! | [`trimmed_mean`] | gradients | the mean of each coordinate without its extremes |
//!
//! Around any of them a [`Wrap`] puts an average of the weights, an update every few steps, gradients of one length, or an update of
//! the mean gradient's length. [`suit`] says beforehand which losses a method cannot read.
//!
//! # Cost
//! The arithmetic is nothing beside a training step: microseconds for a handful of tasks. What costs is what a method [`Needs`]: one
//! backward pass for [`Needs::Losses`], a cheap backward pass of each head more for [`Needs::FeatureGram`], a backward
//! pass of the trunk for each task for [`Needs::TrunkGram`], the same in two halves for [`Needs::HalvesGram`], and the gradients
//! on the host for [`Needs::Gradients`]; and the [`Feedback`] a few of them want after the step.
//!
//! # Degenerate inputs
//! One behaviour everywhere: a gradient of length zero (a task that is done) is left out and gets weight 0; a single task gets weight
//! 1; where no direction helps all tasks the update is zero; a number that is not finite is an error naming the task.
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
mod once;
mod registry;
mod route;
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
pub use registry::{BALANCERS, Config, Family, Method};
pub use route::Route;
pub use scalar::Scalar;
pub use signals::{Gram, Signals};
pub use suit::{LossKind, suit};
pub use wrap::Wrap;
