//! KID: kernel distance (squared maximum mean discrepancy) of two sets of features.
//!
//! Binkowski et al. 2018, "Demystifying MMD GANs": `k(a, b) = (a.b / width + 1)^3`, unbiased. With `m` real and `n` generated
//! images, `KID = sum_{i != j} k(x_i, x_j) / (m (m - 1)) + sum_{i != j} k(y_i, y_j) / (n (n - 1)) - 2 sum_ij k(x_i, y_j) / (m n)`.
//! Its expectation does not depend on the number of images and is 0 for equal distributions, so single values may be negative.

use mtl_rng::Seed;
use rayon::prelude::*;

use super::features::{Features, same_width};
use super::tiles::over_tiles;
use super::{GenerationScore, spread_of};
use crate::error::Error;
use crate::score::Direction;

const NAME: &str = "kid";

/// KID over all pairs of images. Needs two images of each kind.
///
/// Cost: `(m^2 + n^2) / 2 + m n` products of rows in double precision; memory 6 MB per thread at a width of 2,048.
///
/// # Errors
/// Different widths; fewer than two images.
pub fn kid(real: &Features<'_>, generated: &Features<'_>) -> Result<GenerationScore, Error> {
    let value = distance(real, generated)?;
    Ok(score(value, real.images(), generated.images(), None))
}

/// KID as mean over random subsets, with their standard deviation (population) as spread: the convention of other programs.
/// The spread describes the choice of images; it is no standard error over trainings.
///
/// Subsets are drawn without replacement, of `size` images each, or all images if there are fewer. Other programs take 100
/// subsets of 1,000. Equal seeds give equal subsets.
///
/// # Errors
/// As [`kid`]; 0 subsets or subsets of fewer than two images.
pub fn kid_over_subsets(
    real: &Features<'_>,
    generated: &Features<'_>,
    subsets: usize,
    size: usize,
    seed: Seed,
) -> Result<GenerationScore, Error> {
    let draw = |kind: &str, at: usize, images: usize| -> Vec<usize> {
        let mut rows = seed.stream(kind, &[at as u64]).permutation(images);
        rows.truncate(size);
        rows
    };
    let of = |at| (draw("real", at, real.images()), draw("generated", at, generated.images()));
    kid_of_subsets(real, generated, &(0..subsets).map(of).collect::<Vec<_>>())
}

/// KID as mean over the given subsets, pairs of rows of the real and of the generated images.
///
/// # Errors
/// As [`kid`]; no subset.
pub fn kid_of_subsets(
    real: &Features<'_>,
    generated: &Features<'_>,
    subsets: &[(Vec<usize>, Vec<usize>)],
) -> Result<GenerationScore, Error> {
    if subsets.is_empty() {
        return Err(Error::TooFew { measure: NAME, which: "subsets", found: 0, needed: 1 });
    }
    let one = |(left, right): &(Vec<usize>, Vec<usize>)| distance(&real.select(left), &generated.select(right));
    let values = subsets.par_iter().map(one).collect::<Result<Vec<f64>, Error>>()?;
    let (mean, spread) = spread_of(&values);
    Ok(score(mean, real.images(), generated.images(), Some(spread)))
}

fn score(value: f64, real: usize, generated: usize, spread: Option<f64>) -> GenerationScore {
    let direction = Direction::LowerIsBetter;
    GenerationScore { name: NAME.into(), value, spread, direction, real, generated, classes: None }
}

fn distance(real: &Features<'_>, generated: &Features<'_>) -> Result<f64, Error> {
    same_width(real, generated)?;
    real.at_least(2, NAME, "real images")?;
    generated.at_least(2, NAME, "generated images")?;
    let within = |features| {
        let n: f64 = Features::images(features) as f64;
        2.0 * kernel_sum(features, features, true) / (n * (n - 1.0))
    };
    let across = kernel_sum(real, generated, false) / (real.images() as f64 * generated.images() as f64);
    Ok(within(real) + within(generated) - 2.0 * across)
}

/// Sum of the kernel over all pairs; `within`: over pairs `i < j` of the same set.
fn kernel_sum(left: &Features<'_>, right: &Features<'_>, within: bool) -> f64 {
    let scale = 1.0 / left.width() as f64;
    let kernel = |product: f64| {
        let base = product * scale + 1.0;
        base * base * base
    };
    let zero = vec![0.0; left.width()];
    let sums = over_tiles(
        left,
        right,
        &zero,
        within,
        |_| 0.0,
        |sum, tile| {
            *sum += if within && tile.columns.start < tile.rows.end {
                tile.pairs().filter(|(i, j, _)| i < j).map(|(_, _, product)| kernel(product)).sum::<f64>()
            } else {
                tile.products
                    .chunks(256)
                    .map(|row| row.iter().map(|product| kernel(*product)).sum::<f64>())
                    .sum::<f64>()
            };
        },
    );
    sums.into_iter().sum()
}
