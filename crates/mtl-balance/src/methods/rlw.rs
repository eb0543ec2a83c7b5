//! RLW: random loss weighting (Lin et al. 2022, arXiv 2111.10603).
//!
//! `w = softmax(z)` with a new standard normal `z` at each step; the weights sum to 1. A baseline: a method that does not beat it balances
//! nothing.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::rules::{LossRule, Ruled};
use crate::solve::softmax;
use crate::{Balancer, Error, Method};

/// Settings of random weights: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        Ok(Ruled::losses(tasks, Rlw))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Rlw;

impl LossRule for Rlw {
    fn name(&self) -> &'static str {
        "rlw"
    }

    fn solve(&self, losses: &[f64], _tasks: &[usize], stream: &mut Stream) -> Vec<f64> {
        softmax(&losses.iter().map(|_| stream.normal()).collect::<Vec<_>>())
    }
}
