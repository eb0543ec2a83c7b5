//! Weights that are not negative and sum to 1.

use super::{cholesky_solve, dot, product, towards};
use crate::Gram;

/// A row counts as improving if it does by more than this, relative to what it is compared with.
const TOLERANCE: f64 = 1e-13;

/// The shortest convex combination of gradients, `argmin w^T G w`: Wolfe's method of the nearest point in a polytope
/// (Mathematical Programming 11, 1976). Each round solves one small linear system; the set of rows in use is never the same
/// twice, so it ends, at the exact point.
pub(crate) fn shortest(gram: &Gram) -> Vec<f64> {
    let m = gram.size();
    let mut weights = vec![0.0; m];
    let Some(first) = (0..m).min_by(|&i, &j| gram.at(i, i).total_cmp(&gram.at(j, j))) else {
        return weights;
    };
    weights[first] = 1.0;
    let mut used = vec![first];
    // Rounding could make the sets go round in circles; three times as many rounds as were ever needed.
    for _ in 0..12 * m + 24 {
        let along = product(gram, &weights);
        let here = dot(&along, &weights);
        let Some(next) = (0..m).filter(|j| !used.contains(j)).min_by(|&i, &j| along[i].total_cmp(&along[j])) else {
            break;
        };
        // By how much its angle to the point found must exceed what rounding does to both.
        if here - along[next] <= TOLERANCE * (here + (gram.at(next, next) * here).sqrt()) {
            break;
        }
        used.push(next);
        while let Some(best) = nearest_on_plane(gram, &used) {
            if towards(&mut weights, &mut used, &best, 1e-15) {
                break;
            }
        }
        used.retain(|&i| weights[i] > 0.0);
    }
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= sum);
    weights
}

/// The point of the plane through some rows that is nearest to zero, as weights that sum to 1; `None` if rounding cannot tell
/// the rows apart.
fn nearest_on_plane(gram: &Gram, used: &[usize]) -> Option<Vec<f64>> {
    // `(G + s 11^T) x = 1` has the solution of the problem with the constraint, up to its length; `s` as small as the smallest
    // row, or that one would be lost.
    let shift = used.iter().map(|&i| gram.at(i, i)).fold(f64::INFINITY, f64::min).max(f64::MIN_POSITIVE);
    let matrix = Gram::from_fn(used.len(), |i, j| gram.at(used[i], used[j]) + shift);
    let x = cholesky_solve(&matrix, &vec![1.0; used.len()])?;
    let sum: f64 = x.iter().sum();
    (sum > 0.0).then(|| x.iter().map(|x| x / sum).collect())
}

/// The point of the simplex nearest to `point`: the largest entries, all lowered by as much (Held, Wolfe and Crowder 1974).
pub(crate) fn onto_simplex(point: &[f64]) -> Vec<f64> {
    // The largest becomes 0 first, or numbers beyond 1e16 would leave nothing of the 1 they are to sum to.
    let most = point.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let point: Vec<f64> = point.iter().map(|value| value - most).collect();
    let mut sorted = point.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let (mut sum, mut lowered) = (0.0, 0.0);
    for (count, value) in sorted.iter().enumerate() {
        sum += value;
        let level = (sum - 1.0) / (count + 1) as f64;
        if *value > level {
            lowered = level;
        }
    }
    point.iter().map(|value| (value - lowered).max(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_onto_the_simplex() {
        assert_eq!(onto_simplex(&[0.2, 0.3, 0.5]), [0.2, 0.3, 0.5]);
        assert_eq!(onto_simplex(&[5.0, 1.0, -3.0]), [1.0, 0.0, 0.0]);
        assert_eq!(onto_simplex(&[1e300, 1e300]), [0.5, 0.5]);
        let found = onto_simplex(&[0.9, 0.7, 0.1]);
        assert!(found.iter().zip([0.6, 0.4, 0.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    }
}
