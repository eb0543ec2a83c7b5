//! PCD: priority-constrained descent (TMLR 2026, arXiv 2606.29521).
//!
//! With scaled gradients `u_i = g_i / sqrt(v_i)`, where `v_i` is a running mean of `|g_i|^2`, the direction is `argmin |d - u_1|^2` subject to
//! `u_j . d >= tau |u_j|^2` for every other task `j`: as near to the primary gradient as leaves all others some progress. The update
//! has the length of the primary gradient. Solved exactly, by the active-set projection onto a cone.
//!
//! Deviations from the paper: `u_1 . d >= 0` is a constraint too, which the paper lets the others violate. Where not all
//! constraints can hold, the update is the primary gradient, as in the paper. In a step without the primary task, the first present task takes
//! its place.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::rows::Rows;
use crate::rules::{GramRule, Ruled};
use crate::solve::{project_beyond, square_length};
use crate::task_state::{self, DecayedMean};
use crate::{Balancer, Error, GradientsWrt, Gram, Method, State};

/// Settings of priority-constrained descent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Variables of the compared gradients. Default: shared parameters.
    pub gradients_wrt: GradientsWrt,
    /// Name of the primary task. Default: the run's first.
    pub primary: Option<String>,
    /// Least progress of each other task, relative to a step along its own gradient: 0 to 1. Default: 0.02.
    pub tau: f64,
    /// Share of the old mean square that is kept at each step, at least 0 and below 1. Default: 0.999.
    pub decay: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { gradients_wrt: GradientsWrt::default(), primary: None, tau: 0.02, decay: 0.999 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "the least progress of the other tasks must be from 0 to 1";
        Error::ensure((0.0..=1.0).contains(&self.tau), "balancer.pcd.tau", self.tau, rule)?;
        let rule = "the share that is kept must be at least 0 and below 1";
        Error::ensure((0.0..1.0).contains(&self.decay), "balancer.pcd.decay", self.decay, rule)?;
        let find = |name: &String| Error::find_task("balancer.pcd.primary", tasks, name);
        let primary = self.primary.as_ref().map_or(Ok(0), find)?;
        let squares = vec![DecayedMean::default(); tasks.len()];
        Ok(Ruled::gram(tasks, self.gradients_wrt, Pcd { primary, tau: self.tau, decay: self.decay, squares }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Pcd {
    primary: usize,
    tau: f64,
    decay: f64,
    /// Mean squared length of the gradient of each of the run's tasks.
    squares: Vec<DecayedMean>,
}

impl GramRule for Pcd {
    fn name(&self) -> &'static str {
        "pcd"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let m = rows.gram.size();
        let mut scales = Vec::with_capacity(m);
        for (i, &task) in rows.tasks.iter().enumerate() {
            let mean = &mut self.squares[task];
            mean.add(rows.gram.at(i, i), self.decay);
            scales.push(1.0 / (mean.sum / mean.count + 1e-8).sqrt());
        }
        let primary = rows.tasks.iter().position(|&task| task == self.primary).unwrap_or(0);
        let usual = Gram::from_fn(m, |i, j| rows.gram.at(i, j) * scales[i] * scales[j]);
        let mut alone = vec![0.0; m];
        alone[primary] = 1.0;
        let least: Vec<f64> =
            (0..m).map(|i| if i == primary { 0.0 } else { self.tau * usual.at(i, i).sqrt() }).collect();
        // Weights of the scaled gradients; `None` where not all constraints can hold.
        let found = project_beyond(&usual, &alone, &least).unwrap_or_else(|| {
            debug!(method = "pcd", "the constraints exclude each other: update along the primary gradient");
            alone
        });
        let square = square_length(&usual, &found);
        if square <= 1e-24 {
            return vec![0.0; m];
        }
        let length = (rows.gram.at(primary, primary) / square).sqrt();
        found.iter().zip(&scales).map(|(w, scale)| w * scale * length).collect()
    }

    fn state(&self, tasks: &[String]) -> State {
        task_state::write(tasks, &self.squares)
    }

    fn restore(&mut self, tasks: &[String], state: &State) -> Result<(), Error> {
        self.squares = task_state::read("pcd", tasks, &[], state, |_| true)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;

    use super::*;
    use crate::Signals;

    fn weights(config: &Config, entries: &[f64]) -> Vec<f64> {
        let tasks = ["main".to_owned(), "other".to_owned()];
        let gram = Gram::new(2, entries.to_vec()).unwrap();
        let signals = Signals::new(&tasks, &[0, 1], &[1.0; 2]).with_gram(&gram);
        config.build(&tasks).unwrap().weights(&signals, &mut Seed::new(0).stream("b", &[])).unwrap()
    }

    #[test]
    fn the_primary_task_leads_and_the_other_improves() {
        // No conflict: the primary gradient, unchanged.
        let found = weights(&Config::default(), &[4.0, 1.0, 1.0, 1.0]);
        assert!((found[0] - 1.0).abs() < 1e-6 && found[1] == 0.0, "{found:?}");
        // Opposed: no direction improves the other task without conflict with the primary.
        let found = weights(&Config::default(), &[1.0, -1.0, -1.0, 1.0]);
        assert!((found[0] - 1.0).abs() < 1e-6 && found[1] == 0.0, "{found:?}");
        // A conflict of 120 degrees: both tasks improve, and the update has the length of the primary gradient.
        let found = weights(&Config { tau: 0.1, ..Config::default() }, &[1.0, -0.5, -0.5, 1.0]);
        let along = [found[0] - 0.5 * found[1], found[1] - 0.5 * found[0]];
        let length = (found[0] * along[0] + found[1] * along[1]).sqrt();
        assert!((length - 1.0).abs() < 1e-6 && along[1] > 0.0 && along[0] > 0.0, "{along:?}");
        let swapped = Config { primary: Some("other".to_owned()), ..Config::default() };
        assert_eq!(weights(&swapped, &[4.0, 1.0, 1.0, 1.0])[0], 0.0);
    }
}
