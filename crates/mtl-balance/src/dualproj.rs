//! The mean gradient, turned as little as it takes to work against no task.
//!
//! The projection of the mean gradient onto the dual cone of the gradients (Lopez-Paz and Ranzato 2017, eq. 11, for the memories
//! of GEM): `w = argmin w^T G w` over `w >= p`, `p` the preference, `1/m` each unless set. Solved exactly, so `v . g_i >= 0` however far apart the gradients' lengths are;
//! regularised solvers lose that from ratios of about 30 on.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::gramian::{Gramian, OfGram};
use crate::preference::Counts;
use crate::rows::Rows;
use crate::solve::project;
use crate::{Error, Preference, Route};

/// Settings of the projection.
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
    pub fn build(&self, tasks: &[String]) -> Result<Gramian<DualProj>, Error> {
        let counts = self.preference.among(tasks, "balancer.dualproj.preference")?;
        Ok(Gramian::new(tasks, self.route, DualProj(counts)))
    }
}

/// The rule.
#[derive(Debug)]
pub struct DualProj(Counts);

impl OfGram for DualProj {
    fn name(&self) -> &'static str {
        "dualproj"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        project(&rows.gram, &self.0.shares(&rows.tasks))
    }
}
