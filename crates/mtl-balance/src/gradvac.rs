//! Gradients turned towards the angles they usually have.
//!
//! GradVac (Wang et al. 2021, algorithm 1): as PCGrad, but the wanted cosine of each pair is not 0 but the running mean of the
//! cosines seen, so pairs that usually agree are brought back together when they do not. The update is the sum.
//!
//! Gradients that cancel on the way have no angle, and are left as they are.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::gramian::{Gramian, OfGram};
use crate::memory;
use crate::rows::Rows;
use crate::solve::{dot, is_cancelled, square_length};
use crate::{Error, Gram, Route, State};

/// Settings of GradVac.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where gradients are compared.
    pub route: Route,
    /// Share of a new cosine in the running mean, above 0 and at most 1. 0.5, as in LibMTL; the paper has 0.01.
    pub beta: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { route: Route::default(), beta: 0.5 }
    }
}

impl Config {
    /// The balancer for a run with these tasks.
    ///
    /// # Errors
    /// A share outside its range.
    pub fn build(&self, tasks: &[String]) -> Result<Gramian<GradVac>, Error> {
        let rule = "the share of a new cosine must be above 0 and at most 1";
        Error::unless(self.beta > 0.0 && self.beta <= 1.0, "balancer.gradvac.beta", self.beta, rule)?;
        let wanted = vec![vec![0.0; tasks.len()]; tasks.len()];
        Ok(Gramian::new(tasks, self.route, GradVac { beta: self.beta, wanted }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct GradVac {
    beta: f64,
    /// Mean cosine of a task with each of the run's tasks.
    wanted: Vec<Vec<f64>>,
}

impl OfGram for GradVac {
    fn name(&self) -> &'static str {
        "gradvac"
    }

    fn solve(&mut self, rows: &Rows, stream: &mut Stream) -> Vec<f64> {
        let m = rows.gram.size();
        turn(&rows.gram, self.beta, (&mut self.wanted, &rows.tasks), || stream.permutation(m))
    }

    fn state(&self, tasks: &[String]) -> State {
        memory::write(tasks, &self.wanted)
    }

    fn restore(&mut self, tasks: &[String], state: &State) -> Result<(), Error> {
        let cosines = |row: &Vec<f64>| row.len() == tasks.len() && row.iter().all(|c| c.abs() <= 1.0);
        self.wanted = memory::read("gradvac", tasks, &[], state, cosines)?;
        Ok(())
    }
}

/// No gradient is turned closer to another than this cosine: towards 1 the share of the other grows without bound, and after
/// some steps of equal gradients it would be all there is.
const STRAIGHT: f64 = 0.99;

/// The weights for a Gram matrix; `wanted` has the mean cosines of all pairs of the run's tasks, `tasks` says which of those the rows are, and
/// `order` is asked once for each of them, in which order the others are looked at (the row itself may be among them and is
/// skipped).
pub fn turn(
    gram: &Gram,
    beta: f64,
    (wanted, tasks): (&mut [Vec<f64>], &[usize]),
    mut order: impl FnMut() -> Vec<usize>,
) -> Vec<f64> {
    let mut weights = vec![0.0; gram.size()];
    for i in 0..gram.size() {
        let mut turned = vec![0.0; gram.size()];
        turned[i] = 1.0;
        for j in order().into_iter().filter(|&j| j != i) {
            if is_cancelled(gram, &turned) {
                continue;
            }
            let (length, other) = (square_length(gram, &turned).sqrt(), gram.at(j, j).sqrt());
            let cosine = (dot(gram.row(j), &turned) / length / other).clamp(-1.0, 1.0);
            let wanted = &mut wanted[tasks[i]][tasks[j]];
            let sine = |cosine: f64| (1.0 - cosine * cosine).max(0.0).sqrt();
            let aim = wanted.min(STRAIGHT);
            if cosine < aim {
                let more = aim * sine(cosine) - cosine * sine(aim);
                turned[j] += length * more / (other * sine(aim));
            }
            *wanted = (1.0 - beta) * *wanted + beta * cosine;
        }
        weights.iter_mut().zip(turned).for_each(|(sum, w)| *sum += w);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_gradients_for_long_then_a_conflict() {
        let mut wanted = vec![vec![0.0; 2]; 2];
        let mut ask = |cosine: f64| {
            let gram = Gram::new(2, vec![1.0, cosine, cosine, 1.0]).unwrap();
            turn(&gram, 0.5, (&mut wanted, &[0, 1]), || vec![0, 1])
        };
        for _ in 0..60 {
            assert_eq!(ask(1.0), [1.0, 1.0]);
        }
        let weights = ask(-0.5);
        assert!(weights.iter().all(|w| *w > 1.0 && *w < 10.0), "{weights:?}");
    }
}
