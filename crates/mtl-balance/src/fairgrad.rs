//! Gains shared out as fairly as `alpha` says.
//!
//! FairGrad (Ban and Ji 2024, eq. 5): the direction that maximises the sum of `(g_i . v)^(1 - alpha) / (1 - alpha)`, which has
//! `(G w)_i = w_i^(-1 / alpha)`. `alpha` near 0 is the plain sum, 1 is Nash-MTL without its bound on the length, large ones help
//! the worst-off. Solved by Newton's method on unit gradients. Where no direction helps all tasks the update is the shortest
//! combination of unit gradients: zero.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::gramian::{Gramian, OfGram};
use crate::rows::Rows;
use crate::solve::{Unit, fair, shortest};
use crate::{Error, Route};

/// Settings of FairGrad.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where gradients are compared.
    pub route: Route,
    /// Fairness, from 0.1 to 100. 1, as in the authors' code; they tune it from 1 to 10.
    pub alpha: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { route: Route::default(), alpha: 1.0 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// An `alpha` outside its range.
    pub fn build(&self, tasks: &[String]) -> Result<Gramian<FairGrad>, Error> {
        let rule = "fairness must be from 0.1 to 100";
        Error::unless((0.1..=100.0).contains(&self.alpha), "balancer.fairgrad.alpha", self.alpha, rule)?;
        Ok(Gramian::new(tasks, self.route, FairGrad { alpha: self.alpha }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct FairGrad {
    alpha: f64,
}

impl OfGram for FairGrad {
    fn name(&self) -> &'static str {
        "fairgrad"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let unit = Unit::of(&rows.gram);
        // With w = x / |g|: (C x)_i = |g_i|^(1 / alpha - 1) x_i^(-1 / alpha).
        let a: Vec<f64> = unit.lengths.iter().map(|length| length.powf(1.0 / self.alpha - 1.0)).collect();
        unit.back(&fair(&unit.cosines, &a, self.alpha).unwrap_or_else(|| shortest(&unit.cosines)))
    }
}
