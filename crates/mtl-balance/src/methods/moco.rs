//! MoCo: multi-objective gradient correction (Fernando et al. 2023, ICLR, algorithm 1).
//!
//! `y_i <- y_i - b_k (y_i - l_i g_i / |g_i|)` averages each task's gradient, scaled to the length of its loss, over steps;
//! `lambda <- P(lambda - c_k (Y Y^T + rho I) lambda)`, with the projection `P` onto the simplex, follows the weights of MGDA; the update is
//! `Y^T lambda`. `b_k = beta / k^0.5` and `c_k = gamma / k^0.5` in step `k`, from 1, as in the authors' code. That code has a softmax in
//! place of `P` (`softmax = true`), whose weights converge near equal shares instead of MGDA's.
//!
//! State: one gradient per task, `tasks x parameters` numbers, also in the checkpoint. Steps are counted per task, from its first.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::rows::Rows;
use crate::rules::{GradientRule, Ruled};
use crate::solve::{onto_simplex, softmax};
use crate::task_state::{self, TaskState};
use crate::vector::mixed;
use crate::{Aggregation, Balancer, Error, Gram, Method, Requirements, State};

/// Settings of MoCo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Rate of the averages, above 0 and at most 1. Default: 0.5, as in the authors' code.
    pub beta: f64,
    /// Learning rate of the weights. Default: 0.1, as in the authors' code.
    pub gamma: f64,
    /// Regularisation towards equal weights. Default: 0, as in the authors' code.
    pub rho: f64,
    /// Softmax in place of the projection, as in the authors' code. Default: false.
    pub softmax: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { beta: 0.5, gamma: 0.1, rho: 0.0, softmax: false }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "the rate of the averages must be above 0 and at most 1";
        Error::ensure(self.beta > 0.0 && self.beta <= 1.0, "balancer.moco.beta", self.beta, rule)?;
        for (key, value) in [("balancer.moco.gamma", self.gamma), ("balancer.moco.rho", self.rho)] {
            Error::ensure(value.is_finite() && value >= 0.0, key, value, "a number of at least 0")?;
        }
        Ok(Ruled::gradients(tasks, MoCo { settings: self.clone(), states: vec![History::default(); tasks.len()] }))
    }
}

/// State of one task.
#[derive(Clone, Debug, Default)]
struct History {
    /// Steps in which it was present.
    steps: f64,
    /// Its weight; the initial value is an equal share.
    lambda: f64,
    /// Its averaged gradient.
    average: Vec<f64>,
}

impl TaskState for History {
    fn to_row(&self) -> Vec<f64> {
        [&[self.steps, self.lambda], self.average.as_slice()].concat()
    }

    fn from_row(row: &[f64]) -> Option<Self> {
        match *row {
            [steps, lambda, ref average @ ..] if steps >= 0.0 && lambda >= 0.0 => {
                Some(Self { steps, lambda, average: average.to_vec() })
            }
            _ => None,
        }
    }
}

/// The rule.
#[derive(Debug)]
pub struct MoCo {
    settings: Config,
    states: Vec<History>,
}

impl GradientRule for MoCo {
    fn name(&self) -> &'static str {
        "moco"
    }

    fn requirements(&self) -> Requirements {
        Requirements { nonnegative_losses: true, outputs_update: true, ..Requirements::default() }
    }

    fn solve(&mut self, rows: &Rows, gradients: &[&[f32]], _stream: &mut Stream) -> Result<Aggregation, Error> {
        let Config { beta, gamma, rho, softmax: soft } = self.settings;
        task_state::check_length("moco", self.states.iter().map(|state| &state.average), gradients[0].len())?;
        let m = rows.tasks.len();
        let mut shares = Vec::with_capacity(m);
        for ((&task, row), loss) in rows.tasks.iter().zip(gradients).zip(&rows.losses) {
            let state = &mut self.states[task];
            state.steps += 1.0;
            state.average.resize(row.len(), 0.0);
            let length = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            // Bounded so that the square of the average stays finite.
            let (follow, scale) = (beta / state.steps.sqrt(), loss.min(1e100) / length);
            state.average.iter_mut().zip(*row).for_each(|(y, &g)| *y -= follow * (*y - scale * f64::from(g)));
            shares.push(follow * scale);
            if state.steps == 1.0 {
                state.lambda = 1.0 / m as f64;
            }
        }
        let averages: Vec<&[f64]> = rows.tasks.iter().map(|&task| self.states[task].average.as_slice()).collect();
        let dot = |i: usize, j: usize| averages[i].iter().zip(averages[j]).map(|(a, b)| a * b).sum();
        let gram = Gram::from_fn(m, dot);
        let lambda: Vec<f64> = rows.tasks.iter().map(|&task| self.states[task].lambda).collect();
        let moved: Vec<f64> = (0..m)
            .map(|i| {
                let along: f64 = gram.row(i).iter().zip(&lambda).map(|(g, l)| g * l).sum();
                // Bounded so that the softmax stays finite for any loss.
                let slope = (along + rho * lambda[i]).clamp(-1e100, 1e100);
                lambda[i] - gamma / self.states[rows.tasks[i]].steps.sqrt() * slope
            })
            .collect();
        let lambda = if soft { softmax(&moved) } else { onto_simplex(&moved) };
        let vector = Some(mixed(&averages, &lambda));
        for (&task, &lambda) in rows.tasks.iter().zip(&lambda) {
            self.states[task].lambda = lambda;
        }
        // The share of this step's gradients in the update.
        let weights = lambda.iter().zip(&shares).map(|(lambda, share)| lambda * share).collect();
        Ok(Aggregation { weights, vector })
    }

    fn state(&self, tasks: &[String]) -> State {
        task_state::write(tasks, &self.states)
    }

    fn restore(&mut self, tasks: &[String], state: &State) -> Result<(), Error> {
        self.states = task_state::read_with_gradients("moco", tasks, 2, state)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;

    use super::*;
    use crate::Signals;

    /// Orthogonal gradients scaled to the lengths of their losses, 1 and 1/2: the minimum-norm point has the weights 1/5 and 4/5.
    #[test]
    fn the_weights_converge_to_the_minimum_norm_point() {
        let tasks = ["a".to_owned(), "b".to_owned()];
        let rows = vec![vec![3.0, 0.0], vec![0.0, 0.1]];
        let gram = Gram::of_rows(&rows);
        let mut balancer = Config::default().build(&tasks).unwrap();
        for step in 0..5000 {
            let signals = Signals::new(&tasks, &[0, 1], &[1.0, 0.5]).with_gram(&gram).with_gradients(&rows).at(step, 0);
            balancer.aggregate(&signals, &mut Seed::new(0).stream("b", &[])).unwrap();
        }
        let lambda = ["task/a", "task/b"].map(|key| balancer.state()[key][1]);
        assert!((lambda[0] - 0.2).abs() < 0.01 && (lambda[1] - 0.8).abs() < 0.01, "{lambda:?}");
    }
}
