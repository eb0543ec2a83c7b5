//! Uncertainty weighting: each task has a learned noise level that scales its loss.
//!
//! `L = sum_i (e^{-s_i} l_i + s_i) / 2` with `s_i = log sigma_i^2` (Kendall, Gal and Cipolla 2018, eq. 7-10, with 1/2
//! for every kind of loss), so `w_i = e^{-s_i} / 2` and `dL/ds_i = (1 - e^{-s_i} l_i) / 2`. At its optimum
//! `s_i = log l_i`: every weighted loss is 1/2, whatever its scale.
//!
//! The derivative needs only the loss value, so `s` is learned here, with Adam, and not by the model's optimizer: its
//! learning rate does not follow the model's schedule and no weight decay pulls at it. `s` is kept within
//! `[-limit, limit]`, which the paper does not do: a task at loss 0 would otherwise get an ever growing weight.
//! One task alone gets `e^{-s} / 2`, not 1: the method also scales the step.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::adam::Learned;
use crate::memory;
use crate::{Balancer, Combination, Error, Needs, Signals, State};

/// Settings of uncertainty weighting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Adam's learning rate for `s`, in log units a step. 0.01: a loss of 0.05 (`s` = -3) is reached within some 300
    /// steps, and the noise of single batches is averaged over about 100.
    pub lr: f64,
    /// Start of every `s`. 0: all weights start at 1/2, as in the paper's code.
    pub init: f64,
    /// Bound on `|s|`. 6: weights stay between 0.0012 and 202.
    pub limit: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { lr: 0.01, init: 0.0, limit: 6.0 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// Settings outside their range.
    pub fn build(&self, tasks: &[String]) -> Result<Uncertainty, Error> {
        Uncertainty::new(self, tasks, ("uncertainty", 0.5))
    }
}

/// Learned uncertainty weights.
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
    /// `name`, in the registry, gives weights `factor e^{-s}`.
    pub(crate) fn new(config: &Config, tasks: &[String], (name, factor): (&'static str, f64)) -> Result<Self, Error> {
        let key = |key: &str| format!("balancer.{name}.{key}");
        let &Config { lr, init, limit } = config;
        Error::unless(lr.is_finite() && lr > 0.0, key("lr"), lr, "the learning rate must be a positive number")?;
        // e^50 is 5e21: beyond that no optimizer step means anything.
        Error::unless(limit > 0.0 && limit <= 50.0, key("limit"), limit, "the bound must be above 0 and at most 50")?;
        let inside = init.is_finite() && init.abs() <= limit;
        Error::unless(inside, key("init"), init, "the start must lie within the bound `limit`")?;
        let noise = vec![Learned::from(init); tasks.len()];
        Ok(Self { name, factor, config: config.clone(), tasks: tasks.to_vec(), noise })
    }
}

impl Balancer for Uncertainty {
    fn needs(&self) -> Needs {
        Needs::Losses
    }

    fn refuses_negative_losses(&self) -> bool {
        true
    }

    fn combine(&mut self, signals: &Signals, _stream: &mut Stream) -> Result<Combination, Error> {
        signals.check(&self.tasks, self.needs())?;
        signals.check_not_negative(self.name)?;
        // The weights are those before this step's update of `s`: both descend on L from the same point.
        let weights: Vec<f64> =
            signals.present.iter().map(|&task| self.factor * (-self.noise[task].value).exp()).collect();
        for (&task, &loss) in signals.present.iter().zip(signals.losses) {
            // Down `(e^{-s} l + s) / 2`.
            let s = &mut self.noise[task];
            s.step(0.5 * (1.0 - (-s.value).exp() * loss), self.config.lr);
            s.value = s.value.clamp(-self.config.limit, self.config.limit);
        }
        Ok(weights.into())
    }

    fn state(&self) -> State {
        memory::write(&self.tasks, &self.noise)
    }

    fn restore(&mut self, state: State) -> Result<(), Error> {
        self.noise = memory::read(self.name, &self.tasks, &[], &state, |_| true)?;
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
