//! IMTL-G: an update with equal projections onto all task gradients (Liu et al. 2021, ICLR, eq. 5).
//!
//! `v . g_i / |g_i|` is the same for every task, and the weights sum to 1: with `d_i = |g_i|`, `w = G^+ d / sum(G^+ d)`.
//!
//! Deviations from the paper:
//! - The paper's inverse does not exist for dependent gradients; this is the pseudo-inverse `G^+`.
//! - Weights can be negative, and so can their sum. Division by a negative sum reverses the update, so that every loss rises. Here the
//!   weights are divided by the absolute value of the sum.
//! - For more tasks than independent directions no update has equal projections in general. `G^+ d` is then the least-squares
//!   solution. It is used if it has a positive projection onto every gradient. Otherwise the least-squares solution for gradients of
//!   length 1 is used under the same condition. Otherwise (gradients that point against each other) the weights are 0.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};
use tracing::debug;

use crate::rows::Rows;
use crate::rules::{GramRule, Ruled};
use crate::solve::{Angles, Eigen, Unit, product};
use crate::{Balancer, Error, GradientsWrt, Method};

/// Settings of IMTL-G.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Variables of the compared gradients. Default: shared parameters; the paper uses the representation.
    pub gradients_wrt: GradientsWrt,
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        Ok(Ruled::gram(tasks, self.gradients_wrt, ImtlG))
    }
}

/// The rule.
#[derive(Debug)]
pub struct ImtlG;

impl GramRule for ImtlG {
    fn name(&self) -> &'static str {
        "imtl_g"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let unit = Unit::of(&rows.gram);
        let Angles { x, only, missed } = Angles::of(&unit.cosines, &vec![1.0; rows.tasks.len()]);
        let projections = |w: &[f64]| -> Vec<f64> {
            product(&rows.gram, w).iter().zip(&unit.lengths).map(|(along, length)| along / length).collect()
        };
        // Loses gradients that are too short compared with the longest; the solution for unit gradients does not.
        let of_lengths = || Eigen::of(&rows.gram).pseudo_solve(&unit.lengths);
        let of_units = || unit.back(&x);
        let found = if missed > 1e-6 {
            let improves_all = |w: &Vec<f64>| projections(w).iter().all(|projection| *projection > 1e-6);
            [of_lengths(), of_units()].into_iter().find(improves_all)
        } else if only {
            Some(of_units())
        } else {
            // Of the many solutions for dependent gradients the shortest.
            let equal = |w: &Vec<f64>| projections(w).iter().all(|projection| (projection - 1.0).abs() <= 1e-6);
            Some(of_lengths()).filter(equal).or_else(|| Some(of_units()))
        };
        if missed > 1e-6 {
            debug!(method = "imtl_g", residual = missed, solved = found.is_some(), "no update has equal projections");
        }
        let w = found.unwrap_or_else(|| vec![0.0; rows.tasks.len()]);
        let (sum, size) = (w.iter().sum::<f64>(), w.iter().map(|w| w.abs()).sum::<f64>());
        if sum.abs() <= 1e-12 * size { vec![0.0; w.len()] } else { w.iter().map(|w| w / sum.abs()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;

    use super::*;
    use crate::aggregate;

    /// Six gradients in four dimensions. NumPy 2: `G = J @ J.T; w = pinv(G) @ norm(J, axis=1); w / abs(w.sum())`.
    #[test]
    fn more_tasks_than_directions_equal_the_pseudo_inverse_of_numpy() {
        let first = [
            [0.0, 3.0, 1.0, -3.0],
            [3.0, 2.0, 3.0, -2.0],
            [-3.0, 3.0, -3.0, 1.0],
            [-3.0, -1.0, 0.0, 0.0],
            [0.0, -3.0, -3.0, -3.0],
            [-3.0, 2.0, 1.0, 2.0],
        ];
        let second = [
            [0.0, 0.0, 2.0, 4.0],
            [-3.0, 4.0, 1.0, -1.0],
            [2.0, 1.0, -1.0, -1.0],
            [2.0, 1.0, 1.0, -1.0],
            [3.0, 0.0, -1.0, 4.0],
            [-1.0, -2.0, 2.0, 1.0],
        ];
        // The pseudo-inverse gives the third task a projection of -0.37: the solution for `U = J / norm(J)` in its place,
        // `pinv(U @ U.T) @ ones / norm(J)`, divided by the absolute value of its sum.
        let third = [
            [-1.0, -2.0, 1.0, 4.0],
            [-1.0, 4.0, 0.0, 3.0],
            [-2.0, 0.0, -1.0, -2.0],
            [4.0, 3.0, -2.0, 4.0],
            [4.0, -1.0, 0.0, 1.0],
            [2.0, 0.0, -2.0, 4.0],
        ];
        let cases = [
            (
                first,
                [
                    0.3441072918582785,
                    0.061549336428320486,
                    0.02035107733443776,
                    0.28295151464034907,
                    0.1795193459119804,
                    0.11152143382663382,
                ],
            ),
            (
                second,
                [
                    0.2391024400688647,
                    0.16612181632077402,
                    0.09235752536664159,
                    0.38579331349066665,
                    0.04335268817768656,
                    0.07327221657536655,
                ],
            ),
            (
                third,
                [
                    0.05932266880051788,
                    -0.10196088425227155,
                    0.5922227090028079,
                    0.1017939431126528,
                    -0.08571792482233732,
                    0.43433948815863027,
                ],
            ),
        ];
        for (jacobian, expected) in cases {
            let found = aggregate(&Config::default(), &jacobian).unwrap();
            let off = found.weights.iter().zip(expected).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
            assert!(off < 1e-12, "{:?}, expected {expected:?}", found.weights);
            for row in jacobian {
                assert!(
                    row.iter().zip(&found.vector).map(|(a, b)| a * b).sum::<f64>() > 0.0,
                    "{row:?} is not improved"
                );
            }
        }
    }

    /// No update conflicts with a task, and at least half of the updates are not zero (NumPy on 2,000 integer matrices of this
    /// size: 68 %).
    #[test]
    fn updates_of_dependent_gradients_improve_every_task_or_are_zero() {
        let mut improved = 0;
        for seed in 0..200 {
            let row = |i: u64| -> Vec<f64> {
                Seed::new(seed).stream("rows", &[i]).normals(4).into_iter().map(|v| f64::from(v) + 0.3).collect()
            };
            let jacobian: Vec<Vec<f64>> = (0..6).map(row).collect();
            let vector = aggregate(&Config::default(), &jacobian).unwrap().vector;
            if vector.iter().all(|v| *v == 0.0) {
                continue;
            }
            improved += 1;
            for row in &jacobian {
                assert!(row.iter().zip(&vector).map(|(a, b)| a * b).sum::<f64>() > 0.0, "{seed}: {vector:?}");
            }
        }
        assert!(improved >= 100, "{improved}");
    }
}
