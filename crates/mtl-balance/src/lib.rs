//! Task losses and the gradient Gram matrix in, one weight a task out.
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
//! | [`pcgrad`] | Gram matrix | takes from each gradient the part that works against another |
//!
//! # Cost
//! The arithmetic is nothing (under a microsecond for a handful of tasks). What costs is what a method [`Needs`]: one
//! backward pass for [`Needs::Losses`], a cheap backward pass of each head more for [`Needs::FeatureGram`], a backward
//! pass of the trunk for each task for [`Needs::TrunkGram`].
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
//! `pub mod` line here, and one line in the list in `config.rs`: it is then configurable, listed, and run by the
//! conformance tests in `tests/it`.

mod balancer;
mod config;
mod error;
mod signals;

pub mod dwa;
pub mod fixed;
pub mod pcgrad;
pub mod uncertainty;

pub use balancer::{Balancer, Needs, State};
pub use config::{BALANCERS, Config};
pub use error::Error;
pub use signals::{Gram, Signals};
