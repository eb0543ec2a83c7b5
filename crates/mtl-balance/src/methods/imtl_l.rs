//! IMTL-L: impartial multi-task learning on losses (Liu et al. 2021, ICLR, eq. 3).
//!
//! `L = sum_i e^(s_i) l_i - s_i` with learned `s`: uncertainty weighting up to a factor of 2, with the opposite sign of `s`. Every weighted
//! loss converges to 1. Optimizer and bounds are those of [`uncertainty`].

use serde::{Deserialize, Serialize};

use crate::methods::uncertainty::{self, Uncertainty};
use crate::{Balancer, Error, Method};

/// Settings of IMTL-L.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Adam's learning rate for `s`, in log units per step. Default: 0.01, as in [`uncertainty::Config`].
    pub lr: f64,
    /// Bound on `|s|`. Default: 6, weights between 0.0025 and 403.
    pub limit: f64,
}

impl Default for Config {
    fn default() -> Self {
        let uncertainty::Config { lr, limit, .. } = uncertainty::Config::default();
        Self { lr, limit }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let config = uncertainty::Config { lr: self.lr, init: 0.0, limit: self.limit };
        Ok(Box::new(Uncertainty::new(&config, tasks, "imtl_l", 1.0)?))
    }
}
