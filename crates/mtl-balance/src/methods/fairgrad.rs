//! FairGrad: alpha-fair shares of the decrease (Ban and Ji 2024, eq. 5, arXiv 2402.15638).
//!
//! The update maximises the sum of `(g_i . v)^(1 - alpha) / (1 - alpha)`, which gives `(G w)_i = w_i^(-1 / alpha)`. `alpha` near 0 is the
//! plain sum, 1 is Nash-MTL without its length bound, and a large `alpha` favours the task with the smallest decrease.
//!
//! Solved by Newton's method on unit gradients. Where no direction improves all tasks, the update is the minimum-norm point of the unit
//! gradients: zero.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::rows::Rows;
use crate::rules::{GramRule, Ruled};
use crate::solve::{Unit, fair, shortest};
use crate::{Balancer, Error, GradientsWrt, Method};

/// Settings of FairGrad.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Variables of the compared gradients. Default: shared parameters.
    pub gradients_wrt: GradientsWrt,
    /// Fairness, from 0.1 to 100. Default: 1, as in the authors' code, where it is tuned from 1 to 10.
    pub alpha: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { gradients_wrt: GradientsWrt::default(), alpha: 1.0 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "fairness must be from 0.1 to 100";
        Error::ensure((0.1..=100.0).contains(&self.alpha), "balancer.fairgrad.alpha", self.alpha, rule)?;
        Ok(Ruled::gram(tasks, self.gradients_wrt, FairGrad { alpha: self.alpha }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct FairGrad {
    alpha: f64,
}

impl GramRule for FairGrad {
    fn name(&self) -> &'static str {
        "fairgrad"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let unit = Unit::of(&rows.gram);
        // With w = x / |g|: (C x)_i = |g_i|^(1 / alpha - 1) x_i^(-1 / alpha).
        let a: Vec<f64> = unit.lengths.iter().map(|length| length.powf(1.0 / self.alpha - 1.0)).collect();
        let Some(x) = fair(&unit.cosines, &a, self.alpha) else {
            debug!(method = "fairgrad", "no direction improves all tasks: minimum-norm point of the unit gradients");
            return unit.back(&shortest(&unit.cosines));
        };
        unit.back(&x)
    }
}
