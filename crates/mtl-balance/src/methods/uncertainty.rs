//! Uncertainty weighting: a learned noise level per task scales its loss (Kendall, Gal and Cipolla 2018, eq. 7 to 10, arXiv 1705.07115).
//!
//! `L = sum_i (e^{-s_i} l_i + s_i) / 2` with `s_i = log sigma_i^2` (with 1/2 for every kind of loss), so `w_i = e^{-s_i} / 2` and
//! `dL/ds_i = (1 - e^{-s_i} l_i) / 2`. At the optimum `s_i = log l_i`: every weighted loss is 1/2, for any scale of the loss.
//!
//! The derivative needs only the loss value. `s` is therefore learned here, with its own Adam optimizer, and not by the model's optimizer:
//! learning-rate schedule and weight decay do not act on it. `s` is kept within `[-limit, limit]`, unlike in the paper, where the weight of
//! a task at loss 0 grows without bound. A single task gets `e^{-s} / 2` instead of 1.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::adam::Learned;
use crate::task_state;
use crate::{Aggregation, Balancer, Error, Method, Needs, Requirements, Signals, State};

/// Settings of uncertainty weighting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Adam's learning rate for `s`, in log units per step. Default: 0.01. `s` reaches -3 (a loss of 0.05) within about 300
    /// steps, and the noise of single batches is averaged over about 100.
    pub lr: f64,
    /// Initial value of every `s`. Default: 0, a weight of 1/2, as in the paper's code.
    pub init: f64,
    /// Bound on `|s|`, above 0 and at most 50. Default: 6, weights between 0.0012 and 202.
    pub limit: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { lr: 0.01, init: 0.0, limit: 6.0 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        Ok(Box::new(Uncertainty::new(self, tasks, "uncertainty", 0.5)?))
    }
}

/// The method.
#[derive(Clone, Debug)]
pub struct Uncertainty {
    name: &'static str,
    /// The weight of a task whose `s` is 0.
    factor: f64,
    config: Config,
    tasks: Vec<String>,
    /// `s` of each task.
    noise: Vec<Learned>,
}

impl Uncertainty {
    /// The method `name` of the registry, with weights `factor e^{-s}`.
    pub(crate) fn new(config: &Config, tasks: &[String], name: &'static str, factor: f64) -> Result<Self, Error> {
        let key = |key: &str| format!("balancer.{name}.{key}");
        let &Config { lr, init, limit } = config;
        Error::ensure(lr.is_finite() && lr > 0.0, key("lr"), lr, "the learning rate must be a positive number")?;
        // e^50 is 5e21, too large for any optimizer step.
        Error::ensure(limit > 0.0 && limit <= 50.0, key("limit"), limit, "the bound must be above 0 and at most 50")?;
        let inside = init.is_finite() && init.abs() <= limit;
        Error::ensure(inside, key("init"), init, "the initial value must lie within the bound `limit`")?;
        let noise = vec![Learned::from(init); tasks.len()];
        Ok(Self { name, factor, config: config.clone(), tasks: tasks.to_vec(), noise })
    }
}

impl Balancer for Uncertainty {
    fn requirements(&self) -> Requirements {
        Requirements { nonnegative_losses: true, ..Requirements::default() }
    }

    fn aggregate(&mut self, signals: &Signals, _stream: &mut Stream) -> Result<Aggregation, Error> {
        signals.check(&self.tasks, Needs::Losses)?;
        signals.check_nonnegative(self.name)?;
        // Weights from before the update of `s`: both descend on L from the same point.
        let weights: Vec<f64> =
            signals.present.iter().map(|&task| self.factor * (-self.noise[task].value).exp()).collect();
        for (&task, &loss) in signals.present.iter().zip(signals.losses) {
            // Gradient of `(e^{-s} l + s) / 2`.
            let s = &mut self.noise[task];
            s.step(0.5 * (1.0 - (-s.value).exp() * loss), self.config.lr);
            s.value = s.value.clamp(-self.config.limit, self.config.limit);
        }
        Ok(weights.into())
    }

    fn state(&self) -> State {
        task_state::write(&self.tasks, &self.noise)
    }

    fn restore(&mut self, state: State) -> Result<(), Error> {
        self.noise = task_state::read(self.name, &self.tasks, &[], &state, |_| true)?;
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

    #[test]
    fn first_steps_by_hand() {
        let tasks = tasks(2);
        let mut balancer = Config::default().build(&tasks).unwrap();
        let signals = Signals::new(&tasks, &[0, 1], &[3.0, 0.5]);
        assert_eq!(balancer.weights(&signals, &mut stream()).unwrap(), [0.5, 0.5]);
        // Gradients (1-3)/2 = -1 and (1-0.5)/2 = 0.25; Adam's first step is lr times the sign: s = 0.01 and -0.01.
        let weights = balancer.weights(&signals, &mut stream()).unwrap();
        assert!((weights[0] - 0.5 * (-0.01f64).exp()).abs() < 1e-9, "{weights:?}");
        assert!((weights[1] - 0.5 * 0.01f64.exp()).abs() < 1e-9, "{weights:?}");
    }

    #[test]
    fn weights_for_given_variances_match_libmtl() {
        // LibMTL 4336804, UW with log variances -0.5, 0.3, 1.2: dvalue_dloss.
        for (s, expected) in [(-0.5, 0.8243606353500641), (0.3, 0.37040911034085894), (1.2, 0.15059710595610107)] {
            let tasks = tasks(1);
            let mut balancer = Config { init: s, ..Config::default() }.build(&tasks).unwrap();
            let weights = balancer.weights(&Signals::new(&tasks, &[0], &[0.7]), &mut stream()).unwrap();
            assert!((weights[0] - expected).abs() < 1e-15, "{weights:?}");
        }
    }

    #[test]
    fn every_weighted_loss_comes_to_one_half() {
        let tasks = tasks(3);
        let losses = [12.0, 0.7, 0.05];
        let mut balancer = Config::default().build(&tasks).unwrap();
        let signals = Signals::new(&tasks, &[0, 1, 2], &losses);
        let mut weights = Vec::new();
        for _ in 0..3000 {
            weights = balancer.weights(&signals, &mut stream()).unwrap();
        }
        for (weight, loss) in weights.iter().zip(losses) {
            assert!((weight * loss - 0.5).abs() < 0.005, "{weight} * {loss}");
        }
    }

    #[test]
    fn a_finished_task_stays_within_the_limit_and_negative_losses_are_refused() {
        let tasks = tasks(1);
        let mut balancer = Config { lr: 0.5, limit: 2.0, init: 0.0 }.build(&tasks).unwrap();
        for _ in 0..100 {
            balancer.weights(&Signals::new(&tasks, &[0], &[0.0]), &mut stream()).unwrap();
        }
        let weights = balancer.weights(&Signals::new(&tasks, &[0], &[0.0]), &mut stream()).unwrap();
        assert_eq!(weights, [0.5 * 2.0f64.exp()]);
        let negative = Signals::new(&tasks, &[0], &[-1.0]).at(7, 0);
        let error = balancer.weights(&negative, &mut stream()).unwrap_err().to_string();
        assert!(error.contains("`t0`") && error.contains("step 7"), "{error}");
    }

    #[test]
    fn settings_out_of_range() {
        let good = Config::default();
        for bad in [
            Config { lr: 0.0, ..good.clone() },
            Config { lr: f64::NAN, ..good.clone() },
            Config { limit: 0.0, ..good.clone() },
            Config { limit: 1e9, ..good.clone() },
            Config { init: 7.0, ..good.clone() },
        ] {
            assert!(matches!(bad.build(&tasks(1)), Err(Error::Setting { .. })), "{bad:?}");
        }
    }
}
