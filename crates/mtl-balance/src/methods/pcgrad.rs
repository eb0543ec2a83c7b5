//! PCGrad: projecting conflicting gradients, "gradient surgery" (Yu et al. 2020, algorithm 1, arXiv 2001.06782).
//!
//! For each task `i`: `g = g_i`; for every other task `j` in random order, if `g . g_j < 0`, then `g -= (g . g_j) / |g_j|^2 g_j`. The
//! update is the **sum** of the results, so that without conflicts it is the plain sum. Computed in coefficients:
//! `g = sum_k c_k g_k` and `g . g_j = (G c)_j`.
//!
//! With two tasks the result does not depend on the order and conflicts with neither gradient; with more tasks it can. [`project`] does not
//! project onto gradients of length zero (up to 1e-12 of the longest) and gives them weight 1.

use mtl_rng::Stream;
use serde::{Deserialize, Serialize};

use crate::rows::Rows;
use crate::rules::{GramRule, Ruled};
use crate::{Balancer, Error, GradientsWrt, Gram, Method};

/// Settings of PCGrad.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Variables of the compared gradients. Default: shared parameters, as in the paper.
    pub gradients_wrt: GradientsWrt,
}

impl Method for Config {
    fn build(&self, tasks: &[String]) -> Result<Box<dyn Balancer>, Error> {
        Ok(Ruled::gram(tasks, self.gradients_wrt, PcGrad))
    }
}

/// The rule.
#[derive(Clone, Debug)]
pub struct PcGrad;

impl GramRule for PcGrad {
    fn name(&self) -> &'static str {
        "pcgrad"
    }

    fn solve(&mut self, rows: &Rows, stream: &mut Stream) -> Vec<f64> {
        project(&rows.gram, || stream.permutation(rows.gram.size()))
    }
}

/// The weights for a Gram matrix. `order` gives, once per row, the order of the other rows (the row itself is skipped).
pub fn project(gram: &Gram, mut order: impl FnMut() -> Vec<usize>) -> Vec<f64> {
    let m = gram.size();
    let longest = (0..m).map(|i| gram.at(i, i)).fold(0.0, f64::max);
    // Squared: relative lengths of 1e-12, below the resolution of gradients in `f32`.
    let zero = longest * 1e-24;
    let mut weights = vec![0.0; m];
    for i in 0..m {
        let mut coefficients = vec![0.0; m];
        coefficients[i] = 1.0;
        for j in order() {
            let square = gram.at(j, j);
            if j == i || square <= zero {
                continue;
            }
            let product: f64 = gram.row(j).iter().zip(&coefficients).map(|(g, c)| g * c).sum();
            if product < 0.0 {
                coefficients[j] -= product / square;
            }
        }
        weights.iter_mut().zip(coefficients).for_each(|(weight, coefficient)| *weight += coefficient);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Needs, Signals};

    fn ascending(gram: &Gram) -> Vec<f64> {
        project(gram, || (0..gram.size()).collect())
    }

    fn descending(gram: &Gram) -> Vec<f64> {
        project(gram, || (0..gram.size()).rev().collect())
    }

    fn close(weights: &[f64], expected: &[f64]) {
        assert_eq!(weights.len(), expected.len());
        for (weight, expected) in weights.iter().zip(expected) {
            assert!((weight - expected).abs() < 1e-12 * expected.abs().max(1.0), "{weights:?} {expected}");
        }
    }

    #[test]
    fn two_tasks_by_hand() {
        // g = (-4, 1, 1), (6, 1, 1): g1.g2 = -22, |g1|^2 = 18, |g2|^2 = 38. The first loses -22/38 of the second and
        // the second -22/18 of the first: w = 1 + 22/18, 1 + 22/38.
        // torchjd 0.18.0: 2.2222222222222223, 1.5789473684210527
        let gram = Gram::of_rows(&[vec![-4.0, 1.0, 1.0], vec![6.0, 1.0, 1.0]]);
        let expected = [1.0 + 22.0 / 18.0, 1.0 + 22.0 / 38.0];
        close(&ascending(&gram), &expected);
        close(&descending(&gram), &expected);
        // The update conflicts with neither: G w >= 0.
        for i in 0..2 {
            assert!(gram.row(i).iter().zip(&expected).map(|(g, w)| g * w).sum::<f64>() >= 0.0);
        }
    }

    #[test]
    fn three_conflicting_tasks_match_torchjd_in_both_orders() {
        let gram = Gram::new(3, vec![5.34, -2.41, -2.12, -2.41, 3.99, -2.07, -2.12, -2.07, 4.57]).unwrap();
        // torchjd 0.18.0, float64, PCGrad with the order fixed.
        close(&ascending(&gram), &[1.8483146067415728, 2.362601259703566, 2.3997986385332446]);
        close(&descending(&gram), &[2.2622777778907475, 2.3634743313425797, 1.9168490153172866]);
        // The stream draws the order; equal streams draw equal orders.
        let tasks: Vec<String> = (0..3).map(|i| i.to_string()).collect();
        let mut balancer = Config::default().build(&tasks).unwrap();
        let signals = Signals::new(&tasks, &[0, 1, 2], &[1.0; 3]).with_gram(&gram);
        let mut at = |step| balancer.weights(&signals, &mut mtl_rng::Seed::new(1).stream("balance", &[step])).unwrap();
        assert_eq!(at(0), at(0));
        assert!((1..20).any(|step| at(step) != at(0)));
    }

    #[test]
    fn degenerate_gradients() {
        // A zero gradient, torchjd 0.18.0: 1, 1.0357142857142858, 1.2222222222222223
        let zero_row = Gram::new(3, vec![0.0, 0.0, 0.0, 0.0, 14.0, -0.5, 0.0, -0.5, 2.25]).unwrap();
        close(&ascending(&zero_row), &[1.0, 1.0 + 0.5 / 14.0, 1.0 + 0.5 / 2.25]);
        close(&ascending(&Gram::new(3, vec![0.0; 9]).unwrap()), &[1.0; 3]);
        close(&ascending(&Gram::new(1, vec![14.0]).unwrap()), &[1.0]);
        assert!(ascending(&Gram::new(0, vec![]).unwrap()).is_empty());
        // (1, 2) and (-2, -4) cancel: 3 (1, 2) + 1.5 (-2, -4) = 0.
        close(&ascending(&Gram::new(2, vec![5.0, -10.0, -10.0, 20.0]).unwrap()), &[3.0, 1.5]);
        // Lengths 1e6 apart still count; rounding errors do not.
        close(&ascending(&Gram::new(2, vec![1e12, -0.5e6, -0.5e6, 1.0]).unwrap()), &[1.0 + 0.5e-6, 1.0 + 0.5e6]);
        close(&ascending(&Gram::new(2, vec![1.0, -1e-30, -1e-30, 1e-60]).unwrap()), &[1.0 + 1e-30, 1.0]);
    }

    #[test]
    fn gradients_wrt_determines_the_needs() {
        let needs = |gradients_wrt| Config { gradients_wrt }.build(&[]).unwrap().requirements().needs;
        assert_eq!(
            (needs(GradientsWrt::SharedParameters), needs(GradientsWrt::Representation)),
            (Needs::TrunkGram, Needs::FeatureGram)
        );
    }
}
