//! The shortest common descent direction of gradients averaged over steps, approached step by step.
//!
//! MoCo (Fernando et al. 2023, algorithm 1): `y_i <- y_i - b_k (y_i - l_i g_i / |g_i|)` follows each task's gradient, brought to the length
//! of its loss, without its noise; `lambda <- P(lambda - c_k (Y Y^T + rho I) lambda)`, `P` the projection onto the simplex, follows the
//! weights of MGDA; the update is `Y^T lambda`. `b_k = beta / k^0.5` and `c_k = gamma / k^0.5` in step `k`, from 1, as in the authors' code.
//! That code has a softmax for `P` (`softmax = true`), whose weights come to rest near equal shares, not near MGDA's.
//!
//! Remembers a gradient a task: `tasks x parameters` numbers, in the checkpoint too. A task's steps are counted from its own first.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::coordinates::{Coordinates, OfGradients, mixed};
use crate::memory::{self, Memory};
use crate::rows::Rows;
use crate::scalar::softmax;
use crate::solve::onto_simplex;
use crate::{Combination, Error, Gram, State};

/// Settings of MoCo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How fast the averages follow: above 0, at most 1. 0.5, the authors'.
    pub beta: f64,
    /// How fast the weights follow. 0.1, the authors'.
    pub gamma: f64,
    /// Pull towards equal weights. 0, the authors'.
    pub rho: f64,
    /// A softmax in place of the projection, as in the authors' code. false.
    pub softmax: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { beta: 0.5, gamma: 0.1, rho: 0.0, softmax: false }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// Settings outside their range.
    pub fn build(&self, tasks: &[String]) -> Result<Coordinates<MoCo>, Error> {
        let rule = "the averages must follow by a share above 0 and at most 1";
        Error::unless(self.beta > 0.0 && self.beta <= 1.0, "balancer.moco.beta", self.beta, rule)?;
        for (key, value) in [("balancer.moco.gamma", self.gamma), ("balancer.moco.rho", self.rho)] {
            Error::unless(value.is_finite() && value >= 0.0, key, value, "a number of at least 0")?;
        }
        Ok(Coordinates::new(tasks, MoCo { settings: self.clone(), learnt: vec![Learnt::default(); tasks.len()] }))
    }
}

/// What is known of a task.
#[derive(Clone, Debug, Default)]
struct Learnt {
    /// Steps it took part in.
    steps: f64,
    /// Its weight, at first an equal share.
    lambda: f64,
    average: Vec<f64>,
}

impl Memory for Learnt {
    fn row(&self) -> Vec<f64> {
        [&[self.steps, self.lambda], self.average.as_slice()].concat()
    }

    fn of(row: &[f64]) -> Option<Self> {
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
    learnt: Vec<Learnt>,
}

impl OfGradients for MoCo {
    fn name(&self) -> &'static str {
        "moco"
    }

    fn needs_positive_losses(&self) -> bool {
        true
    }

    fn solve(&mut self, rows: &Rows, gradients: &[&[f32]], _stream: &mut Stream) -> Combination {
        let Config { beta, gamma, rho, softmax: soft } = self.settings;
        let m = rows.tasks.len();
        let mut shares = Vec::with_capacity(m);
        for ((&task, row), loss) in rows.tasks.iter().zip(gradients).zip(&rows.losses) {
            let learnt = &mut self.learnt[task];
            learnt.steps += 1.0;
            learnt.average.resize(row.len(), 0.0);
            let length = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            // Bounded so that the square of the average stays finite.
            let (follow, scale) = (beta / learnt.steps.sqrt(), loss.min(1e100) / length);
            learnt.average.iter_mut().zip(*row).for_each(|(y, &g)| *y -= follow * (*y - scale * f64::from(g)));
            shares.push(follow * scale);
            if learnt.steps == 1.0 {
                learnt.lambda = 1.0 / m as f64;
            }
        }
        let averages: Vec<&[f64]> = rows.tasks.iter().map(|&task| self.learnt[task].average.as_slice()).collect();
        let dot = |i: usize, j: usize| averages[i].iter().zip(averages[j]).map(|(a, b)| a * b).sum();
        let gram = Gram::from_fn(m, dot);
        let lambda: Vec<f64> = rows.tasks.iter().map(|&task| self.learnt[task].lambda).collect();
        let moved: Vec<f64> = (0..m)
            .map(|i| {
                let along: f64 = gram.row(i).iter().zip(&lambda).map(|(g, l)| g * l).sum();
                // Bounded so that a loss out of all proportion leaves a softmax of numbers.
                let slope = (along + rho * lambda[i]).clamp(-1e100, 1e100);
                lambda[i] - gamma / self.learnt[rows.tasks[i]].steps.sqrt() * slope
            })
            .collect();
        let lambda = if soft { softmax(&moved) } else { onto_simplex(&moved) };
        let vector = Some(mixed(&averages, &lambda));
        for (&task, &lambda) in rows.tasks.iter().zip(&lambda) {
            self.learnt[task].lambda = lambda;
        }
        // What a gradient of this step weighs in the update.
        let weights = lambda.iter().zip(&shares).map(|(lambda, share)| lambda * share).collect();
        Combination { weights, vector }
    }

    fn state(&self, tasks: &[String]) -> State {
        memory::write(tasks, &self.learnt)
    }

    fn restore(&mut self, tasks: &[String], state: &State) -> Result<(), Error> {
        self.learnt = memory::read_with_gradients("moco", tasks, 2, state)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;

    use super::*;
    use crate::{Balancer, Signals};

    /// Orthogonal gradients brought to the lengths of their losses, 1 and 1/2: the shortest combination has the weights 1/5 and 4/5.
    #[test]
    fn the_weights_come_to_those_of_the_shortest_combination() {
        let tasks = ["a".to_owned(), "b".to_owned()];
        let rows = vec![vec![3.0, 0.0], vec![0.0, 0.1]];
        let gram = Gram::of_rows(&rows);
        let mut balancer = Config::default().build(&tasks).unwrap();
        for step in 0..5000 {
            let signals = Signals::new(&tasks, &[0, 1], &[1.0, 0.5]).with_gram(&gram).with_gradients(&rows).at(step, 0);
            balancer.combine(&signals, &mut Seed::new(0).stream("b", &[])).unwrap();
        }
        let lambda = ["task/a", "task/b"].map(|key| balancer.state()[key][1]);
        assert!((lambda[0] - 0.2).abs() < 0.01 && (lambda[1] - 0.8).abs() < 0.01, "{lambda:?}");
    }
}
