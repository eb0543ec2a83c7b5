//! Weights that let all losses fall at the same relative speed, learned from the losses alone.
//!
//! FAMO (Liu et al. 2023, algorithm 1): with `z = softmax(xi)` and `D_i = l_i - b_i`, the weights are `c z_i / D_i`, `c = 1 / sum_i z_i / D_i`:
//! the gradient of `c sum_i z_i log D_i`, and they sum to 1. After the step the losses of the same batch are asked for again, and `xi`
//! goes down the gradient of `z . delta`, `delta_i = log D_i(before) - log D_i(after)`, so that who fell fastest is weighed less. By
//! Adam with weight decay, as in the authors' code.
//!
//! The authors clip the shared gradient to length 1; here the training step clips for all methods alike (`joint.clip`).

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::adam::Learned;
use crate::memory;
use crate::scalar::softmax;
use crate::{Balancer, Combination, Error, Feedback, Needs, Signals, State};

/// As in the authors' code: no logarithm of zero.
const LEAST: f64 = 1e-8;

/// Settings of FAMO.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Adam's learning rate for `xi`. 0.025, the authors'.
    pub lr: f64,
    /// Weight decay of `xi`: pulls towards equal shares. 0.001, the authors' for NYUv2 and CelebA; they use 0.01 for Cityscapes.
    pub decay: f64,
    /// Lower bound of every loss, `b`. 0, what every loss of this program has.
    pub least: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { lr: 0.025, decay: 1e-3, least: 0.0 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// Settings outside their range.
    pub fn build(&self, tasks: &[String]) -> Result<Famo, Error> {
        let rule = "the learning rate must be a positive number";
        Error::unless(self.lr.is_finite() && self.lr > 0.0, "balancer.famo.lr", self.lr, rule)?;
        let rule = "the weight decay must be from 0 to 1";
        Error::unless((0.0..=1.0).contains(&self.decay), "balancer.famo.decay", self.decay, rule)?;
        Error::unless(self.least.is_finite(), "balancer.famo.least", self.least, "the lower bound must be a number")?;
        let xi = vec![Learned::default(); tasks.len()];
        Ok(Famo { tasks: tasks.to_vec(), settings: self.clone(), xi, asked: None })
    }
}

/// The rule.
#[derive(Debug)]
pub struct Famo {
    tasks: Vec<String>,
    settings: Config,
    xi: Vec<Learned>,
    /// The present tasks and the logarithms of their losses, between a step's weights and what came of it.
    asked: Option<(Vec<usize>, Vec<f64>)>,
}

impl Famo {
    fn log(&self, loss: f64) -> f64 {
        ((loss - self.settings.least).max(0.0) + LEAST).ln()
    }

    fn shares(&self, present: &[usize]) -> Vec<f64> {
        softmax(&present.iter().map(|&task| self.xi[task].value).collect::<Vec<_>>())
    }
}

impl Balancer for Famo {
    fn needs(&self) -> Needs {
        Needs::Losses
    }

    fn feedback(&self) -> Feedback {
        Feedback::LossesAfter
    }

    fn reads_progress(&self) -> bool {
        true
    }

    fn refuses_negative_losses(&self) -> bool {
        self.settings.least >= 0.0
    }

    fn combine(&mut self, signals: &Signals, _stream: &mut Stream) -> Result<Combination, Error> {
        signals.check(&self.tasks, self.needs())?;
        signals.check_at_least("famo", self.settings.least)?;
        let logs: Vec<f64> = signals.losses.iter().map(|&loss| self.log(loss)).collect();
        // `z_i / D_i` over their sum, as a softmax of the logarithms: nothing overflows.
        let shares = self.shares(signals.present);
        let weights = softmax(&shares.iter().zip(&logs).map(|(z, log)| z.ln() - log).collect::<Vec<_>>());
        self.asked = Some((signals.present.to_vec(), logs));
        Ok(weights.into())
    }

    fn learn(&mut self, values: &[f64]) -> Result<(), Error> {
        let Some((present, before)) = self.asked.take() else { return Ok(()) };
        Error::unless_told(&self.tasks, &present, values)?;
        let fell: Vec<f64> = before.iter().zip(values).map(|(before, &loss)| before - self.log(loss)).collect();
        let shares = self.shares(&present);
        let mean: f64 = shares.iter().zip(&fell).map(|(z, fell)| z * fell).sum();
        for ((&task, z), fell) in present.iter().zip(&shares).zip(&fell) {
            let xi = &mut self.xi[task];
            xi.step(z * (fell - mean) + self.settings.decay * xi.value, self.settings.lr);
        }
        Ok(())
    }

    fn state(&self) -> State {
        memory::write(&self.tasks, &self.xi)
    }

    fn restore(&mut self, state: State) -> Result<(), Error> {
        self.xi = memory::read("famo", &self.tasks, &[], &state, |_| true)?;
        self.asked = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;

    use super::*;

    #[test]
    fn who_falls_fastest_is_weighed_less() {
        let tasks = ["fast".to_owned(), "slow".to_owned()];
        let mut famo = Config::default().build(&tasks).unwrap();
        let mut at = |losses: [f64; 2]| {
            let signals = Signals::new(&tasks, &[0, 1], &losses);
            let weights = famo.weights(&signals, &mut Seed::new(0).stream("b", &[])).unwrap();
            famo.learn(&[losses[0] * 0.9, losses[1] * 0.999]).unwrap();
            weights
        };
        let first = at([2.0, 2.0]);
        assert!((first[0] - 0.5).abs() < 1e-12 && (first[1] - 0.5).abs() < 1e-12, "{first:?}");
        let later = (0..50).map(|_| at([2.0, 2.0])).last().unwrap();
        assert!(later[0] < 0.3 && (later[0] + later[1] - 1.0).abs() < 1e-12, "{later:?}");
    }

    #[test]
    fn what_came_of_a_step_must_be_numbers() {
        let tasks = ["a".to_owned(), "b".to_owned()];
        let mut famo = Config::default().build(&tasks).unwrap();
        famo.learn(&[1.0]).unwrap(); // nothing was asked
        for wrong in [&[1.0][..], &[1.0, f64::NAN]] {
            famo.weights(&Signals::new(&tasks, &[0, 1], &[1.0, 2.0]), &mut Seed::new(0).stream("b", &[])).unwrap();
            let before = famo.state();
            assert!(famo.learn(wrong).is_err());
            assert_eq!(famo.state(), before);
        }
    }
}
