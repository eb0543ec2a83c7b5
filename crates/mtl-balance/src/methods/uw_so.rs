//! UW-SO: soft optimal uncertainty weighting (Kirchdorfer et al. 2024, arXiv 2408.07985).
//!
//! `w = softmax(1 / (T l))`: the analytic optimum `1 / (2 l)` of uncertainty weighting, normalised by a softmax with temperature `T`.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::rules::{LossRule, Ruled};
use crate::solve::softmax;
use crate::{Balancer, Error, Method, Requirements};

/// Settings of UW-SO.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Temperature `T`, above 0: large values give nearly equal weights. The paper tunes it per data set. Default: 5, which keeps the
    /// weights of losses 0.1 and 1 within a factor of 6.
    pub temperature: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { temperature: 5.0 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let holds = self.temperature.is_finite() && self.temperature > 0.0;
        let rule = "the temperature must be a number above 0";
        Error::ensure(holds, "balancer.uw_so.temperature", self.temperature, rule)?;
        Ok(Ruled::losses(tasks, UwSo { temperature: self.temperature }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct UwSo {
    temperature: f64,
}

impl LossRule for UwSo {
    fn name(&self) -> &'static str {
        "uw_so"
    }

    fn requirements(&self) -> Requirements {
        Requirements { nonnegative_losses: true, ..Requirements::default() }
    }

    fn solve(&self, losses: &[f64], _tasks: &[usize], _stream: &mut Stream) -> Vec<f64> {
        softmax(&losses.iter().map(|loss| 1.0 / (loss * self.temperature)).collect::<Vec<_>>())
    }
}
