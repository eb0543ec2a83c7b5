//! ConFIG: conflict-free inverse gradients (Liu, Chu and Thuerey 2025, eq. 2 and 3, arXiv 2408.11104).
//!
//! With unit gradients `u_i` as rows of `U`, the direction is `d = U^+ 1`, whose cosine with every gradient is the same, and the update is
//! `v = (sum_i g_i . d^) d^` with `d^ = d / |d|`. From inner products alone: `d = U^T x` with `x = (U U^T)^+ 1`. With a preference
//! `p` the cosines are proportional to `p`, which replaces 1.
//!
//! Where no direction has these angles to all gradients, the least-squares solution is used if it improves all tasks. Otherwise the
//! update is 0.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::preference::Importance;
use crate::rows::Rows;
use crate::rules::{GramRule, Ruled};
use crate::solve::{Angles, Unit, dot, product};
use crate::{Balancer, Error, GradientsWrt, Method, Preference};

/// Settings of ConFIG.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Variables of the compared gradients. Default: shared parameters.
    pub gradients_wrt: GradientsWrt,
    /// Relative importance of each task. Default: all equal.
    pub preference: Preference,
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let importance = self.preference.among(tasks, "balancer.config.preference")?;
        Ok(Ruled::gram(tasks, self.gradients_wrt, ConFig(importance)))
    }
}

/// The rule.
#[derive(Debug)]
pub struct ConFig(Importance);

impl GramRule for ConFig {
    fn name(&self) -> &'static str {
        "config"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let unit = Unit::of(&rows.gram);
        let m = rows.tasks.len();
        let wanted: Vec<f64> = self.0.shares(&rows.tasks).iter().map(|share| share * m as f64).collect();
        let Angles { x, missed, .. } = Angles::of(&unit.cosines, &wanted);
        let along = product(&unit.cosines, &x);
        if missed > 1e-6 && along.iter().any(|along| *along < 1e-6) {
            return vec![0.0; m];
        }
        let length = dot(&unit.lengths, &along) / dot(&along, &x);
        unit.back(&x).into_iter().map(|w| w * length).collect()
    }
}
