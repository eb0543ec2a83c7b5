//! Projection onto the dual cone: updates that conflict with no task gradient.

use super::active_set::towards;
use super::angles::Unit;
use super::linear::cholesky_solve;
use super::quadratic::dot;
use crate::Gram;

/// Cosines above minus this are not conflicts but rounding.
const TOLERANCE: f64 = 1e-14;

/// `argmin w^T G w` over `w >= u`: the combination nearest to that of `u` whose inner product with no gradient is negative
/// (the dual cone: Lopez-Paz and Ranzato 2017, eq. 11). Non-negative least squares by active set (Lawson and Hanson 1974), on
/// unit gradients: exact, however far apart the lengths are. Rows of length zero keep `u`.
pub(crate) fn project(gram: &Gram, u: &[f64]) -> Vec<f64> {
    nearest(gram, u, &vec![0.0; gram.size()]).0
}

/// [`project`] where the inner product with unit gradient `i` must be at least `least[i]`; `None` where no combination satisfies all.
pub(crate) fn project_beyond(gram: &Gram, u: &[f64], least: &[f64]) -> Option<Vec<f64>> {
    let (weights, missed) = nearest(gram, u, least);
    (missed <= 1e-9).then_some(weights)
}

/// The combination, and the largest violation of a constraint relative to the start.
fn nearest(gram: &Gram, u: &[f64], least: &[f64]) -> (Vec<f64>, f64) {
    let nonzero: Vec<usize> = (0..gram.size()).filter(|&i| gram.at(i, i) > 0.0).collect();
    let unit = Unit::of(&Gram::from_fn(nonzero.len(), |i, j| gram.at(nonzero[i], nonzero[j])));
    let c = &unit.cosines;
    let start: Vec<f64> = nonzero.iter().zip(&unit.lengths).map(|(&i, length)| u[i] * length).collect();
    let scale = start.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    // Slack of each constraint at the start.
    let along_start: Vec<f64> = (0..c.size()).map(|i| dot(c.row(i), &start) - least[nonzero[i]]).collect();
    let mut added = vec![0.0; c.size()];
    let mut active: Vec<usize> = Vec::new();
    let beyond = |i: usize, added: &[f64]| along_start[i] + dot(c.row(i), added);
    for _ in 0..8 * c.size() + 16 {
        let along = |i: usize| beyond(i, &added);
        let worst = (0..c.size()).filter(|i| !active.contains(i)).min_by(|&i, &j| along(i).total_cmp(&along(j)));
        let Some(next) = worst.filter(|&next| along(next) < -TOLERANCE * scale) else { break };
        active.push(next);
        while !active.is_empty() {
            let matrix = Gram::from_fn(active.len(), |i, j| c.at(active[i], active[j]));
            let wanted: Vec<f64> = active.iter().map(|&i| -along_start[i]).collect();
            let Some(best) = cholesky_solve(&matrix, &wanted) else {
                // Dependent on the other active rows up to rounding.
                active.pop();
                break;
            };
            if towards(&mut added, &mut active, &best, 1e-15 * scale) {
                break;
            }
        }
    }
    let mut weights = u.to_vec();
    for ((&i, x), length) in nonzero.iter().zip(&added).zip(&unit.lengths) {
        weights[i] += x / length;
    }
    let missed = (0..c.size()).map(|i| -beyond(i, &added) / scale).fold(0.0, f64::max);
    (weights, missed)
}
