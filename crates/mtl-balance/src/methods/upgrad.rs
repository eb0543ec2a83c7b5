//! UPGrad: unconflicting projection of gradients (Quinton and Rey 2024, eq. 5, arXiv 2406.16232).
//!
//! The mean of the projections of all gradients onto the dual cone, each `argmin w^T G w` over `w >= p_i e_i`, where `p` is the
//! preference, `1/m` each by default. The update does not depend on an order (unlike PCGrad's), conflicts with no gradient for
//! any number of tasks, and grows with each gradient's length.
//!
//! Solved exactly, without the authors' regularisation, which permits conflicts where one gradient is thirty times shorter than another.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::preference::Importance;
use crate::rows::Rows;
use crate::rules::{GramRule, Ruled};
use crate::solve::project;
use crate::{Balancer, Error, GradientsWrt, Method, Preference};

/// Settings of UPGrad.
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
        let importance = self.preference.among(tasks, "balancer.upgrad.preference")?;
        Ok(Ruled::gram(tasks, self.gradients_wrt, UpGrad(importance)))
    }
}

/// The rule.
#[derive(Debug)]
pub struct UpGrad(Importance);

impl GramRule for UpGrad {
    fn name(&self) -> &'static str {
        "upgrad"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let m = rows.gram.size();
        let mut weights = vec![0.0; m];
        for (i, share) in self.0.shares(&rows.tasks).into_iter().enumerate() {
            let mut one = vec![0.0; m];
            one[i] = share;
            weights.iter_mut().zip(project(&rows.gram, &one)).for_each(|(sum, w)| *sum += w);
        }
        weights
    }
}
