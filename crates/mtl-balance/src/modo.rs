//! Weights that follow those of MGDA one small step at a time, without the bias of a batch's own noise.
//!
//! MoDo (Chen et al. 2023, JMLR 2024, eq. 2.9): `lambda <- P(lambda - gamma (A lambda + rho lambda))`, `P` the projection onto the simplex and `A`
//! the products of gradients on two independent batches; the update is that of both batches together. Here two halves of one
//! batch are the two batches.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::halves::{Halves, OfHalves};
use crate::solve::{onto_simplex, product};
use crate::{Error, Gram};

/// Settings of MoDo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Learning rate of the weights. 0.1.
    pub gamma: f64,
    /// Pull towards equal weights, 0 or more. 0.1.
    pub rho: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { gamma: 0.1, rho: 0.1 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// Settings outside their range.
    pub fn build(&self, tasks: &[String]) -> Result<Halves<MoDo>, Error> {
        let rule = "the learning rate must be a positive number";
        Error::unless(self.gamma.is_finite() && self.gamma > 0.0, "balancer.modo.gamma", self.gamma, rule)?;
        let rule = "the pull must be a number of at least 0";
        Error::unless(self.rho.is_finite() && self.rho >= 0.0, "balancer.modo.rho", self.rho, rule)?;
        Ok(Halves::new(tasks, MoDo(self.clone())))
    }
}

/// The rule.
#[derive(Debug)]
pub struct MoDo(Config);

impl OfHalves for MoDo {
    fn name(&self) -> &'static str {
        "modo"
    }

    fn solve(&self, (_, halves): (&Gram, &Gram), simplex: &mut Vec<f64>, _stream: &mut Stream) -> Vec<f64> {
        let slope = product(halves, simplex);
        let moved: Vec<f64> =
            simplex.iter().zip(slope).map(|(w, slope)| w - self.0.gamma * (slope + self.0.rho * w)).collect();
        *simplex = onto_simplex(&moved);
        simplex.clone()
    }
}
