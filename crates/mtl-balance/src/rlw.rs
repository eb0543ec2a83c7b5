//! Random weights, anew at each step: `w = softmax(z)`, `z` standard normal (RLW, Lin et al. 2022).
//!
//! A baseline to be taken seriously: methods that do not beat it have balanced nothing. The weights sum to 1.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::scalar::{OfLosses, Scalar, softmax};

/// Settings of random weights: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// None.
    pub fn build(&self, tasks: &[String]) -> Result<Scalar<Rlw>, Error> {
        Ok(Scalar::new(tasks, Rlw))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Rlw;

impl OfLosses for Rlw {
    fn name(&self) -> &'static str {
        "rlw"
    }

    fn solve(&self, losses: &[f64], _tasks: &[usize], stream: &mut Stream) -> Vec<f64> {
        softmax(&losses.iter().map(|_| stream.normal()).collect::<Vec<_>>())
    }
}
