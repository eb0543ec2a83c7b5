//! More weight to tasks that are far from the best they can do.
//!
//! ExcessMTL (He et al. 2024, eq. 6, 7 and 9): how far a loss is above its least is estimated as `e_i = sum g_i^2 / sqrt(S_i + 1e-7)`, `S_i` the
//! sum of the squares of all its gradients so far, divided by its first such value; `w_i <- w_i exp(eta e_i)`, renormalised. A loss that
//! is large because of noisy labels has no gradient to show for it, and is not favoured.
//!
//! The weights sum to the number of tasks, as in the authors' code, so that the first step is the plain sum.
//!
//! The weights act on the shared parameters alone; the authors' code weighs whole losses, and so its heads too.
//!
//! Remembers a number a parameter and task, in the checkpoint too.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::coordinates::{Coordinates, OfGradients};
use crate::memory::{self, Memory};
use crate::rows::Rows;
use crate::scalar::softmax;
use crate::{Combination, Error, State};

/// Settings of ExcessMTL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `eta`, how fast weights move: above 0. 0.01, as in the authors' code for NYUv2.
    pub rate: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { rate: 0.01 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// A rate outside its range.
    pub fn build(&self, tasks: &[String]) -> Result<Coordinates<ExcessMtl>, Error> {
        let holds = self.rate.is_finite() && self.rate > 0.0;
        Error::unless(holds, "balancer.excess_mtl.rate", self.rate, "the rate must be a positive number")?;
        Ok(Coordinates::new(tasks, ExcessMtl { rate: self.rate, learnt: vec![Learnt::default(); tasks.len()] }))
    }
}

/// What is known of a task.
#[derive(Clone, Debug, Default)]
struct Learnt {
    /// Its first excess; 0 before there was one.
    first: f64,
    /// Logarithm of its weight, up to what all have in common.
    log_weight: f64,
    squares: Vec<f64>,
}

impl Memory for Learnt {
    fn row(&self) -> Vec<f64> {
        [&[self.first, self.log_weight], self.squares.as_slice()].concat()
    }

    fn of(row: &[f64]) -> Option<Self> {
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
    learnt: Vec<Learnt>,
}

impl OfGradients for ExcessMtl {
    fn name(&self) -> &'static str {
        "excess_mtl"
    }

    fn makes_update(&self) -> bool {
        false
    }

    fn reads_progress(&self) -> bool {
        true
    }

    fn solve(&mut self, rows: &Rows, gradients: &[&[f32]], _stream: &mut Stream) -> Combination {
        for (&task, row) in rows.tasks.iter().zip(gradients) {
            let learnt = &mut self.learnt[task];
            learnt.squares.resize(row.len(), 0.0);
            let mut excess = 0.0;
            for (sum, &g) in learnt.squares.iter_mut().zip(*row) {
                let square = f64::from(g).powi(2);
                *sum += square;
                excess += square / (*sum + 1e-7).sqrt();
            }
            if learnt.first == 0.0 {
                // It is its own measure; gradients too short to be squared count as such.
                learnt.first = excess.max(f64::MIN_POSITIVE);
            } else {
                // Bounded: a first gradient of next to nothing would make one task everything for good.
                learnt.log_weight += self.rate * (excess / learnt.first).min(1e6);
            }
        }
        let shares = softmax(&rows.tasks.iter().map(|&task| self.learnt[task].log_weight).collect::<Vec<_>>());
        shares.iter().map(|share| share * rows.tasks.len() as f64).collect::<Vec<_>>().into()
    }

    fn state(&self, tasks: &[String]) -> State {
        memory::write(tasks, &self.learnt)
    }

    fn restore(&mut self, tasks: &[String], state: &State) -> Result<(), Error> {
        self.learnt = memory::read_with_gradients("excess_mtl", tasks, 2, state)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;

    use super::*;
    use crate::{Balancer, Gram, Signals};

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
