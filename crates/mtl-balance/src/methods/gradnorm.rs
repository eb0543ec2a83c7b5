//! GradNorm: gradient normalisation (Chen et al. 2018, eq. 2, arXiv 1711.02257).
//!
//! `w = m softmax(theta)`; `theta` descends along `sum_i |w_i |g_i| - sg(mean_j(w_j |g_j|) r_i^alpha)|`, where `r_i` is the ratio of the
//! task's loss to its first loss, divided by the mean of these ratios. So the gradient of a task whose loss lags behind gets longer. `theta`
//! has its own Adam optimizer, as in [`uncertainty`](super::uncertainty).
//!
//! Deviations from the paper: gradients are with respect to `gradients_wrt`, not the last shared layer; the weights act on the shared
//! parameters only, as in all methods of gradients here, where the paper weights whole losses, hence the heads too (Adam nearly
//! cancels that).
//!
//! The ratio of an adversarial loss to its first value does not measure progress.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::adam::Learned;
use crate::rows::Rows;
use crate::rules::{GramRule, Ruled};
use crate::solve::softmax;
use crate::task_state::{self, TaskState};
use crate::{Balancer, Error, GradientsWrt, Method, Requirements, State};

/// Settings of GradNorm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Variables of the measured gradients. Default: shared parameters.
    pub gradients_wrt: GradientsWrt,
    /// Exponent of the relative loss ratio, from 0 to 10: larger values give more weight to tasks that lag behind. Default: 1.5,
    /// as in the paper.
    pub alpha: f64,
    /// Learning rate of `theta`, in log units per step. Default: 0.01.
    pub lr: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { gradients_wrt: GradientsWrt::default(), alpha: 1.5, lr: 0.01 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "the exponent must be from 0 to 10";
        Error::ensure((0.0..=10.0).contains(&self.alpha), "balancer.gradnorm.alpha", self.alpha, rule)?;
        let rule = "the learning rate must be a positive number";
        Error::ensure(self.lr.is_finite() && self.lr > 0.0, "balancer.gradnorm.lr", self.lr, rule)?;
        let method = GradNorm { alpha: self.alpha, lr: self.lr, states: vec![History::default(); tasks.len()] };
        Ok(Ruled::gram(tasks, self.gradients_wrt, method))
    }
}

/// State of one task.
#[derive(Clone, Copy, Debug, Default)]
struct History {
    theta: Learned,
    /// Its first loss; 0 before its first step.
    first: f64,
}

impl TaskState for History {
    fn to_row(&self) -> Vec<f64> {
        [self.theta.to_row(), vec![self.first]].concat()
    }

    fn from_row(row: &[f64]) -> Option<Self> {
        let (first, theta) = row.split_last().filter(|(first, _)| **first >= 0.0)?;
        Some(Self { theta: Learned::from_row(theta)?, first: *first })
    }
}

/// The rule.
#[derive(Debug)]
pub struct GradNorm {
    alpha: f64,
    lr: f64,
    states: Vec<History>,
}

impl GramRule for GradNorm {
    fn name(&self) -> &'static str {
        "gradnorm"
    }

    fn requirements(&self) -> Requirements {
        Requirements { nonnegative_losses: true, uses_loss_ratios: true, ..Requirements::default() }
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let m = rows.tasks.len() as f64;
        for (&task, &loss) in rows.tasks.iter().zip(&rows.losses) {
            let first = &mut self.states[task].first;
            *first = if *first == 0.0 { loss } else { *first };
        }
        let shares = softmax(&rows.tasks.iter().map(|&task| self.states[task].theta.value).collect::<Vec<_>>());
        let weights: Vec<f64> = shares.iter().map(|share| m * share).collect();
        let left: Vec<f64> =
            rows.tasks.iter().zip(&rows.losses).map(|(&task, loss)| loss / self.states[task].first).collect();
        let mean_left = left.iter().sum::<f64>() / m;
        let lengths: Vec<f64> = (0..rows.gram.size()).map(|i| rows.gram.at(i, i).sqrt()).collect();
        let mean = weights.iter().zip(&lengths).map(|(w, length)| w * length).sum::<f64>() / m;
        let slope: Vec<f64> = (0..lengths.len())
            .map(|i| {
                let off = weights[i] * lengths[i] - mean * (left[i] / mean_left).powf(self.alpha);
                // `signum` of 0 is 1.
                if off == 0.0 { 0.0 } else { off.signum() * lengths[i] }
            })
            .collect();
        let along: f64 = slope.iter().zip(&weights).map(|(slope, w)| slope * w).sum();
        for ((&task, slope), (w, share)) in rows.tasks.iter().zip(&slope).zip(weights.iter().zip(&shares)) {
            self.states[task].theta.step(slope * w - along * share, self.lr);
        }
        weights
    }

    fn state(&self, tasks: &[String]) -> State {
        task_state::write(tasks, &self.states)
    }

    fn restore(&mut self, tasks: &[String], state: &State) -> Result<(), Error> {
        self.states = task_state::read("gradnorm", tasks, &[], state, |_| true)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;

    use super::*;
    use crate::{Gram, Signals};

    /// Lengths 4 and 1, equal loss ratios: the weights converge to equal weighted lengths, 2/5 and 8/5.
    #[test]
    fn weighted_lengths_become_equal_and_a_lagging_task_gets_more() {
        let tasks = ["a".to_owned(), "b".to_owned()];
        let gram = Gram::new(2, vec![16.0, 0.0, 0.0, 1.0]).unwrap();
        let settle = |losses: [f64; 2]| {
            let mut balancer = Config::default().build(&tasks).unwrap();
            let mut at = |losses: &[f64], step| {
                let signals = Signals::new(&tasks, &[0, 1], losses).with_gram(&gram).at(step, 0);
                balancer.weights(&signals, &mut Seed::new(0).stream("b", &[])).unwrap()
            };
            at(&[1.0, 1.0], 0);
            (1..3000).map(|step| at(&losses, step)).last().unwrap()
        };
        let even = settle([0.5, 0.5]);
        assert!((even[0] - 0.4).abs() < 0.02 && (even[1] - 1.6).abs() < 0.02, "{even:?}");
        let behind = settle([0.9, 0.3]);
        assert!(behind[0] > even[0] + 0.3, "{behind:?}");
    }

    /// LibMTL's rule (its `GradNorm.backward`, by automatic differentiation, with Adam at 0.01) on the same steps.
    #[test]
    fn steps_equal_libmtl() {
        let tasks: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let rows: [[f64; 4]; 3] = [[1.0, -2.0, 0.5, 0.3], [-1.5, 0.7, 1.1, -0.2], [0.4, 0.9, -1.8, 0.6]];
        let losses = [[1.0, 2.0, 0.5], [0.9, 1.9, 0.3], [0.8, 1.5, 0.29], [0.85, 1.0, 0.28], [1.0; 3]];
        let expected = [
            [1.0, 1.0, 1.0],
            [0.9867114050019308, 1.0066442974957128, 1.0066442975023564],
            [0.9840242730861496, 1.015219630839671, 1.0007560960741793],
            [0.9848949387618375, 1.0233542738728585, 0.9917507873653036],
            [0.990614738524078, 1.0254468937432817, 0.9839383677326402],
        ];
        let mut balancer = Config::default().build(&tasks).unwrap();
        for (call, (losses, expected)) in losses.iter().zip(expected).enumerate() {
            let scale = (1.0 + 0.3 * call as f64).powi(2);
            let gram = Gram::from_fn(3, |i, j| scale * rows[i].iter().zip(rows[j]).map(|(a, b)| a * b).sum::<f64>());
            let signals = Signals::new(&tasks, &[0, 1, 2], losses).with_gram(&gram).at(call as u64, 0);
            let found = balancer.weights(&signals, &mut Seed::new(0).stream("b", &[])).unwrap();
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "call {call}: {found:?}");
        }
    }
}
