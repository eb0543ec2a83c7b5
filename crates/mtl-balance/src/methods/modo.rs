//! MoDo: multi-objective gradient with double sampling (Chen et al. 2023, JMLR 2024, eq. 2.9, arXiv 2305.20057).
//!
//! `lambda <- P(lambda - gamma (A lambda + rho lambda))`, with the projection `P` onto the simplex and the products `A` of gradients on two
//! independent batches, which have no bias from a batch's noise. The weights follow those of MGDA in small steps. The update is that of
//! both batches together. Here the two batches are two halves of one batch.

use serde::{Deserialize, Serialize};

use crate::rules::{Ruled, SplitBatchRule};
use crate::solve::{onto_simplex, product};
use crate::{Balancer, Error, Gram, Method};

/// Settings of MoDo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Learning rate of the weights, above 0. Default: 0.1.
    pub gamma: f64,
    /// Regularisation towards equal weights, 0 or more. Default: 0.1.
    pub rho: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { gamma: 0.1, rho: 0.1 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "the learning rate must be a positive number";
        Error::ensure(self.gamma.is_finite() && self.gamma > 0.0, "balancer.modo.gamma", self.gamma, rule)?;
        let rule = "the regularisation must be a number of at least 0";
        Error::ensure(self.rho.is_finite() && self.rho >= 0.0, "balancer.modo.rho", self.rho, rule)?;
        Ok(Ruled::split_batch(tasks, MoDo(self.clone())))
    }
}

/// The rule.
#[derive(Debug)]
pub struct MoDo(Config);

impl SplitBatchRule for MoDo {
    fn name(&self) -> &'static str {
        "modo"
    }

    fn solve(&self, _: &Gram, halves: &Gram, simplex: &mut Vec<f64>) -> Vec<f64> {
        let slope = product(halves, simplex);
        let moved: Vec<f64> =
            simplex.iter().zip(slope).map(|(w, slope)| w - self.0.gamma * (slope + self.0.rho * w)).collect();
        *simplex = onto_simplex(&moved);
        simplex.clone()
    }
}
