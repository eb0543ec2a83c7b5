//! The largest loss, smoothly: `mu log sum_i e^(l_i / (m mu))`, so `w_i = softmax(l / (m mu))_i / m`.
//!
//! Smooth Tchebycheff scalarisation (Lin et al. 2024, eq. 6) with equal preferences `1/m` and the ideal losses at 0. As `mu`
//! falls to 0 only the worst task is left; as it grows, the mean.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::scalar::{OfLosses, Scalar, softmax};

/// Settings of smooth Tchebycheff scalarisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Smoothness, above 0, in units of loss. 1; the paper tries 0.01 to 1.
    pub mu: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { mu: 1.0 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// A smoothness that is not above 0.
    pub fn build(&self, tasks: &[String]) -> Result<Scalar<Stch>, Error> {
        let rule = "the smoothness must be a number above 0";
        Error::unless(self.mu.is_finite() && self.mu > 0.0, "balancer.stch.mu", self.mu, rule)?;
        Ok(Scalar::new(tasks, Stch { mu: self.mu }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Stch {
    mu: f64,
}

impl OfLosses for Stch {
    fn name(&self) -> &'static str {
        "stch"
    }

    fn solve(&self, losses: &[f64], _stream: &mut Stream) -> Vec<f64> {
        let m = losses.len() as f64;
        let scaled: Vec<f64> = losses.iter().map(|loss| loss / (m * self.mu)).collect();
        softmax(&scaled).into_iter().map(|w| w / m).collect()
    }
}
