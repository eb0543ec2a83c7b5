//! Weights that bring every loss to the same scale: `L = sum_i e^(s_i) l_i - s_i`, `s` learned.
//!
//! IMTL-L (Liu et al. 2021, eq. 3): uncertainty weighting up to a factor of 2, with `s` of the other sign; every weighted loss
//! comes to 1. Learned as there, and within the same bounds.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::uncertainty::{self, Uncertainty};

/// Settings of IMTL-L.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Adam's learning rate for `s`, in log units a step. 0.01, as in [`uncertainty::Config`].
    pub lr: f64,
    /// Bound on `|s|`. 6: weights stay between 0.0025 and 403.
    pub limit: f64,
}

impl Default for Config {
    fn default() -> Self {
        let uncertainty::Config { lr, limit, .. } = uncertainty::Config::default();
        Self { lr, limit }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// Settings outside their range.
    pub fn build(&self, tasks: &[String]) -> Result<Uncertainty, Error> {
        Uncertainty::new(&uncertainty::Config { lr: self.lr, init: 0.0, limit: self.limit }, tasks, ("imtl_l", 1.0))
    }
}
