//! CAGrad: conflict-averse gradient descent (Liu et al. 2021, eq. 4, arXiv 2110.14048).
//!
//! The update `v` is at most `c |g0|` away from the mean gradient `g0` and maximises the smallest `g_i . v` within that distance. By the
//! dual problem, `w = argmin w^T G u + c |g0| sqrt(w^T G w)` over the simplex with `u = 1/m`, and `v = g0 + c |g0| g_w / |g_w|`. `c = 0`
//! is the mean; for `c >= 1` the method converges to a Pareto-stationary point, which need not be a stationary point of the mean.
//!
//! Solved exactly: at the minimum `t = |g_w|`, and for a given `t` the problem is the minimum-norm point of the rows
//! `g_i + (t / (c |g0|)) g0`. The remaining unknown `t` is a root, found to machine precision. Where no direction improves all tasks
//! (`|g_w| = 0`), the update is `g_w`: zero.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::rows::Rows;
use crate::rules::{GramRule, Ruled};
use crate::solve::{cholesky_solve, dot, is_cancelled, product, shortest, square_length};
use crate::{Balancer, Error, GradientsWrt, Gram, Method};

/// Settings of CAGrad.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Variables of the compared gradients. Default: shared parameters.
    pub gradients_wrt: GradientsWrt,
    /// Maximum distance from the mean gradient, relative to its length: 0 or more. Default: 0.5, as in the authors' code.
    pub c: f64,
    /// Divide the update by `1 + c^2`, which restores about the mean gradient's length. Default: true, as in the authors' code.
    pub rescale: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { gradients_wrt: GradientsWrt::default(), c: 0.5, rescale: true }
    }
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        let rule = "the distance from the mean gradient must be a number of at least 0";
        Error::ensure(self.c.is_finite() && self.c >= 0.0, "balancer.cagrad.c", self.c, rule)?;
        Ok(Ruled::gram(tasks, self.gradients_wrt, Cagrad { c: self.c, rescale: self.rescale }))
    }
}

/// The rule.
#[derive(Debug)]
pub struct Cagrad {
    c: f64,
    rescale: bool,
}

impl GramRule for Cagrad {
    fn name(&self) -> &'static str {
        "cagrad"
    }

    fn solve(&mut self, rows: &Rows, _stream: &mut Stream) -> Vec<f64> {
        let gram = &rows.gram;
        let mean = vec![1.0 / gram.size() as f64; gram.size()];
        let reach = self.c * square_length(gram, &mean).sqrt();
        if reach == 0.0 {
            return mean;
        }
        let least = shortest(gram);
        if is_cancelled(gram, &least) {
            return least;
        }
        let longest = (0..gram.size()).map(|i| gram.at(i, i)).fold(0.0, f64::max).sqrt();
        let w = maximise_smallest(gram, &mean, reach, [square_length(gram, &least).sqrt(), longest]);
        if is_cancelled(gram, &w) {
            return least;
        }
        let length = square_length(gram, &w).sqrt();
        let scale = if self.rescale { 1.0 / (1.0 + self.c * self.c) } else { 1.0 };
        mean.iter().zip(&w).map(|(mean, w)| scale * (mean + reach / length * w)).collect()
    }
}

/// `argmin w^T G u + reach sqrt(w^T G w)` over the simplex: the root of `|g_w(t)| - t`, which is positive below the root and
/// negative above it.
fn maximise_smallest(gram: &Gram, u: &[f64], reach: f64, bracket: [f64; 2]) -> Vec<f64> {
    let [mut low, mut high] = bracket;
    let along = product(gram, u);
    let square = dot(&along, u);
    let mut t = low;
    let mut w = Vec::new();
    for _ in 0..200 {
        let k = t / reach;
        w = shortest(&Gram::from_fn(gram.size(), |i, j| gram.at(i, j) + k * (along[i] + along[j]) + k * k * square));
        let left = square_length(gram, &w).sqrt() - t;
        if left.abs() <= 1e-14 * t || high - low <= 1e-15 * high {
            break;
        }
        if left > 0.0 {
            low = t
        } else {
            high = t
        }
        // Exact if the active rows are those of the optimum.
        let active: Vec<usize> = (0..w.len()).filter(|&i| w[i] > 0.0).collect();
        let inside = |t: &f64| low < *t && *t < high;
        t = length_of_best(gram, &along, reach, &active).filter(inside).unwrap_or(0.5 * (low + high));
    }
    w
}

/// `|g_w|` at the optimum if these rows are the active ones, from the optimality conditions `a + (reach / |g_w|) G w = l 1` and
/// `1^T w = 1`, where `a` holds the inner products with the mean: a quadratic equation for `l`. `None` for dependent rows.
fn length_of_best(gram: &Gram, along: &[f64], reach: f64, active: &[usize]) -> Option<f64> {
    let matrix = gram.among(active);
    let a: Vec<f64> = active.iter().map(|&i| along[i]).collect();
    let (x, y) = (cholesky_solve(&matrix, &vec![1.0; active.len()])?, cholesky_solve(&matrix, &a)?);
    let (p, q, s): (f64, f64, f64) = (x.iter().sum(), y.iter().sum(), dot(&a, &y));
    let root = q * q - p * (s - reach * reach);
    (root > 0.0).then(|| reach / root.sqrt())
}

#[cfg(test)]
mod tests {
    use mtl_rng::Seed;

    use super::*;

    /// Zero is an interior point of the convex hull of these gradients: no direction improves all, and the update is rounding.
    #[test]
    fn without_a_common_descent_direction_the_update_is_zero() {
        let mut inside = 0;
        for seed in 0..300 {
            let m = 3 + seed as usize % 4;
            let rows: Vec<Vec<f32>> = (0..m).map(|i| Seed::new(seed).stream("rows", &[i as u64]).normals(2)).collect();
            let gram = Gram::of_rows(&rows);
            // Zero is inside if no half-plane is free of gradients.
            let mut angles: Vec<f32> = rows.iter().map(|row| row[1].atan2(row[0])).collect();
            angles.sort_by(f32::total_cmp);
            let around = angles[0] + std::f32::consts::TAU - angles[m - 1];
            let widest = angles.windows(2).map(|pair| pair[1] - pair[0]).fold(around, f32::max);
            if widest > std::f32::consts::PI - 0.05 {
                continue;
            }
            inside += 1;
            let w = Cagrad { c: 0.4, rescale: false }.solve(&Rows::all(gram), &mut Seed::new(0).stream("none", &[]));
            for column in 0..2 {
                let update: f64 = rows.iter().zip(&w).map(|(row, w)| f64::from(row[column]) * w).sum();
                assert!(update.abs() < 1e-6, "{seed}: {update}");
            }
        }
        assert!(inside > 100, "{inside}");
    }

    /// Optimality conditions: the update is `c |g0|` from the mean, and all active tasks have the same decrease.
    #[test]
    fn optimality_conditions_hold() {
        for seed in 0..200 {
            let m = 2 + seed as usize % 6;
            let rows: Vec<Vec<f32>> =
                (0..m).map(|i| Seed::new(seed).stream("rows", &[i as u64]).normals(m + 2)).collect();
            let (gram, u, c) = (Gram::of_rows(&rows), vec![1.0 / m as f64; m], 0.4);
            let mut method = Cagrad { c, rescale: false };
            let view = Rows::all(gram.clone());
            let w = method.solve(&view, &mut Seed::new(0).stream("none", &[]));
            let added: Vec<f64> = w.iter().zip(&u).map(|(w, u)| w - u).collect();
            let reach = c * square_length(&gram, &u).sqrt();
            assert!((square_length(&gram, &added).sqrt() / reach - 1.0).abs() < 1e-9, "{seed}");
            let gains = product(&gram, &w);
            let worst = gains.iter().copied().fold(f64::INFINITY, f64::min);
            let size = gains.iter().fold(0.0, |most: f64, gain| most.max(gain.abs()));
            for (gain, added) in gains.iter().zip(&added) {
                assert!(*added <= 1e-12 || gain - worst < 1e-7 * size, "{seed}: {gains:?}, {added}");
            }
        }
    }
}
