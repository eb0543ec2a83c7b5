//! GLS: geometric loss strategy (Chennupati et al. 2019, arXiv 1904.08492).
//!
//! The geometric mean of the losses in place of their sum: `w_i = (prod l)^(1/m) / (m l_i)`. Every weighted loss is the same, for any
//! scales of the losses.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::rules::{LossRule, Ruled};
use crate::{Balancer, Error, Method, Requirements};

/// Settings of the geometric mean: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        Ok(Ruled::losses(tasks, Gls))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Gls;

impl LossRule for Gls {
    fn name(&self) -> &'static str {
        "gls"
    }

    fn requirements(&self) -> Requirements {
        Requirements { nonnegative_losses: true, ..Requirements::default() }
    }

    fn solve(&self, losses: &[f64], _tasks: &[usize], _stream: &mut Stream) -> Vec<f64> {
        let m = losses.len() as f64;
        let mean = (losses.iter().map(|loss| loss.ln()).sum::<f64>() / m).exp();
        losses.iter().map(|loss| mean / (m * loss)).collect()
    }
}
