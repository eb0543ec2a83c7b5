//! Gradient-norm scaling: gradients scaled to the same mean length (arXiv 2509.23915).
//!
//! `w_i` is proportional to the inverse of the running mean of `|g_i|`. The weights sum to the number of tasks, so that gradients of equal
//! length give the plain sum. The paper reports results equal to a grid search over fixed weights.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::rows::Rows;
use crate::rules::{GramRule, Ruled};
use crate::task_state::{self, DecayedMean};
use crate::{Balancer, Error, GradientsWrt, Method, State};

/// Settings of gradient-norm scaling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Variables of the measured gradients. Default: shared parameters.
    pub gradients_wrt: GradientsWrt,
    /// Share of the old mean that is kept at each step, at least 0 and below 1. Default: 0.9, about ten steps.
    pub decay: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { gradients_wrt: GradientsWrt::default(), decay: 0.9 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "the share that is kept must be at least 0 and below 1";
        Error::ensure((0.0..1.0).contains(&self.decay), "balancer.norm_scaling.decay", self.decay, rule)?;
        Ok(Ruled::gram(
            tasks,
            self.gradients_wrt,
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

impl GramRule for NormScaling {
    fn name(&self) -> &'static str {
        "norm_scaling"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let mut inverse = Vec::with_capacity(rows.tasks.len());
        for (i, &task) in rows.tasks.iter().enumerate() {
            let mean = &mut self.lengths[task];
            mean.add(rows.gram.at(i, i).sqrt(), self.decay);
            inverse.push(mean.count / mean.sum);
        }
        let total: f64 = inverse.iter().sum();
        inverse.iter().map(|one| one / total * rows.tasks.len() as f64).collect()
    }

    fn state(&self, tasks: &[String]) -> State {
        task_state::write(tasks, &self.lengths)
    }

    fn restore(&mut self, tasks: &[String], state: &State) -> Result<(), Error> {
        self.lengths = task_state::read("norm_scaling", tasks, &[], state, |_| true)?;
        Ok(())
    }
}
