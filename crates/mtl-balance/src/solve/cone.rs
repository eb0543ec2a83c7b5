//! Projection onto the cone of updates that work against no task.

use super::{Unit, cholesky_solve, dot, towards};
use crate::Gram;

/// A conflict below this cosine is rounding.
const TOLERANCE: f64 = 1e-14;

/// `argmin w^T G w` over `w >= u`: the combination nearest to that of `u` whose inner product with no gradient is negative
/// (the dual cone: Lopez-Paz and Ranzato 2017, eq. 11). Non-negative least squares by active set (Lawson and Hanson 1974), on
/// unit gradients: exact, however far apart the lengths are. Rows of length zero keep `u`.
pub(crate) fn project(gram: &Gram, u: &[f64]) -> Vec<f64> {
    nearest(gram, u, &vec![0.0; gram.size()]).0
}

/// The same where the inner product with unit gradient `i` must be `least[i]` at least; `None` where no combination meets all.
pub(crate) fn project_beyond(gram: &Gram, u: &[f64], least: &[f64]) -> Option<Vec<f64>> {
    let (weights, missed) = nearest(gram, u, least);
    (missed <= 1e-9).then_some(weights)
}

/// The combination, and by how much it misses what is asked for, relative to its start.
fn nearest(gram: &Gram, u: &[f64], least: &[f64]) -> (Vec<f64>, f64) {
    let there: Vec<usize> = (0..gram.size()).filter(|&i| gram.at(i, i) > 0.0).collect();
    let unit = Unit::of(&Gram::from_fn(there.len(), |i, j| gram.at(there[i], there[j])));
    let c = &unit.cosines;
    let start: Vec<f64> = there.iter().zip(&unit.lengths).map(|(&i, length)| u[i] * length).collect();
    let scale = start.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    // By how much each inner product exceeds what is asked for.
    let along_start: Vec<f64> = (0..c.size()).map(|i| dot(c.row(i), &start) - least[there[i]]).collect();
    let mut added = vec![0.0; c.size()];
    let mut used: Vec<usize> = Vec::new();
    let beyond = |i: usize, added: &[f64]| along_start[i] + dot(c.row(i), added);
    for _ in 0..8 * c.size() + 16 {
        let along = |i: usize| beyond(i, &added);
        let worst = (0..c.size()).filter(|i| !used.contains(i)).min_by(|&i, &j| along(i).total_cmp(&along(j)));
        let Some(next) = worst.filter(|&next| along(next) < -TOLERANCE * scale) else { break };
        used.push(next);
        while !used.is_empty() {
            let matrix = Gram::from_fn(used.len(), |i, j| c.at(used[i], used[j]));
            let wanted: Vec<f64> = used.iter().map(|&i| -along_start[i]).collect();
            let Some(best) = cholesky_solve(&matrix, &wanted) else {
                // Not to be told from the others: what they leave of it is rounding.
                used.pop();
                break;
            };
            if towards(&mut added, &mut used, &best, 1e-15 * scale) {
                break;
            }
        }
    }
    let mut weights = u.to_vec();
    for ((&i, x), length) in there.iter().zip(&added).zip(&unit.lengths) {
        weights[i] += x / length;
    }
    let missed = (0..c.size()).map(|i| -beyond(i, &added) / scale).fold(0.0, f64::max);
    (weights, missed)
}
