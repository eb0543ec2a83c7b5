//! The geometric mean of the losses in place of their sum: `w_i = (prod l)^(1/m) / (m l_i)` (GLS, Chennupati et al. 2019).
//!
//! Every weighted loss is the same, whatever the scales, and the whole shrinks with all of them.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::scalar::{OfLosses, Scalar};

/// Settings of the geometric mean: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// None.
    pub fn build(&self, tasks: &[String]) -> Result<Scalar<Gls>, Error> {
        Ok(Scalar::new(tasks, Gls))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Gls;

impl OfLosses for Gls {
    fn name(&self) -> &'static str {
        "gls"
    }

    fn needs_positive_losses(&self) -> bool {
        true
    }

    fn solve(&self, losses: &[f64], _tasks: &[usize], _stream: &mut Stream) -> Vec<f64> {
        let m = losses.len() as f64;
        let mean = (losses.iter().map(|loss| loss.ln()).sum::<f64>() / m).exp();
        losses.iter().map(|loss| mean / (m * loss)).collect()
    }
}
