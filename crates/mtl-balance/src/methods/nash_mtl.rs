//! Nash-MTL: weights from the Nash bargaining solution (Navon et al. 2022, eq. 2, arXiv 2202.01017).
//!
//! The update of bounded length that maximises the product of the decreases of all tasks, which gives `G w = 1 / w`. It is invariant to
//! the scale of each loss. `|J^T w|^2 = m` for any gradients, so the update is cut to `max_norm`, as in the authors' code.
//!
//! Solved by Newton's method to machine precision; the authors' convex programs stop up to 62 % away from the solution where lengths differ
//! widely. Where no direction improves all tasks, the update is the minimum-norm point of the unit gradients: zero.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::rows::Rows;
use crate::rules::{GramRule, Ruled};
use crate::solve::{Unit, fair, shortest, square_length};
use crate::{Balancer, Error, GradientsWrt, Method};

/// Settings of Nash-MTL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Variables of the compared gradients. Default: shared parameters.
    pub gradients_wrt: GradientsWrt,
    /// Maximum length of the update; 0 for no bound. Default: 1, as in the authors' code.
    pub max_norm: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { gradients_wrt: GradientsWrt::default(), max_norm: 1.0 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "the maximum length must be a number of at least 0";
        let holds = self.max_norm.is_finite() && self.max_norm >= 0.0;
        Error::ensure(holds, "balancer.nash_mtl.max_norm", self.max_norm, rule)?;
        Ok(Ruled::gram(tasks, self.gradients_wrt, NashMtl { max_norm: self.max_norm }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct NashMtl {
    max_norm: f64,
}

impl GramRule for NashMtl {
    fn name(&self) -> &'static str {
        "nash_mtl"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let unit = Unit::of(&rows.gram);
        let Some(x) = fair(&unit.cosines, &vec![1.0; rows.gram.size()], 1.0) else {
            debug!(method = "nash_mtl", "no direction improves all tasks: minimum-norm point of the unit gradients");
            return unit.back(&shortest(&unit.cosines));
        };
        let length = square_length(&unit.cosines, &x).sqrt();
        let scale = if self.max_norm > 0.0 && length > self.max_norm { self.max_norm / length } else { 1.0 };
        unit.back(&x).into_iter().map(|w| w * scale).collect()
    }
}
