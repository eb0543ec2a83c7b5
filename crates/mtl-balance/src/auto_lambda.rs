//! Weights that make the primary tasks better on images of another batch: `lambda`, learned one level above the network.
//!
//! Auto-Lambda (Liu et al. 2022, eq. 4 to 6): how a task's weight in this step changes the loss of the primary tasks after it is
//! `-lr grad l_i(theta) . grad L(theta')`, `theta'` one plain step of gradient descent away and `L` the primary tasks' loss on another
//! batch; the second gradient taken, the product is a finite difference of the losses along it. `lambda` goes down this slope by Adam.
//! A weight that grows says that the task helps the primary ones: a read-out of how tasks are related.
//!
//! Where we differ: what a step teaches is used from the next step on (the authors weigh the same batch again, a backward pass
//! more); weights do not fall below 0, where a task would be unlearnt.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::adam::Learned;
use crate::memory;
use crate::{Balancer, Combination, Error, Feedback, Needs, Signals, State};

/// Settings of Auto-Lambda.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names of the tasks that count. None (default): all do.
    pub primary: Vec<String>,
    /// What every weight is at first. 0.1, the authors'.
    pub init: f64,
    /// Adam's learning rate for the weights. 1e-4, the authors' for NYUv2; they use 3e-5 for Cityscapes.
    pub lr: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { primary: Vec::new(), init: 0.1, lr: 1e-4 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// Settings outside their range; a primary task the run does not have.
    pub fn build(&self, tasks: &[String]) -> Result<AutoLambda, Error> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        Error::unless(positive(self.init), "balancer.auto_lambda.init", self.init, "weights must begin above 0")?;
        let rule = "the learning rate must be a positive number";
        Error::unless(positive(self.lr), "balancer.auto_lambda.lr", self.lr, rule)?;
        let find = |name: &String| Error::find_task("balancer.auto_lambda.primary", tasks, name);
        let mut primary: Vec<usize> = self.primary.iter().map(find).collect::<Result<_, _>>()?;
        if primary.is_empty() {
            primary = (0..tasks.len()).collect();
        }
        let lambda = vec![Learned::from(self.init); tasks.len()];
        Ok(AutoLambda { tasks: tasks.to_vec(), primary, lr: self.lr, lambda, asked: None })
    }
}

/// The rule.
#[derive(Debug)]
pub struct AutoLambda {
    tasks: Vec<String>,
    primary: Vec<usize>,
    lr: f64,
    /// Weight of each task.
    lambda: Vec<Learned>,
    /// The present tasks, between a step's weights and what came of it.
    asked: Option<Vec<usize>>,
}

impl Balancer for AutoLambda {
    fn needs(&self) -> Needs {
        Needs::Losses
    }

    fn feedback(&self) -> Feedback {
        Feedback::Lookahead(self.primary.clone())
    }

    fn combine(&mut self, signals: &Signals, _stream: &mut Stream) -> Result<Combination, Error> {
        signals.check(&self.tasks, self.needs())?;
        self.asked = Some(signals.present.to_vec());
        Ok(signals.present.iter().map(|&task| self.lambda[task].value).collect::<Vec<_>>().into())
    }

    fn learn(&mut self, values: &[f64]) -> Result<(), Error> {
        let Some(present) = self.asked.take() else { return Ok(()) };
        Error::unless_told(&self.tasks, &present, values)?;
        for (&task, &slope) in present.iter().zip(values) {
            let weight = &mut self.lambda[task];
            weight.step(slope, self.lr);
            weight.value = weight.value.max(0.0);
        }
        Ok(())
    }

    fn state(&self) -> State {
        memory::write(&self.tasks, &self.lambda)
    }

    fn restore(&mut self, state: State) -> Result<(), Error> {
        let accept = |weight: &Learned| weight.value >= 0.0;
        self.lambda = memory::read("auto_lambda", &self.tasks, &[], &state, accept)?;
        self.asked = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;

    use super::*;

    #[test]
    fn who_helps_gains_weight_and_who_hurts_loses_it_down_to_zero() {
        let tasks = ["main".to_owned(), "helps".to_owned(), "hurts".to_owned()];
        let config = Config { primary: vec!["main".to_owned()], lr: 0.01, ..Config::default() };
        let mut balancer = config.build(&tasks).unwrap();
        assert_eq!(balancer.feedback(), Feedback::Lookahead(vec![0]));
        let mut weights = Vec::new();
        for step in 0..30 {
            let signals = Signals::new(&tasks, &[0, 1, 2], &[1.0; 3]).at(step, 0);
            weights = balancer.weights(&signals, &mut Seed::new(0).stream("b", &[])).unwrap();
            balancer.learn(&[-0.1, -0.2, 0.3]).unwrap();
        }
        assert!(weights[1] > 0.3 && weights[2] == 0.0, "{weights:?}");
        let unknown = Config { primary: vec!["mian".to_owned()], ..Config::default() }.build(&tasks).unwrap_err();
        assert!(unknown.to_string().contains("`main`"), "{unknown}");
    }
}
