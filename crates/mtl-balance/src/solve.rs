//! The small problems that methods solve each step, exactly: `m x m` for `m` tasks, in `f64`.
//!
//! Where a problem is one of directions only, rows are first brought to length 1 ([`Unit`]), so that gradients a million times
//! apart in length do not drown each other: the libraries' iterative solvers stop far from the answer there.

mod cone;
mod linear;
mod nash;
mod simplex;

pub(crate) use cone::{project, project_beyond};
pub(crate) use linear::{Eigen, cholesky_solve};
pub(crate) use nash::fair;
pub(crate) use simplex::{onto_simplex, shortest};

use crate::Gram;

/// Gradients brought to length 1: their lengths, and the cosines between them.
pub(crate) struct Unit {
    pub lengths: Vec<f64>,
    pub cosines: Gram,
}

impl Unit {
    /// All rows must be other than zero.
    pub(crate) fn of(gram: &Gram) -> Self {
        let lengths: Vec<f64> = (0..gram.size()).map(|i| gram.at(i, i).sqrt()).collect();
        let cosines = Gram::from_fn(gram.size(), |i, j| {
            if i == j { 1.0 } else { (gram.at(i, j) / lengths[i] / lengths[j]).clamp(-1.0, 1.0) }
        });
        Self { lengths, cosines }
    }

    /// Weights of the gradients themselves from those of the unit ones.
    pub(crate) fn back(&self, weights: &[f64]) -> Vec<f64> {
        weights.iter().zip(&self.lengths).map(|(weight, length)| weight / length).collect()
    }
}

/// Moves the numbers in use to `best`, or as far towards it as none falls below zero; who falls to zero, or to what rounding
/// leaves of it (`zero`), is out of use. Whether there is nothing more to do: that was all the way, or rounding kept one
/// that should have gone.
fn towards(numbers: &mut [f64], used: &mut Vec<usize>, best: &[f64], zero: f64) -> bool {
    if best.iter().all(|&best| best > 0.0) {
        numbers.fill(0.0);
        used.iter().zip(best).for_each(|(&i, &best)| numbers[i] = best);
        return true;
    }
    let falling = used.iter().zip(best).filter(|(_, best)| **best <= 0.0);
    let step = falling.map(|(&i, best)| numbers[i] / (numbers[i] - best)).fold(1.0, f64::min);
    for (&i, &best) in used.iter().zip(best) {
        let moved = numbers[i] + step * (best - numbers[i]);
        numbers[i] = if best <= 0.0 && moved <= zero { 0.0 } else { moved.max(0.0) };
    }
    let before = used.len();
    used.retain(|&i| numbers[i] > 0.0);
    used.len() == before
}

/// `G w`.
pub(crate) fn product(gram: &Gram, weights: &[f64]) -> Vec<f64> {
    (0..gram.size()).map(|i| dot(gram.row(i), weights)).collect()
}

/// `w^T G w`, the squared length of the update; rounding never makes it negative.
pub(crate) fn square_length(gram: &Gram, weights: &[f64]) -> f64 {
    dot(&product(gram, weights), weights).max(0.0)
}

/// Whether a combination is zero but for rounding: shorter than this share of its parts. Inner products of gradients are good to some
/// 1e-16 of those, and a length is their root.
const CANCELLED: f64 = 1e-7;

pub(crate) fn is_cancelled(gram: &Gram, weights: &[f64]) -> bool {
    is_rounding(square_length(gram, weights).sqrt(), gram, weights)
}

/// The same of an update of this length, whatever it was made by from these parts.
pub(crate) fn is_rounding(length: f64, gram: &Gram, weights: &[f64]) -> bool {
    let parts: f64 = weights.iter().enumerate().map(|(i, w)| w.abs() * gram.at(i, i).sqrt()).sum();
    length <= CANCELLED * parts
}

/// `x` with `C x = wanted`, for cosines `C`: the combination of unit gradients whose inner products with them are these.
pub(crate) struct Angles {
    /// Where there is no such combination, the nearest in the sense of least squares.
    pub x: Vec<f64>,
    /// Whether there is but one.
    pub only: bool,
    /// By how much an inner product misses at most.
    pub missed: f64,
}

impl Angles {
    pub(crate) fn of(cosines: &Gram, wanted: &[f64]) -> Self {
        let off =
            |x: &[f64]| product(cosines, x).iter().zip(wanted).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
        // Gradients that clearly do not depend on each other need no eigenvalues: a hundred times as fast with ten tasks.
        if let Some(x) = cholesky_solve(cosines, wanted).filter(|x| x.iter().all(|x| x.abs() < 1e4)) {
            let missed = off(&x);
            if missed < 1e-10 {
                return Self { x, only: true, missed };
            }
        }
        let eigen = Eigen::of(cosines);
        let x = eigen.pseudo_solve(wanted);
        Self { only: eigen.present().count() == cosines.size(), missed: off(&x), x }
    }
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
