//! GradVac: gradient vaccine (Wang et al. 2021, algorithm 1, arXiv 2010.05874).
//!
//! PCGrad with another target: the target cosine of each pair is the running mean of its cosines instead of 0, so that the gradients of
//! pairs that usually agree are rotated towards each other when they do not. The update is the sum of the rotated gradients.
//!
//! A gradient that cancels during the rotations has no angle and is not rotated further.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::rows::Rows;
use crate::rules::{GramRule, Ruled};
use crate::solve::{dot, is_cancelled, square_length};
use crate::task_state;
use crate::{Balancer, Error, GradientsWrt, Gram, Method, State};

/// Settings of GradVac.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Variables of the compared gradients. Default: shared parameters.
    pub gradients_wrt: GradientsWrt,
    /// Share of a new cosine in the running mean, above 0 and at most 1. Default: 0.5, as in LibMTL; 0.01 in the paper.
    pub beta: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { gradients_wrt: GradientsWrt::default(), beta: 0.5 }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "the share of a new cosine must be above 0 and at most 1";
        Error::ensure(self.beta > 0.0 && self.beta <= 1.0, "balancer.gradvac.beta", self.beta, rule)?;
        let wanted = vec![vec![0.0; tasks.len()]; tasks.len()];
        Ok(Ruled::gram(tasks, self.gradients_wrt, GradVac { beta: self.beta, wanted }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct GradVac {
    beta: f64,
    /// Mean cosine of each pair of the run's tasks.
    wanted: Vec<Vec<f64>>,
}

impl GramRule for GradVac {
    fn name(&self) -> &'static str {
        "gradvac"
    }

    fn solve(&mut self, rows: &Rows, stream: &mut Stream) -> Vec<f64> {
        let m = rows.gram.size();
        turn(&rows.gram, self.beta, &mut self.wanted, &rows.tasks, || stream.permutation(m))
    }

    fn state(&self, tasks: &[String]) -> State {
        task_state::write(tasks, &self.wanted)
    }

    fn restore(&mut self, tasks: &[String], state: &State) -> Result<(), Error> {
        let cosines = |row: &Vec<f64>| row.len() == tasks.len() && row.iter().all(|c| c.abs() <= 1.0);
        self.wanted = task_state::read("gradvac", tasks, &[], state, cosines)?;
        Ok(())
    }
}

/// Largest target cosine. Near 1 the share of the other gradient grows without bound.
const STRAIGHT: f64 = 0.99;

/// The weights for a Gram matrix. `wanted` has the mean cosines of all pairs of the run's tasks and is updated; `tasks` are the
/// indices of the rows in it. `order` gives, once per row, the order of the other rows (the row itself is skipped).
pub fn turn(
    gram: &Gram,
    beta: f64,
    wanted: &mut [Vec<f64>],
    tasks: &[usize],
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
            turn(&gram, 0.5, &mut wanted, &[0, 1], || vec![0, 1])
        };
        for _ in 0..60 {
            assert_eq!(ask(1.0), [1.0, 1.0]);
        }
        let weights = ask(-0.5);
        assert!(weights.iter().all(|w| *w > 1.0 && *w < 10.0), "{weights:?}");
    }
}
