//! Whitening: a linear map after which features of reference images are uncorrelated.
//!
//! Features of an untrained network are almost copies of each other: all of them follow brightness and contrast. A kernel on them
//! sees little else, and a few images far from the mean decide its value. After whitening every direction in which real images
//! differ counts alike, and no image is farther from the mean than twice the root mean square of the reference images.

use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Mat, MatMut, Par};

use super::features::Features;
use super::frechet::{Moments, stack};
use crate::error::Error;

const NAME: &str = "whitening";

/// Added to every variance, relative to their mean: directions in which real images hardly differ are not amplified without bound.
const RIDGE: f64 = 0.1;

/// Largest length of a whitened row, relative to the root mean square over the reference images. The kernel of KID grows with the
/// third power of products: without a limit, a few images far away decide its value, which may then be far below 0.
const LIMIT: f64 = 2.0;

/// `x -> L^-1 (x - mean)` with `L L^T = C + 0.1 tr(C) / width I`, where `C` is the covariance of reference features; rows longer than
/// twice the root mean square over reference images are shortened to that.
#[derive(Clone, Debug)]
pub struct Whitening {
    mean: Vec<f64>,
    lower: Mat<f64>,
    longest: f64,
}

impl Whitening {
    /// Of reference features, at least two images. Cost: `2 n width^2` operations.
    ///
    /// # Errors
    /// Fewer than two images.
    pub fn of(reference: &Features<'_>) -> Result<Self, Error> {
        reference.at_least(2, NAME, "real images")?;
        let width = reference.width();
        let Moments { mean, root, trace } = Moments::of(reference);
        // Features that never differ leave the identity.
        let ridge = if trace > 0.0 { RIDGE * trace / width as f64 } else { 1.0 };
        let diagonal = Mat::from_fn(width, width, |i, j| if i == j { ridge.sqrt() } else { 0.0 });
        let upper = stack(root, diagonal.as_ref());
        let mut whitening = Self { mean, lower: upper.transpose().to_owned(), longest: f64::INFINITY };
        let white = whitening.rows(reference);
        let square = white.iter().map(|value| value * value).sum::<f64>() / reference.images() as f64;
        whitening.longest = if square > 0.0 { LIMIT * square.sqrt() } else { f64::INFINITY };
        Ok(whitening)
    }

    /// Whitened features, in single precision. Cost: `width^2` operations per image.
    ///
    /// # Errors
    /// Features of another width.
    pub fn apply(&self, features: &Features<'_>) -> Result<Features<'static>, Error> {
        let (left, right) = (self.mean.len(), features.width());
        if left != right {
            return Err(Error::Width { left, right });
        }
        let rows: Vec<f32> = self.rows(features).into_iter().map(|value| value as f32).collect();
        Features::new(rows, right)
    }

    fn rows(&self, features: &Features<'_>) -> Vec<f64> {
        let width = features.width();
        let mut rows = vec![0.0; features.images() * width];
        features.rows_into(0, &self.mean, &mut rows);
        let columns = MatMut::from_column_major_slice_mut(&mut rows, width, features.images());
        solve_lower_triangular_in_place(self.lower.as_ref(), columns, Par::Seq);
        for row in rows.chunks_exact_mut(width) {
            let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
            if length > self.longest {
                row.iter_mut().for_each(|value| *value *= self.longest / length);
            }
        }
        rows
    }
}
