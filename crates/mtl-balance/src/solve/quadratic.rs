//! The quadratic form of the Gram matrix: products, lengths of updates, and their rounding errors.

use crate::Gram;

/// `G w`.
pub(crate) fn product(gram: &Gram, weights: &[f64]) -> Vec<f64> {
    (0..gram.size()).map(|i| dot(gram.row(i), weights)).collect()
}

/// `w^T G w`, the squared length of the update; rounding never makes it negative.
pub(crate) fn square_length(gram: &Gram, weights: &[f64]) -> f64 {
    dot(&product(gram, weights), weights).max(0.0)
}

/// A combination shorter than this share of its terms is zero up to rounding. Inner products have relative errors of about 1e-16,
/// and a length is their root.
const CANCELLED: f64 = 1e-7;

pub(crate) fn is_cancelled(gram: &Gram, weights: &[f64]) -> bool {
    is_rounding(square_length(gram, weights).sqrt(), gram, weights)
}

/// Whether an update of this length is zero up to rounding, compared with the terms `w_i g_i`.
pub(crate) fn is_rounding(length: f64, gram: &Gram, weights: &[f64]) -> bool {
    let parts: f64 = weights.iter().enumerate().map(|(i, w)| w.abs() * gram.at(i, i).sqrt()).sum();
    length <= CANCELLED * parts
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
