//! The update with the same angle to every gradient, as long as what the gradients agree on.
//!
//! ConFIG (Liu, Chu and Thuerey 2025, eq. 2-3): with unit gradients `u_i` as rows of `U`, the direction is `d = U^+ 1`, whose cosine
//! with each is the same, and the update `v = (sum_i g_i . d^) d^`, `d^ = d / |d|`. Here from inner products alone: `d = U^T x` with
//! `x = (U U^T)^+ 1`. Where no direction has equal angles to all, the update is 0.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::gramian::{Gramian, OfGram};
use crate::rows::Rows;
use crate::solve::{Unit, dot, equal_angles, product};
use crate::{Error, Route};

/// Settings of ConFIG.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where gradients are compared.
    pub route: Route,
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// None so far.
    pub fn build(&self, tasks: &[String]) -> Result<Gramian<ConFig>, Error> {
        Ok(Gramian::new(tasks, self.route, ConFig))
    }
}

/// The rule.
#[derive(Debug)]
pub struct ConFig;

impl OfGram for ConFig {
    fn name(&self) -> &'static str {
        "config"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let unit = Unit::of(&rows.gram);
        let Some((x, _)) = equal_angles(&unit.cosines) else { return vec![0.0; rows.gram.size()] };
        let along = product(&unit.cosines, &x);
        let length = dot(&unit.lengths, &along) / dot(&along, &x);
        unit.back(&x).into_iter().map(|w| w * length).collect()
    }
}
