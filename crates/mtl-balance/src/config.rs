//! The update with the same angle to every gradient, as long as what the gradients agree on.
//!
//! ConFIG (Liu, Chu and Thuerey 2025, eq. 2-3): with unit gradients `u_i` as rows of `U`, the direction is `d = U^+ 1`, whose cosine
//! with each is the same, and the update `v = (sum_i g_i . d^) d^`, `d^ = d / |d|`. Here from inner products alone: `d = U^T x` with
//! `x = (U U^T)^+ 1`. With a preference `p` the cosines are in proportion to it: `p` in place of 1. Where no direction has such
//! angles to all, the nearest in the sense of least squares, and 0 if that one does not help all.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::gramian::{Gramian, OfGram};
use crate::preference::Counts;
use crate::rows::Rows;
use crate::solve::{Angles, Unit, dot, product};
use crate::{Error, Preference, Route};

/// Settings of ConFIG.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where gradients are compared.
    pub route: Route,
    /// What each task counts; by default all alike.
    pub preference: Preference,
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// A preference for a task there is not, or that is not above 0.
    pub fn build(&self, tasks: &[String]) -> Result<Gramian<ConFig>, Error> {
        let counts = self.preference.among(tasks, "balancer.config.preference")?;
        Ok(Gramian::new(tasks, self.route, ConFig(counts)))
    }
}

/// The rule.
#[derive(Debug)]
pub struct ConFig(Counts);

impl OfGram for ConFig {
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
