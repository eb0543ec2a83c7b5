//! STCH: smooth Tchebycheff scalarisation (Lin et al. 2024, eq. 6, arXiv 2402.19078).
//!
//! A smooth maximum of the losses: `mu log sum_i e^(p_i l_i / mu)`, so `w_i = p_i softmax(p l / mu)_i`, where `p` is the preference, `1/m`
//! each by default, and the ideal losses are 0. For `mu` near 0 only the largest loss counts; for a large `mu` it is the mean.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::preference::Importance;
use crate::rules::{LossRule, Ruled};
use crate::solve::softmax;
use crate::{Balancer, Error, Method, Preference};

/// Settings of smooth Tchebycheff scalarisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Smoothness, above 0, in units of loss. Default: 1; the paper uses 0.01 to 1.
    pub mu: f64,
    /// Relative importance of each task. Default: all equal.
    pub preference: Preference,
}

impl Default for Config {
    fn default() -> Self {
        Self { mu: 1.0, preference: Preference::default() }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "the smoothness must be a number above 0";
        Error::ensure(self.mu.is_finite() && self.mu > 0.0, "balancer.stch.mu", self.mu, rule)?;
        let importance = self.preference.among(tasks, "balancer.stch.preference")?;
        Ok(Ruled::losses(tasks, Stch { mu: self.mu, importance }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Stch {
    mu: f64,
    importance: Importance,
}

impl LossRule for Stch {
    fn name(&self) -> &'static str {
        "stch"
    }

    fn solve(&self, losses: &[f64], tasks: &[usize], _stream: &mut Stream) -> Vec<f64> {
        let shares = self.importance.shares(tasks);
        let scaled: Vec<f64> = losses.iter().zip(&shares).map(|(loss, share)| loss * share / self.mu).collect();
        softmax(&scaled).into_iter().zip(shares).map(|(w, share)| w * share).collect()
    }
}
