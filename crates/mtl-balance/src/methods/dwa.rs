//! DWA: dynamic weight average (Liu, Johns and Davison 2019, MTAN, eq. 7, arXiv 1803.10704).
//!
//! `r_k = L_k(t-1) / L_k(t-2)` and `w_k = m exp(r_k / T) / sum_j exp(r_j / T)`, where `L_k(t)` is the mean loss of epoch `t` and `m`
//! the number of tasks; 1 in the first two epochs. Tasks whose loss fell less get more weight.
//!
//! The mean is over the steps of an epoch in which the task was present; the first step of a new epoch closes the last one. Weights are
//! constant within an epoch. A task has a ratio once it was present in two epochs (the last two with labels); before that its
//! weight is 1 and `m` counts the other tasks. A single task has weight 1. After a mean loss of exactly 0 the ratio is set to 1.
//!
//! Negative losses are an error, because the ratio needs a loss bounded below by 0. An adversarial loss is an equilibrium, and its
//! ratio does not measure progress.
//! measure progress.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::task_state::{self, TaskState};
use crate::{Aggregation, Balancer, Error, Method, Needs, Requirements, Signals, State};

const EPOCH: &str = "epoch";

/// Settings of dynamic weight average.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Temperature `T` of the softmax, at least 0.01: large values give nearly equal weights. Default: 2, as in the paper.
    pub temperature: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { temperature: 2.0 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let value = self.temperature;
        // Below 0.01 the softmax of ratios near 1 selects one task.
        let rule = "the temperature must be a number of at least 0.01";
        Error::ensure(value.is_finite() && value >= 0.01, "balancer.dwa.temperature", value, rule)?;
        let history = vec![History::default(); tasks.len()];
        Ok(Box::new(Dwa { temperature: value, tasks: tasks.to_vec(), epoch: 0, history }))
    }
}

/// Losses of one task: sum of the current epoch, and the means of the last two epochs with labels, newest first.
#[derive(Clone, Debug, Default, PartialEq)]
struct History {
    sum: f64,
    steps: f64,
    means: Vec<f64>,
}

impl History {
    fn close_epoch(&mut self) {
        if self.steps > 0.0 {
            self.means.insert(0, self.sum / self.steps);
            self.means.truncate(2);
            (self.sum, self.steps) = (0.0, 0.0);
        }
    }

    fn ratio(&self) -> Option<f64> {
        match self.means[..] {
            [_, before] if before <= 0.0 => Some(1.0),
            [last, before] => Some((last / before).clamp(0.0, f64::MAX)),
            _ => None,
        }
    }
}

impl TaskState for History {
    fn to_row(&self) -> Vec<f64> {
        [&[self.sum, self.steps], &self.means[..]].concat()
    }

    fn from_row(row: &[f64]) -> Option<Self> {
        match *row {
            [sum, steps, ref means @ ..] if means.len() <= 2 && row.iter().all(|value| *value >= 0.0) => {
                Some(Self { sum, steps, means: means.to_vec() })
            }
            _ => None,
        }
    }
}

/// The method.
#[derive(Clone, Debug)]
pub struct Dwa {
    temperature: f64,
    tasks: Vec<String>,
    epoch: u64,
    history: Vec<History>,
}

impl Dwa {
    /// The weights of this epoch, for all tasks.
    fn epoch_weights(&self) -> Vec<f64> {
        let ratios: Vec<Option<f64>> = self.history.iter().map(History::ratio).collect();
        let m = ratios.iter().flatten().count() as f64;
        let largest = ratios.iter().flatten().copied().fold(0.0, f64::max);
        let raised = |ratio: f64| ((ratio - largest) / self.temperature).exp();
        let sum: f64 = ratios.iter().flatten().map(|&ratio| raised(ratio)).sum();
        ratios.into_iter().map(|ratio| ratio.map_or(1.0, |ratio| m * raised(ratio) / sum)).collect()
    }
}

impl Balancer for Dwa {
    fn requirements(&self) -> Requirements {
        Requirements { nonnegative_losses: true, uses_loss_ratios: true, ..Requirements::default() }
    }

    fn aggregate(&mut self, signals: &Signals, _stream: &mut Stream) -> Result<Aggregation, Error> {
        signals.check(&self.tasks, Needs::Losses)?;
        signals.check_nonnegative("dwa")?;
        if signals.epoch > self.epoch {
            self.epoch = signals.epoch;
            self.history.iter_mut().for_each(History::close_epoch);
        }
        for (&task, &loss) in signals.present.iter().zip(signals.losses) {
            // Bounded so that the sum stays finite.
            self.history[task].sum += loss.clamp(0.0, 1e200);
            self.history[task].steps += 1.0;
        }
        let weights = self.epoch_weights();
        Ok(signals.present.iter().map(|&task| weights[task]).collect::<Vec<_>>().into())
    }

    fn state(&self) -> State {
        let mut state = task_state::write(&self.tasks, &self.history);
        state.insert(EPOCH.to_owned(), vec![self.epoch as f64]);
        state
    }

    fn restore(&mut self, state: State) -> Result<(), Error> {
        let history = task_state::read("dwa", &self.tasks, &[EPOCH], &state, |_| true)?;
        let epoch = match state.get(EPOCH).map(Vec::as_slice) {
            Some([epoch]) if *epoch >= 0.0 => *epoch as u64,
            other => return Err(Error::State { method: "dwa", problem: format!("`{EPOCH}` is {other:?}") }),
        };
        self.epoch = epoch;
        self.history = history;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        mtl_rng::Seed::new(0).stream("test", &[])
    }

    fn tasks(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("t{i}")).collect()
    }

    fn close(weights: &[f64], expected: &[f64]) {
        assert_eq!(weights.len(), expected.len());
        for (weight, expected) in weights.iter().zip(expected) {
            assert!((weight - expected).abs() < 1e-12, "{weights:?} {expected}");
        }
    }

    #[test]
    fn four_epochs_match_libmtl() {
        // LibMTL 4336804, DWA with T = 2, given the mean losses of each epoch. By hand for the third: ratios .5, .95,
        // 1.1; 3 exp(r/2) / (exp(.25) + exp(.475) + exp(.55)).
        let epochs = [[1.0, 2.0, 3.0], [0.5, 1.9, 3.3], [0.45, 1.0, 3.0], [0.44, 0.9, 2.0]];
        let expected = [
            [1.0, 1.0, 1.0],
            [1.0, 1.0, 1.0],
            [0.8328286568029508, 1.0429702456098937, 1.1242010975871555],
            [1.0585257054885264, 0.8781261567732421, 1.0633481377382317],
        ];
        let tasks = tasks(3);
        let mut balancer = Config::default().build(&tasks).unwrap();
        for (epoch, (means, expected)) in epochs.iter().zip(&expected).enumerate() {
            // Two steps per epoch, with losses below and above the mean.
            for scale in [0.5, 1.5] {
                let losses = means.map(|mean| mean * scale);
                let signals = Signals::new(&tasks, &[0, 1, 2], &losses).at(0, epoch as u64);
                close(&balancer.weights(&signals, &mut stream()).unwrap(), expected);
            }
        }
    }

    #[test]
    fn tasks_that_were_absent_keep_their_last_two_means() {
        let tasks = tasks(3);
        let mut balancer = Config { temperature: 1.0 }.build(&tasks).unwrap();
        let mut step = |epoch, present: &[usize], losses: &[f64]| {
            balancer.weights(&Signals::new(&tasks, present, losses).at(0, epoch), &mut stream()).unwrap()
        };
        close(&step(0, &[0, 1], &[1.0, 4.0]), &[1.0, 1.0]);
        close(&step(1, &[0, 1], &[0.5, 4.0]), &[1.0, 1.0]);
        // Ratios .5 and 1, task 2 unknown: 2 exp(.5) / (exp(.5) + exp(1)) = 2 / (1 + exp(.5)).
        let first = 2.0 / (1.0 + 0.5f64.exp());
        close(&step(2, &[0, 2], &[0.25, 9.0]), &[first, 1.0]);
        close(&step(2, &[1], &[4.0]), &[2.0 - first]);
        // Only task 2 in epoch 3: the others keep their last two means.
        close(&step(3, &[2], &[9.0]), &[1.0]);
        let raised = [0.5f64.exp(), 1f64.exp(), 1f64.exp()];
        let expected = raised.map(|value| 3.0 * value / raised.iter().sum::<f64>());
        close(&step(4, &[0, 1, 2], &[1.0, 1.0, 1.0]), &expected);
    }

    #[test]
    fn losses_of_zero_and_extremes_give_finite_weights() {
        let tasks = tasks(2);
        for (first, second) in [([0.0, 0.0], [0.0, 1.0]), ([1e-300, 1.0], [1e300, 1.0]), ([1.0, 1.0], [0.0, 1e300])] {
            let mut balancer = Config { temperature: 0.01 }.build(&tasks).unwrap();
            for (epoch, losses) in [first, second, first].iter().enumerate() {
                let signals = Signals::new(&tasks, &[0, 1], losses).at(0, epoch as u64);
                let weights = balancer.weights(&signals, &mut stream()).unwrap();
                assert!(weights.iter().all(|weight| weight.is_finite()), "{weights:?}");
                assert!((weights.iter().sum::<f64>() - 2.0).abs() < 1e-12, "{weights:?}");
            }
        }
    }

    #[test]
    fn settings_out_of_range() {
        for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Config { temperature }.build(&tasks(1)).is_err());
        }
    }
}
