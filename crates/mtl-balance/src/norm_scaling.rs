//! Every gradient brought to the same usual length: `w_i` is proportional to one over the running mean of `|g_i|`.
//!
//! Gradient-norm scaling (arXiv 2509.23915 reports that it matches a grid search over fixed weights). The weights sum to the
//! number of tasks, so equal lengths give the plain sum.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::gramian::{Gramian, OfGram};
use crate::memory::{self, DecayedMean};
use crate::rows::Rows;
use crate::{Error, Route, State};

/// Settings of gradient-norm scaling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where gradients are measured.
    pub route: Route,
    /// Share of the old mean kept at each step, at least 0 and below 1. 0.9: the mean of some ten steps.
    pub decay: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { route: Route::default(), decay: 0.9 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// A share outside its range.
    pub fn build(&self, tasks: &[String]) -> Result<Gramian<NormScaling>, Error> {
        let rule = "the share kept must be at least 0 and below 1";
        Error::unless((0.0..1.0).contains(&self.decay), "balancer.norm_scaling.decay", self.decay, rule)?;
        Ok(Gramian::new(
            tasks,
            self.route,
            NormScaling { decay: self.decay, lengths: vec![DecayedMean::default(); tasks.len()] },
        ))
    }
}

/// The rule.
#[derive(Debug)]
pub struct NormScaling {
    decay: f64,
    /// Mean length of the gradient of each of the run's tasks.
    lengths: Vec<DecayedMean>,
}

impl OfGram for NormScaling {
    fn name(&self) -> &'static str {
        "norm_scaling"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let mut inverse = Vec::with_capacity(rows.tasks.len());
        for (i, &task) in rows.tasks.iter().enumerate() {
            let mean = &mut self.lengths[task];
            mean.see(rows.gram.at(i, i).sqrt(), self.decay);
            inverse.push(mean.count / mean.sum);
        }
        let total: f64 = inverse.iter().sum();
        inverse.iter().map(|one| one / total * rows.tasks.len() as f64).collect()
    }

    fn state(&self, tasks: &[String]) -> State {
        memory::write(tasks, &self.lengths)
    }

    fn restore(&mut self, tasks: &[String], state: &State) -> Result<(), Error> {
        self.lengths = memory::read("norm_scaling", tasks, &[], state, |_| true)?;
        Ok(())
    }
}
