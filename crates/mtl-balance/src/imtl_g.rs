//! The update whose projections on all gradients are equally long.
//!
//! IMTL-G (Liu et al. 2021, eq. 5): `v . g_i / |g_i|` is the same for every task, the weights sum to 1 (or -1). With `d_i = |g_i|` that is
//! `w ~ G^+ d`. The paper's inverse does not exist where gradients depend on each other; the pseudo-inverse does. Weights can be
//! negative, and their sum too: the paper, which divides by it, then goes up along every gradient; here they are divided by its
//! size, so that every projection is positive. Where no update has equal projections (gradients that point against each other), the weights are 0, where other
//! implementations blow up.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::gramian::{Gramian, OfGram};
use crate::rows::Rows;
use crate::solve::{Angles, Eigen, Unit, product};
use crate::{Error, Route};

/// Settings of IMTL-G.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where gradients are compared. The paper uses the features.
    pub route: Route,
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// None so far.
    pub fn build(&self, tasks: &[String]) -> Result<Gramian<ImtlG>, Error> {
        Ok(Gramian::new(tasks, self.route, ImtlG))
    }
}

/// The rule.
#[derive(Debug)]
pub struct ImtlG;

impl OfGram for ImtlG {
    fn name(&self) -> &'static str {
        "imtl_g"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let unit = Unit::of(&rows.gram);
        let none = vec![0.0; rows.gram.size()];
        let Angles { x, only, missed } = Angles::of(&unit.cosines, &vec![1.0; rows.tasks.len()]);
        if missed > 1e-6 {
            return none;
        }
        // Of the many solutions for dependent gradients the shortest, as a pseudo-inverse gives.
        // It loses gradients that are too short beside the longest: unit gradients have none.
        let reaches_all = |w: &Vec<f64>| {
            let along = product(&rows.gram, w);
            along.iter().zip(&unit.lengths).all(|(along, length)| (along / length - 1.0).abs() <= 1e-6)
        };
        let shortest = (!only).then(|| Eigen::of(&rows.gram).pseudo_solve(&unit.lengths)).filter(reaches_all);
        let w = shortest.unwrap_or_else(|| unit.back(&x));
        let (sum, size) = (w.iter().sum::<f64>(), w.iter().map(|w| w.abs()).sum::<f64>());
        if sum.abs() <= 1e-12 * size { none } else { w.iter().map(|w| w / sum.abs()).collect() }
    }
}
