//! The bargain that a fair negotiator would propose.
//!
//! Nash-MTL (Navon et al. 2022, eq. 2): the direction of bounded length that maximises the product of the tasks' gains, which
//! has `G w = 1 / w`. It does not change when a task's loss is multiplied by a number. `|J^T w|^2 = m` whatever the gradients, so
//! the update is cut to `max_norm`, as in the authors' code. Solved by Newton's method, to the last digits; the authors' convex
//! programs stop up to 62 % from it where lengths are far apart. Where no direction helps all tasks there is no bargain, and the
//! update is the shortest combination of unit gradients: zero.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::gramian::{Gramian, OfGram};
use crate::rows::Rows;
use crate::solve::{Unit, fair, shortest, square_length};
use crate::{Error, Route};

/// Settings of Nash-MTL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where gradients are compared.
    pub route: Route,
    /// Longest update; 0 is no bound. 1, as in the authors' code.
    pub max_norm: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { route: Route::default(), max_norm: 1.0 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// A negative length.
    pub fn build(&self, tasks: &[String]) -> Result<Gramian<Nash>, Error> {
        let rule = "the longest update must be a number of at least 0";
        let holds = self.max_norm.is_finite() && self.max_norm >= 0.0;
        Error::unless(holds, "balancer.nash.max_norm", self.max_norm, rule)?;
        Ok(Gramian::new(tasks, self.route, Nash { max_norm: self.max_norm }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Nash {
    max_norm: f64,
}

impl OfGram for Nash {
    fn name(&self) -> &'static str {
        "nash"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let unit = Unit::of(&rows.gram);
        let Some(x) = fair(&unit.cosines, &vec![1.0; rows.gram.size()], 1.0) else {
            return unit.back(&shortest(&unit.cosines));
        };
        let length = square_length(&unit.cosines, &x).sqrt();
        let scale = if self.max_norm > 0.0 && length > self.max_norm { self.max_norm / length } else { 1.0 };
        unit.back(&x).into_iter().map(|w| w * scale).collect()
    }
}
