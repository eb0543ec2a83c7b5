//! The simplex: non-negative weights that sum to 1.

use super::active_set::towards;
use super::linear::cholesky_solve;
use super::quadratic::{dot, product};
use crate::Gram;

/// Relative tolerance of an improvement.
const TOLERANCE: f64 = 1e-13;

/// The minimum-norm point of the convex hull of the gradients, `argmin w^T G w` over the simplex: Wolfe's method
/// (Mathematical Programming 11, 1976). Each iteration solves one small linear system. No active set repeats, so the method ends, at
/// the exact point.
pub(crate) fn shortest(gram: &Gram) -> Vec<f64> {
    let m = gram.size();
    let mut weights = vec![0.0; m];
    let Some(first) = (0..m).min_by(|&i, &j| gram.at(i, i).total_cmp(&gram.at(j, j))) else {
        return weights;
    };
    weights[first] = 1.0;
    let mut active = vec![first];
    // Bounded, because rounding could repeat a set: three times the largest number of iterations observed.
    for _ in 0..12 * m + 24 {
        let along = product(gram, &weights);
        let here = dot(&along, &weights);
        let Some(next) = (0..m).filter(|j| !active.contains(j)).min_by(|&i, &j| along[i].total_cmp(&along[j])) else {
            break;
        };
        // The improvement must exceed the rounding error of both products.
        if here - along[next] <= TOLERANCE * (here + (gram.at(next, next) * here).sqrt()) {
            break;
        }
        active.push(next);
        while let Some(best) = nearest_on_plane(gram, &active) {
            if towards(&mut weights, &mut active, &best, 1e-15) {
                break;
            }
        }
        active.retain(|&i| weights[i] > 0.0);
    }
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= sum);
    weights
}

/// The point nearest to zero on the plane through these rows, as weights that sum to 1; `None` for dependent rows.
fn nearest_on_plane(gram: &Gram, active: &[usize]) -> Option<Vec<f64>> {
    // `(G + s 11^T) x = 1` solves the constrained problem up to a factor; `s` is as small as the smallest row, which would be lost
    // to rounding otherwise.
    let shift = active.iter().map(|&i| gram.at(i, i)).fold(f64::INFINITY, f64::min).max(f64::MIN_POSITIVE);
    let matrix = Gram::from_fn(active.len(), |i, j| gram.at(active[i], active[j]) + shift);
    let x = cholesky_solve(&matrix, &vec![1.0; active.len()])?;
    let sum: f64 = x.iter().sum();
    (sum > 0.0).then(|| x.iter().map(|x| x / sum).collect())
}

/// Projection of `point` onto the simplex: the largest entries, all lowered by the same number (Held, Wolfe and Crowder 1974).
pub(crate) fn onto_simplex(point: &[f64]) -> Vec<f64> {
    // The largest is subtracted first: a sum of 1 is below the resolution of numbers beyond 1e16.
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

/// `e^x` of each, divided by their sum. The largest `x` is subtracted first, so that nothing overflows.
pub(crate) fn softmax(values: &[f64]) -> Vec<f64> {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = values.iter().map(|value| (value - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
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
