//! DualProj: the mean gradient projected onto the dual cone (Lopez-Paz and Ranzato 2017, eq. 11, arXiv 1706.08840).
//!
//! GEM's projection, with the tasks in place of its memories: `w = argmin w^T G w` over `w >= p`, where `p` is the preference, `1/m` each
//! by default. The update is the vector nearest to the mean gradient that has no negative inner product with any gradient.
//!
//! Solved exactly, so that `v . g_i >= 0` for any ratio of gradient lengths. Regularised solvers violate it for ratios above about 30.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::preference::Importance;
use crate::rows::Rows;
use crate::rules::{GramRule, Ruled};
use crate::solve::project;
use crate::{Balancer, Error, GradientsWrt, Method, Preference};

/// Settings of the projection.
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
        let importance = self.preference.among(tasks, "balancer.dualproj.preference")?;
        Ok(Ruled::gram(tasks, self.gradients_wrt, DualProj(importance)))
    }
}

/// The rule.
#[derive(Debug)]
pub struct DualProj(Importance);

impl GramRule for DualProj {
    fn name(&self) -> &'static str {
        "dualproj"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        project(&rows.gram, &self.0.shares(&rows.tasks))
    }
}
