//! Frechet distance of two sets of features, each taken as a Gaussian.
//!
//! `|mu_1 - mu_2|^2 + tr S_1 + tr S_2 - 2 tr (S_1 S_2)^(1/2)` with unbiased covariances (Dowson and Landau 1982; Heusel et al. 2017,
//! who call it FID where the features are those of Inception-v3). With `S_i = R_i^T R_i`, the last trace is the sum of the
//! singular values of `R_1 R_2^T`. `R_i` is the triangular factor of the centred features, or the features themselves if there
//! are fewer images than features. No covariance is formed and no square root of a matrix is taken, so no digits are lost where
//! covariances are singular.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

use super::GenerationScore;
use super::features::{Features, same_width};
use crate::error::Error;
use crate::score::Direction;

pub(super) const NAME: &str = "frechet_distance";

/// Rows that enter a factorisation at once, at least.
const ROWS: usize = 1024;

/// Frechet distance, 0 for equal means and covariances, without an upper bound. Needs two images of each kind.
///
/// Its expectation falls with the number of images (about as `1 / n`), so two values compare only at equal numbers of images.
///
/// Cost: `2 n width^2` operations per set for the factor, both sets at once, and `3 width^3` for the singular values. Memory:
/// at most `8 width^2 * 8` bytes per set (270 MB at a width of 2,048), for any number of images.
///
/// # Errors
/// Different widths, fewer than two images, singular values that do not converge.
pub fn frechet_distance(real: &Features<'_>, generated: &Features<'_>) -> Result<GenerationScore, Error> {
    same_width(real, generated)?;
    real.at_least(2, NAME, "real images")?;
    generated.at_least(2, NAME, "generated images")?;
    let (one, other) = rayon::join(|| Moments::of(real), || Moments::of(generated));
    let shift: f64 = one.mean.iter().zip(&other.mean).map(|(a, b)| (a - b) * (a - b)).sum();
    let mut product = Mat::<f64>::zeros(one.root.nrows(), other.root.nrows());
    matmul(product.as_mut(), Accum::Replace, one.root.as_ref(), other.root.as_ref().transpose(), 1.0, Par::Seq);
    let values = product.singular_values().map_err(|_| Error::NotConverged { measure: NAME })?;
    // Rounding can bring the distance of equal sets below 0.
    let value = (shift + one.trace + other.trace - 2.0 * values.iter().sum::<f64>()).max(0.0);
    Ok(GenerationScore {
        name: NAME.into(),
        value,
        spread: None,
        direction: Direction::LowerIsBetter,
        real: real.images(),
        generated: generated.images(),
        classes: None,
    })
}

/// Mean and covariance of a set.
pub(super) struct Moments {
    pub mean: Vec<f64>,
    /// `root^T root` is the unbiased covariance; at most `width` rows.
    pub root: Mat<f64>,
    /// Trace of the covariance.
    pub trace: f64,
}

impl Moments {
    /// Of at least two images.
    pub fn of(features: &Features<'_>) -> Self {
        let (images, width) = (features.images(), features.width());
        let mean = features.mean();
        // Images of a part; fewer than features are their own factor.
        let part = if images <= width { images } else { ROWS.max(width) };
        let mut root = Mat::zeros(0, width);
        let mut rows = Vec::new();
        for first in (0..images).step_by(part) {
            rows.resize(part.min(images - first) * width, 0.0);
            features.rows_into(first, &mean, &mut rows);
            root = stack(root, MatRef::from_row_major_slice(&rows, rows.len() / width, width));
        }
        root *= 1.0 / ((images - 1) as f64).sqrt();
        let trace = root.squared_norm_l2();
        Self { mean, root, trace }
    }
}

/// A matrix of at most `width` rows with the same `A^T A` as both matrices together.
pub(super) fn stack(above: Mat<f64>, below: MatRef<'_, f64>) -> Mat<f64> {
    let (upper, width) = (above.nrows(), below.ncols());
    let together =
        Mat::from_fn(
            upper + below.nrows(),
            width,
            |i, j| {
                if i < upper { above[(i, j)] } else { below[(i - upper, j)] }
            },
        );
    if together.nrows() <= width { together } else { together.qr().thin_R().to_owned() }
}
