//! FAMO: fast adaptive multi-task optimisation (Liu et al. 2023, algorithm 1, arXiv 2306.03792).
//!
//! With `z = softmax(xi)` and `D_i = l_i - b_i`, the weights are `c z_i / D_i`, `c = 1 / sum_i z_i / D_i`: the gradient of
//! `c sum_i z_i log D_i`; they sum to 1. After the step, with the losses of the same batch, `xi` descends along the gradient of
//! `z . delta`, `delta_i = log D_i(before) - log D_i(after)`, so that the tasks whose loss fell fastest get less weight. The optimizer is
//! Adam with weight decay, as in the authors' code.
//!
//! The authors clip the shared gradient to length 1; here the training step clips, for all methods alike.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::adam::Learned;
use crate::solve::softmax;
use crate::task_state;
use crate::{Aggregation, Balancer, Error, Feedback, Method, Needs, Requirements, Signals, State};

/// Added to losses before the logarithm, as in the authors' code.
const EPSILON: f64 = 1e-8;

/// Settings of FAMO.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Adam's learning rate for `xi`. Default: 0.025, as in the authors' code.
    pub lr: f64,
    /// Weight decay of `xi`, towards equal shares. Default: 0.001, the authors' value for NYUv2 and CelebA; 0.01 for Cityscapes.
    pub decay: f64,
    /// Lower bound `b` of every loss. Default: 0.
    pub min_loss: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { lr: 0.025, decay: 1e-3, min_loss: 0.0 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "the learning rate must be a positive number";
        Error::ensure(self.lr.is_finite() && self.lr > 0.0, "balancer.famo.lr", self.lr, rule)?;
        let rule = "the weight decay must be from 0 to 1";
        Error::ensure((0.0..=1.0).contains(&self.decay), "balancer.famo.decay", self.decay, rule)?;
        Error::ensure(
            self.min_loss.is_finite(),
            "balancer.famo.min_loss",
            self.min_loss,
            "the lower bound must be a number",
        )?;
        let xi = vec![Learned::default(); tasks.len()];
        Ok(Box::new(Famo { tasks: tasks.to_vec(), settings: self.clone(), xi, pending: None }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Famo {
    tasks: Vec<String>,
    settings: Config,
    xi: Vec<Learned>,
    /// The present tasks and the logarithms of their losses, between a step and its feedback.
    pending: Option<(Vec<usize>, Vec<f64>)>,
}

impl Famo {
    fn log(&self, loss: f64) -> f64 {
        ((loss - self.settings.min_loss).max(0.0) + EPSILON).ln()
    }

    fn shares(&self, present: &[usize]) -> Vec<f64> {
        softmax(&present.iter().map(|&task| self.xi[task].value).collect::<Vec<_>>())
    }
}

impl Balancer for Famo {
    fn requirements(&self) -> Requirements {
        Requirements {
            feedback: Feedback::LossesAfter,
            uses_loss_ratios: true,
            nonnegative_losses: self.settings.min_loss >= 0.0,
            ..Requirements::default()
        }
    }

    fn aggregate(&mut self, signals: &Signals, _stream: &mut Stream) -> Result<Aggregation, Error> {
        signals.check(&self.tasks, Needs::Losses)?;
        signals.check_at_least("famo", self.settings.min_loss)?;
        let logs: Vec<f64> = signals.losses.iter().map(|&loss| self.log(loss)).collect();
        // `z_i / D_i` divided by their sum, as a softmax of logarithms, which does not overflow.
        let shares = self.shares(signals.present);
        let weights = softmax(&shares.iter().zip(&logs).map(|(z, log)| z.ln() - log).collect::<Vec<_>>());
        self.pending = Some((signals.present.to_vec(), logs));
        Ok(weights.into())
    }

    fn feedback(&mut self, values: &[f64]) -> Result<(), Error> {
        let Some((present, before)) = self.pending.take() else { return Ok(()) };
        Error::check_feedback(&self.tasks, &present, values)?;
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
        task_state::write(&self.tasks, &self.xi)
    }

    fn restore(&mut self, state: State) -> Result<(), Error> {
        self.xi = task_state::read("famo", &self.tasks, &[], &state, |_| true)?;
        self.pending = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;

    use super::*;

    #[test]
    fn the_fastest_falling_loss_gets_less_weight() {
        let tasks = ["fast".to_owned(), "slow".to_owned()];
        let mut famo = Config::default().build(&tasks).unwrap();
        let mut at = |losses: [f64; 2]| {
            let signals = Signals::new(&tasks, &[0, 1], &losses);
            let weights = famo.weights(&signals, &mut Seed::new(0).stream("b", &[])).unwrap();
            famo.feedback(&[losses[0] * 0.9, losses[1] * 0.999]).unwrap();
            weights
        };
        let first = at([2.0, 2.0]);
        assert!((first[0] - 0.5).abs() < 1e-12 && (first[1] - 0.5).abs() < 1e-12, "{first:?}");
        let later = (0..50).map(|_| at([2.0, 2.0])).last().unwrap();
        assert!(later[0] < 0.3 && (later[0] + later[1] - 1.0).abs() < 1e-12, "{later:?}");
    }

    #[test]
    fn feedback_must_be_finite_and_complete() {
        let tasks = ["a".to_owned(), "b".to_owned()];
        let mut famo = Config::default().build(&tasks).unwrap();
        famo.feedback(&[1.0]).unwrap(); // no step before
        for wrong in [&[1.0][..], &[1.0, f64::NAN]] {
            famo.weights(&Signals::new(&tasks, &[0, 1], &[1.0, 2.0]), &mut Seed::new(0).stream("b", &[])).unwrap();
            let before = famo.state();
            assert!(famo.feedback(wrong).is_err());
            assert_eq!(famo.state(), before);
        }
    }
}
