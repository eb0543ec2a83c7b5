//! The largest loss, smoothly: `mu log sum_i e^(p_i l_i / mu)`, so `w_i = p_i softmax(p l / mu)_i`.
//!
//! Smooth Tchebycheff scalarisation (Lin et al. 2024, eq. 6), `p` the preference, `1/m` each unless set, with the ideal losses at 0.
//! As `mu` falls to 0 only the worst task is left; as it grows, the mean.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::preference::Counts;
use crate::scalar::{OfLosses, Scalar, softmax};
use crate::{Error, Preference};

/// Settings of smooth Tchebycheff scalarisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Smoothness, above 0, in units of loss. 1; the paper tries 0.01 to 1.
    pub mu: f64,
    /// What each task counts; by default all alike.
    pub preference: Preference,
}

impl Default for Config {
    fn default() -> Self {
        Self { mu: 1.0, preference: Preference::default() }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// A smoothness or a preference that is not above 0, a preference for a task there is not.
    pub fn build(&self, tasks: &[String]) -> Result<Scalar<Stch>, Error> {
        let rule = "the smoothness must be a number above 0";
        Error::unless(self.mu.is_finite() && self.mu > 0.0, "balancer.stch.mu", self.mu, rule)?;
        let counts = self.preference.among(tasks, "balancer.stch.preference")?;
        Ok(Scalar::new(tasks, Stch { mu: self.mu, counts }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Stch {
    mu: f64,
    counts: Counts,
}

impl OfLosses for Stch {
    fn name(&self) -> &'static str {
        "stch"
    }

    fn solve(&self, losses: &[f64], tasks: &[usize], _stream: &mut Stream) -> Vec<f64> {
        let shares = self.counts.shares(tasks);
        let scaled: Vec<f64> = losses.iter().zip(&shares).map(|(loss, share)| loss * share / self.mu).collect();
        softmax(&scaled).into_iter().zip(shares).map(|(w, share)| w * share).collect()
    }
}
