//! The mean gradient, turned as little as it takes to work against no task.
//!
//! The projection of the mean gradient onto the dual cone of the gradients (Lopez-Paz and Ranzato 2017, eq. 11, for the memories
//! of GEM): `w = argmin w^T G w` over `w >= 1/m`. Solved exactly, so `v . g_i >= 0` however far apart the gradients' lengths are;
//! regularised solvers lose that from ratios of about 30 on.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::gramian::{Gramian, OfGram};
use crate::rows::Rows;
use crate::solve::project;
use crate::{Error, Route};

/// Settings of the projection.
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
    pub fn build(&self, tasks: &[String]) -> Result<Gramian<DualProj>, Error> {
        Ok(Gramian::new(tasks, self.route, DualProj))
    }
}

/// The rule.
#[derive(Debug)]
pub struct DualProj;

impl OfGram for DualProj {
    fn name(&self) -> &'static str {
        "dualproj"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let m = rows.gram.size();
        project(&rows.gram, &vec![1.0 / m as f64; m])
    }
}
