//! Problems of directions: gradients of length 1.

use super::linear::{Eigen, cholesky_solve};
use super::quadratic::product;
use crate::Gram;

/// Gradients scaled to length 1: their original lengths, and the cosines between them.
pub(crate) struct Unit {
    pub lengths: Vec<f64>,
    pub cosines: Gram,
}

impl Unit {
    /// No row may be zero.
    pub(crate) fn of(gram: &Gram) -> Self {
        let lengths: Vec<f64> = (0..gram.size()).map(|i| gram.at(i, i).sqrt()).collect();
        let cosines = Gram::from_fn(gram.size(), |i, j| {
            if i == j { 1.0 } else { (gram.at(i, j) / lengths[i] / lengths[j]).clamp(-1.0, 1.0) }
        });
        Self { lengths, cosines }
    }

    /// Weights of the original gradients from weights of the unit gradients.
    pub(crate) fn back(&self, weights: &[f64]) -> Vec<f64> {
        weights.iter().zip(&self.lengths).map(|(weight, length)| weight / length).collect()
    }
}

/// The solution `x` of `C x = wanted` for cosines `C`: the combination of unit gradients with these inner products.
pub(crate) struct Angles {
    /// Least-squares solution where no exact one exists.
    pub x: Vec<f64>,
    /// Whether the solution is unique.
    pub only: bool,
    /// Largest absolute residual.
    pub missed: f64,
}

impl Angles {
    pub(crate) fn of(cosines: &Gram, wanted: &[f64]) -> Self {
        let off =
            |x: &[f64]| product(cosines, x).iter().zip(wanted).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
        // Cholesky for clearly independent gradients: a hundred times as fast as eigenvalues with ten tasks.
        if let Some(x) = cholesky_solve(cosines, wanted).filter(|x| x.iter().all(|x| x.abs() < 1e4)) {
            let missed = off(&x);
            if missed < 1e-10 {
                return Self { x, only: true, missed };
            }
        }
        let eigen = Eigen::of(cosines);
        let x = eigen.pseudo_solve(wanted);
        Self { only: eigen.nonzero().count() == cosines.size(), missed: off(&x), x }
    }
}
