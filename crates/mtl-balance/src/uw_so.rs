//! Uncertainty weights without anything learned: `w = softmax(1 / (T l))` (UW-SO, Kirchdorfer et al. 2024).
//!
//! The optimum of uncertainty weighting is `1 / (2 l)`; here the tasks share out a sum of 1 by it, as sharply as `temperature` says.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::scalar::{OfLosses, Scalar, softmax};

/// Settings of UW-SO.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `T`, above 0: large ones even the weights out. The paper tunes it for each data set; 5 keeps losses of 0.1 and 1 within
    /// a factor of 6.
    pub temperature: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { temperature: 5.0 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// A temperature that is not above 0.
    pub fn build(&self, tasks: &[String]) -> Result<Scalar<UwSo>, Error> {
        let holds = self.temperature.is_finite() && self.temperature > 0.0;
        let rule = "the temperature must be a number above 0";
        Error::unless(holds, "balancer.uw_so.temperature", self.temperature, rule)?;
        Ok(Scalar::new(tasks, UwSo { temperature: self.temperature }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct UwSo {
    temperature: f64,
}

impl OfLosses for UwSo {
    fn name(&self) -> &'static str {
        "uw_so"
    }

    fn needs_positive_losses(&self) -> bool {
        true
    }

    fn solve(&self, losses: &[f64], _tasks: &[usize], _stream: &mut Stream) -> Vec<f64> {
        softmax(&losses.iter().map(|loss| 1.0 / (loss * self.temperature)).collect::<Vec<_>>())
    }
}
