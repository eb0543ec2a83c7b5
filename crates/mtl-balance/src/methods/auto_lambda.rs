//! Auto-Lambda: task weights by meta-learning (Liu et al. 2022, eq. 4 to 6, arXiv 2202.03091).
//!
//! The weight of task `i` in this step changes the loss of the primary tasks after the step by `-lr grad l_i(theta) . grad L(theta')`:
//! `theta'` is one plain step of gradient descent away, and `L` the primary tasks' loss on another batch. The product is a finite
//! difference of the losses along `grad L(theta')`. Adam minimises `L` over `lambda` along this slope. A weight that grows shows
//! that the task helps the primary tasks.
//!
//! Deviations from the paper: the slope of a step is used from the next step on (the authors weight the same batch again, which costs
//! another backward pass); weights stay at 0 or above, because a negative weight raises the task's loss.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::adam::Learned;
use crate::task_state;
use crate::{Aggregation, Balancer, Error, Feedback, Method, Needs, Requirements, Signals, State};

/// Settings of Auto-Lambda.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names of the primary tasks. Default: empty, which means all tasks.
    pub primary: Vec<String>,
    /// Initial weight of every task. Default: 0.1, as in the authors' code.
    pub init: f64,
    /// Adam's learning rate for the weights. Default: 1e-4, the authors' value for NYUv2; 3e-5 for Cityscapes.
    pub lr: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { primary: Vec::new(), init: 0.1, lr: 1e-4 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        Error::ensure(
            positive(self.init),
            "balancer.auto_lambda.init",
            self.init,
            "the initial weight must be above 0",
        )?;
        let rule = "the learning rate must be a positive number";
        Error::ensure(positive(self.lr), "balancer.auto_lambda.lr", self.lr, rule)?;
        let find = |name: &String| Error::find_task("balancer.auto_lambda.primary", tasks, name);
        let mut primary: Vec<usize> = self.primary.iter().map(find).collect::<Result<_, _>>()?;
        if primary.is_empty() {
            primary = (0..tasks.len()).collect();
        }
        let lambda = vec![Learned::from(self.init); tasks.len()];
        Ok(Box::new(AutoLambda { tasks: tasks.to_vec(), primary, lr: self.lr, lambda, pending: None }))
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
    /// The present tasks, between a step and its feedback.
    pending: Option<Vec<usize>>,
}

impl Balancer for AutoLambda {
    fn requirements(&self) -> Requirements {
        Requirements { feedback: Feedback::Lookahead(self.primary.clone()), ..Requirements::default() }
    }

    fn aggregate(&mut self, signals: &Signals, _stream: &mut Stream) -> Result<Aggregation, Error> {
        signals.check(&self.tasks, Needs::Losses)?;
        self.pending = Some(signals.present.to_vec());
        Ok(signals.present.iter().map(|&task| self.lambda[task].value).collect::<Vec<_>>().into())
    }

    fn feedback(&mut self, values: &[f64]) -> Result<(), Error> {
        let Some(present) = self.pending.take() else { return Ok(()) };
        Error::check_feedback(&self.tasks, &present, values)?;
        for (&task, &slope) in present.iter().zip(values) {
            let weight = &mut self.lambda[task];
            weight.step(slope, self.lr);
            weight.value = weight.value.max(0.0);
        }
        Ok(())
    }

    fn state(&self) -> State {
        task_state::write(&self.tasks, &self.lambda)
    }

    fn restore(&mut self, state: State) -> Result<(), Error> {
        let accept = |weight: &Learned| weight.value >= 0.0;
        self.lambda = task_state::read("auto_lambda", &self.tasks, &[], &state, accept)?;
        self.pending = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;

    use super::*;

    #[test]
    fn helpful_tasks_gain_weight_and_harmful_ones_fall_to_zero() {
        let tasks = ["main".to_owned(), "helps".to_owned(), "hurts".to_owned()];
        let config = Config { primary: vec!["main".to_owned()], lr: 0.01, ..Config::default() };
        let mut balancer = config.build(&tasks).unwrap();
        assert_eq!(balancer.requirements().feedback, Feedback::Lookahead(vec![0]));
        let mut weights = Vec::new();
        for step in 0..30 {
            let signals = Signals::new(&tasks, &[0, 1, 2], &[1.0; 3]).at(step, 0);
            weights = balancer.weights(&signals, &mut Seed::new(0).stream("b", &[])).unwrap();
            balancer.feedback(&[-0.1, -0.2, 0.3]).unwrap();
        }
        assert!(weights[1] > 0.3 && weights[2] == 0.0, "{weights:?}");
        let unknown = Config { primary: vec!["mian".to_owned()], ..Config::default() }.build(&tasks).err().unwrap();
        assert!(unknown.to_string().contains("`main`"), "{unknown}");
    }
}
