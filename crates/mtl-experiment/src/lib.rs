//! Experiments of many runs: does sharing an encoder, or balancing its tasks, help?
//!
//! [`compare`] trains every [`Arm`] of a [`Comparison`] for the same number of steps with several seeds: equal weighting, each
//! task alone, fixed weights tuned on validation images, and balancers. The [`Table`] of the result has the mean and standard
//! deviation of every task's primary score on test images, and the mean relative change against the single-task baselines.
//!
//! Runs are kept in one folder and never repeated: a finished run with the same configuration and data is reused, an
//! interrupted one is resumed. So the same call continues an interrupted comparison. Settings of all arms are checked before the
//! first run. The library never prints: [`Observer`]s receive typed [`Event`]s.
//!
//! Cost: `seeds * (tasks + 2 + methods) + 2 * objectives` runs; the data is opened once more per seed.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//! use mtl_experiment::{Comparison, Experiment, Table, compare};
//! # fn main() -> mtl_experiment::Result<()> {
//! let experiment = Experiment { steps: 150, runs: "runs/compare".into(), ..Experiment::default() };
//! let comparison = Comparison { experiment, methods: vec!["upgrad".into(), "cagrad:c=0.4".into()] };
//! let result = compare(&comparison, &mut [], &AtomicBool::new(false))?;
//! println!("{}", Table::new(&result).markdown());
//! # Ok(())
//! # }
//! ```

mod arm;
mod compare;
mod error;
pub mod event;
mod experiment;
mod outcome;
mod runner;
mod table;

pub use arm::{Arm, ArmKind};
pub use compare::{Comparison, ComparisonResult, METHODS, compare};
pub use error::{Error, Result};
pub use event::{Event, Observer};
pub use experiment::Experiment;
pub use outcome::{ArmResult, Outcome};
pub use table::{Column, Row, Spread, Table};
