//! The sum of the losses' logarithms: `w_i = 1 / l_i`.
//!
//! Blind to scale: multiplying a loss by any number changes nothing (Navon et al. 2022 call it SI; the first half of DB-MTL,
//! Lin et al. 2023). The cheapest of the strong baselines.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::scalar::{OfLosses, Scalar};

/// Settings of the sum of logarithms: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// None.
    pub fn build(&self, tasks: &[String]) -> Result<Scalar<LogSum>, Error> {
        Ok(Scalar::new(tasks, LogSum))
    }
}

/// The rule.
#[derive(Debug)]
pub struct LogSum;

impl OfLosses for LogSum {
    fn name(&self) -> &'static str {
        "log_sum"
    }

    fn needs_positive_losses(&self) -> bool {
        true
    }

    fn solve(&self, losses: &[f64], _tasks: &[usize], _stream: &mut Stream) -> Vec<f64> {
        losses.iter().map(|loss| 1.0 / loss).collect()
    }
}
