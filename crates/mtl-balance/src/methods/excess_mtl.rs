//! ExcessMTL: task weights from estimated excess risks (He et al. 2024, ICML, eq. 6, 7 and 9).
//!
//! The excess of a loss over its minimum is estimated as `e_i = sum g_i^2 / sqrt(S_i + 1e-7)`, where `S_i` is the
//! sum of squares of all gradients so far, divided by the first such value; `w_i <- w_i exp(eta e_i)`, normalised. A loss that
//! is large because of noisy labels has small gradients and gains no weight.
//!
//! Weights sum to the number of tasks, as in the authors' code, so that the first step is the plain sum. They act on the shared
//! parameters only; the authors' code weights whole losses, hence the heads too.
//!
//! State: one number per parameter and task, also in the checkpoint.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::rows::Rows;
use crate::rules::{GradientRule, Ruled};
use crate::solve::softmax;
use crate::task_state::{self, TaskState};
use crate::{Aggregation, Balancer, Error, Method, Requirements, State};

/// Settings of ExcessMTL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `eta`, the learning rate of the weights: above 0. Default: 0.01, as in the authors' code for NYUv2.
    pub rate: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { rate: 0.01 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let holds = self.rate.is_finite() && self.rate > 0.0;
        Error::ensure(holds, "balancer.excess_mtl.rate", self.rate, "the rate must be a positive number")?;
        Ok(Ruled::gradients(tasks, ExcessMtl { rate: self.rate, states: vec![History::default(); tasks.len()] }))
    }
}

/// State of one task.
#[derive(Clone, Debug, Default)]
struct History {
    /// Its first excess; 0 before its first step.
    first: f64,
    /// Logarithm of its weight, up to a constant common to all tasks.
    log_weight: f64,
    /// Sum of squares of its gradients, per parameter.
    squares: Vec<f64>,
}

impl TaskState for History {
    fn to_row(&self) -> Vec<f64> {
        [&[self.first, self.log_weight], self.squares.as_slice()].concat()
    }

    fn from_row(row: &[f64]) -> Option<Self> {
        match *row {
            [first, log_weight, ref squares @ ..]
                if first >= 0.0 && log_weight >= 0.0 && squares.iter().all(|v| *v >= 0.0) =>
            {
                Some(Self { first, log_weight, squares: squares.to_vec() })
            }
            _ => None,
        }
    }
}

/// The rule.
#[derive(Debug)]
pub struct ExcessMtl {
    rate: f64,
    states: Vec<History>,
}

impl GradientRule for ExcessMtl {
    fn name(&self) -> &'static str {
        "excess_mtl"
    }

    fn requirements(&self) -> Requirements {
        Requirements { uses_loss_ratios: true, ..Requirements::default() }
    }

    fn solve(&mut self, rows: &Rows, gradients: &[&[f32]], _stream: &mut Stream) -> Result<Aggregation, Error> {
        task_state::check_length("excess_mtl", self.states.iter().map(|state| &state.squares), gradients[0].len())?;
        for (&task, row) in rows.tasks.iter().zip(gradients) {
            let state = &mut self.states[task];
            state.squares.resize(row.len(), 0.0);
            let mut excess = 0.0;
            for (sum, &g) in state.squares.iter_mut().zip(*row) {
                let square = f64::from(g).powi(2);
                *sum += square;
                excess += square / (*sum + 1e-7).sqrt();
            }
            if state.first == 0.0 {
                // Not 0, even if the squares underflow.
                state.first = excess.max(f64::MIN_POSITIVE);
            } else {
                // Bounded: after a first gradient near 0 one task would have all the weight forever.
                state.log_weight += self.rate * (excess / state.first).min(1e6);
            }
        }
        let shares = softmax(&rows.tasks.iter().map(|&task| self.states[task].log_weight).collect::<Vec<_>>());
        Ok(shares.iter().map(|share| share * rows.tasks.len() as f64).collect::<Vec<_>>().into())
    }

    fn state(&self, tasks: &[String]) -> State {
        task_state::write(tasks, &self.states)
    }

    fn restore(&mut self, tasks: &[String], state: &State) -> Result<(), Error> {
        self.states = task_state::read_with_gradients("excess_mtl", tasks, 2, state)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;

    use super::*;
    use crate::{Gram, Signals};

    /// LibMTL's rule (its `ExcessMTL.backward`) on the same steps.
    #[test]
    fn steps_equal_libmtl() {
        let tasks: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let rows: [[f32; 4]; 3] = [[1.0, -2.0, 0.5, 0.3], [-1.5, 0.7, 1.1, -0.2], [0.4, 0.9, -1.8, 0.6]];
        let scales = [[1.0; 3], [0.5, 1.0, 2.0], [0.25, 1.0, 1.0], [0.1, 3.0, 0.5]];
        let expected = [
            [1.0, 1.0, 1.0],
            [0.9931728220066823, 0.9979864403435547, 1.008840737649763],
            [0.9902661864456705, 1.0002815014109614, 1.009452312143368],
            [0.9813809450793918, 1.0173103119285984, 1.0013087429920098],
        ];
        let mut balancer = Config::default().build(&tasks).unwrap();
        for (call, (scales, expected)) in scales.iter().zip(expected).enumerate() {
            let scaled: Vec<Vec<f32>> =
                rows.iter().zip(scales).map(|(row, scale)| row.iter().map(|v| v * scale).collect()).collect();
            let gram = Gram::of_rows(&scaled);
            let signals = Signals::new(&tasks, &[0, 1, 2], &[1.0; 3]).with_gram(&gram).with_gradients(&scaled);
            let found = balancer.weights(&signals, &mut Seed::new(0).stream("b", &[])).unwrap();
            assert!(
                found.iter().zip(expected).all(|(a, b): (&f64, f64)| (a - b).abs() < 1e-6),
                "call {call}: {found:?}"
            );
        }
    }
}
