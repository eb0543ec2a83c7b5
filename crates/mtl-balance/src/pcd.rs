//! As near to the primary task's gradient as leaves every other task some progress.
//!
//! Priority-constrained descent (PCD, TMLR 2026, arXiv 2606.29521): with gradients brought to their usual length, `u_i = g_i / sqrt(v_i)`, `v_i` a
//! running mean of `|g_i|^2`, the direction is `argmin |d - u_1|^2` where `u_j . d >= tau |u_j|^2` for every other task `j`, and the update is as long as
//! the primary gradient. Solved exactly, by the active set that projects onto a cone.
//!
//! Where we differ: the primary task is never worked against (`u_1 . d >= 0`), which the paper lets the others' demands do; where not
//! all demands can be met together, the primary gradient alone is followed, as in the paper. A step without the primary task
//! takes the first of those that are there in its place.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::gramian::{Gramian, OfGram};
use crate::memory::{self, DecayedMean};
use crate::rows::Rows;
use crate::solve::{project_beyond, square_length};
use crate::{Error, Gram, Route, State};

/// Settings of priority-constrained descent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where gradients are compared.
    pub route: Route,
    /// The task that is never worked against. Default: the run's first.
    pub primary: Option<String>,
    /// What is left to each other task, as a share of a step along its own gradient: 0 to 1. 0.02.
    pub tau: f64,
    /// Share of the old mean square kept at each step, at least 0 and below 1. 0.999.
    pub decay: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { route: Route::default(), primary: None, tau: 0.02, decay: 0.999 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// Settings outside their range; a primary task the run does not have.
    pub fn build(&self, tasks: &[String]) -> Result<Gramian<Pcd>, Error> {
        let rule = "what is left to the others must be from 0 to 1";
        Error::unless((0.0..=1.0).contains(&self.tau), "balancer.pcd.tau", self.tau, rule)?;
        let rule = "the share kept must be at least 0 and below 1";
        Error::unless((0.0..1.0).contains(&self.decay), "balancer.pcd.decay", self.decay, rule)?;
        let find = |name: &String| Error::find_task("balancer.pcd.primary", tasks, name);
        let primary = self.primary.as_ref().map_or(Ok(0), find)?;
        let squares = vec![DecayedMean::default(); tasks.len()];
        Ok(Gramian::new(tasks, self.route, Pcd { primary, tau: self.tau, decay: self.decay, squares }))
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

impl OfGram for Pcd {
    fn name(&self) -> &'static str {
        "pcd"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let m = rows.gram.size();
        let mut scales = Vec::with_capacity(m);
        for (i, &task) in rows.tasks.iter().enumerate() {
            let mean = &mut self.squares[task];
            mean.see(rows.gram.at(i, i), self.decay);
            scales.push(1.0 / (mean.sum / mean.count + 1e-8).sqrt());
        }
        let primary = rows.tasks.iter().position(|&task| task == self.primary).unwrap_or(0);
        let usual = Gram::from_fn(m, |i, j| rows.gram.at(i, j) * scales[i] * scales[j]);
        let mut alone = vec![0.0; m];
        alone[primary] = 1.0;
        let least: Vec<f64> =
            (0..m).map(|i| if i == primary { 0.0 } else { self.tau * usual.at(i, i).sqrt() }).collect();
        // The scaled gradients' combination; `None` where not all demands can be met.
        let found = project_beyond(&usual, &alone, &least).unwrap_or(alone);
        let square = square_length(&usual, &found);
        if square <= 1e-24 {
            return vec![0.0; m];
        }
        let length = (rows.gram.at(primary, primary) / square).sqrt();
        found.iter().zip(&scales).map(|(w, scale)| w * scale * length).collect()
    }

    fn state(&self, tasks: &[String]) -> State {
        memory::write(tasks, &self.squares)
    }

    fn restore(&mut self, tasks: &[String], state: &State) -> Result<(), Error> {
        self.squares = memory::read("pcd", tasks, &[], state, |_| true)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;

    use super::*;
    use crate::{Balancer, Signals};

    fn weights(config: &Config, entries: &[f64]) -> Vec<f64> {
        let tasks = ["main".to_owned(), "other".to_owned()];
        let gram = Gram::new(2, entries.to_vec()).unwrap();
        let signals = Signals::new(&tasks, &[0, 1], &[1.0; 2]).with_gram(&gram);
        config.build(&tasks).unwrap().weights(&signals, &mut Seed::new(0).stream("b", &[])).unwrap()
    }

    #[test]
    fn the_primary_task_is_followed_and_the_other_gets_its_share() {
        // No conflict: the primary gradient as it is.
        let found = weights(&Config::default(), &[4.0, 1.0, 1.0, 1.0]);
        assert!((found[0] - 1.0).abs() < 1e-6 && found[1] == 0.0, "{found:?}");
        // Opposed: no direction is left to the other without hurting the primary.
        let found = weights(&Config::default(), &[1.0, -1.0, -1.0, 1.0]);
        assert!((found[0] - 1.0).abs() < 1e-6 && found[1] == 0.0, "{found:?}");
        // A conflict of 120 degrees: the other's share is what was asked for, in unit gradients before the length is set.
        let found = weights(&Config { tau: 0.1, ..Config::default() }, &[1.0, -0.5, -0.5, 1.0]);
        let along = [found[0] - 0.5 * found[1], found[1] - 0.5 * found[0]];
        let length = (found[0] * along[0] + found[1] * along[1]).sqrt();
        assert!((length - 1.0).abs() < 1e-6 && along[1] > 0.0 && along[0] > 0.0, "{along:?}");
        let swapped = Config { primary: Some("other".to_owned()), ..Config::default() };
        assert_eq!(weights(&swapped, &[4.0, 1.0, 1.0, 1.0])[0], 0.0);
    }
}
