//! Sum of the logarithms of the losses (Navon et al. 2022, "SI", arXiv 2202.01017; the loss half of DB-MTL, Lin et al. 2023).
//!
//! `w_i = 1 / l_i`: invariant to the scale of each loss, at no cost.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::rules::{LossRule, Ruled};
use crate::{Balancer, Error, Method, Requirements};

/// Settings of the sum of logarithms: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        Ok(Ruled::losses(tasks, LogSum))
    }
}

/// The rule.
#[derive(Debug)]
pub struct LogSum;

impl LossRule for LogSum {
    fn name(&self) -> &'static str {
        "log_sum"
    }

    fn requirements(&self) -> Requirements {
        Requirements { nonnegative_losses: true, ..Requirements::default() }
    }

    fn solve(&self, losses: &[f64], _tasks: &[usize], _stream: &mut Stream) -> Vec<f64> {
        losses.iter().map(|loss| 1.0 / loss).collect()
    }
}
