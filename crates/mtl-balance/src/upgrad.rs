//! Each gradient turned until it works against no task, then their mean.
//!
//! UPGrad (Quinton and Rey 2024, eq. 5): the mean of the projections of the gradients onto the dual cone, each
//! `argmin w^T G w` over `w >= e_i / m`. Unlike PCGrad's, the result does not depend on an order, works against no task for any
//! number of them, and grows with each gradient's length. Solved exactly, without the authors' regularisation, which gives up
//! the promise where a gradient is thirty times shorter than another.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::gramian::{Gramian, OfGram};
use crate::rows::Rows;
use crate::solve::project;
use crate::{Error, Route};

/// Settings of UPGrad.
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
    pub fn build(&self, tasks: &[String]) -> Result<Gramian<UpGrad>, Error> {
        Ok(Gramian::new(tasks, self.route, UpGrad))
    }
}

/// The rule.
#[derive(Debug)]
pub struct UpGrad;

impl OfGram for UpGrad {
    fn name(&self) -> &'static str {
        "upgrad"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let m = rows.gram.size();
        let mut weights = vec![0.0; m];
        for i in 0..m {
            let mut one = vec![0.0; m];
            one[i] = 1.0 / m as f64;
            weights.iter_mut().zip(project(&rows.gram, &one)).for_each(|(sum, w)| *sum += w);
        }
        weights
    }
}
