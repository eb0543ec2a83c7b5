//! Each gradient turned until it works against no task, then their mean.
//!
//! UPGrad (Quinton and Rey 2024, eq. 5): the mean of the projections of the gradients onto the dual cone, each
//! `argmin w^T G w` over `w >= p_i e_i`, `p` the preference, `1/m` each unless set. Unlike PCGrad's, the result does not depend on an order, works against no task for any
//! number of them, and grows with each gradient's length. Solved exactly, without the authors' regularisation, which gives up
//! the promise where a gradient is thirty times shorter than another.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::gramian::{Gramian, OfGram};
use crate::preference::Counts;
use crate::rows::Rows;
use crate::solve::project;
use crate::{Error, Preference, Route};

/// Settings of UPGrad.
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
    pub fn build(&self, tasks: &[String]) -> Result<Gramian<UpGrad>, Error> {
        let counts = self.preference.among(tasks, "balancer.upgrad.preference")?;
        Ok(Gramian::new(tasks, self.route, UpGrad(counts)))
    }
}

/// The rule.
#[derive(Debug)]
pub struct UpGrad(Counts);

impl OfGram for UpGrad {
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
