//! Measures of generated images, on features of a network: how far their distribution is from that of real images.
//!
//! The features decide what a measure sees. Only features of Inception-v3 make a Frechet distance a "FID"; name the network
//! beside every number. Real images are held-out ones: compared with its training images, a generator that copies wins.
//!
//! | function | measure |
//! |---|---|
//! | [`kid`], [`kid_over_subsets`] | kernel distance, unbiased at any number of images |
//! | [`frechet_distance`] | distance of Gaussians; only at equal numbers of images comparable |
//! | [`manifold`] | precision, recall, density, coverage |
//! | [`memorisation`] | copies of training images |
//! | [`compare`] | all but the last one, as far as the number of real images supports it |
//! | [`compare_classes`] | their means over classes |
//! | [`floor`] | the same for real images in place of generated ones: what a perfect generator scores |
//!
//! All compute in `f64`, in parallel, in tiles: memory does not grow with the square of the number of images. Results are the
//! same bytes at any number of threads. Products of rows cost about `2 width` operations each: 10,000 real and 10,000 generated
//! images at a width of 2,048 take 0.8 T operations for KID and 1.2 T for precision to coverage.
//!
//! ```
//! use mtl_metrics::generation::{Features, Frechet, compare};
//! use mtl_rng::Seed;
//!
//! let sample = |name| Features::new(Seed::new(0).stream(name, &[]).normals(200 * 8), 8);
//! let scores = compare(&sample("real")?, &sample("generated")?)?;
//! assert!(scores.kid.value.abs() < 0.1 && scores.coverage.value > 0.8);
//! assert_eq!((scores.kid.real, scores.kid.generated), (200, 200));
//! // 200 real images do not support a Frechet distance.
//! assert!(matches!(scores.frechet, Frechet::TooFewImages { .. }));
//! # Ok::<(), mtl_metrics::Error>(())
//! ```

mod classes;
mod compare;
mod features;
mod frechet;
mod kid;
mod manifold;
mod memorisation;
mod neighbours;
#[cfg(test)]
mod tests;
mod tiles;
mod variety;
mod whitening;

use serde::{Deserialize, Serialize};

pub use classes::{MIN_PER_CLASS, compare_classes};
pub use compare::{Frechet, GenerationScores, MIN_FOR_FRECHET, compare, floor, floor_rows};
pub use features::{Features, Values};
pub use frechet::frechet_distance;
pub use kid::{kid, kid_of_subsets, kid_over_subsets};
pub use manifold::{Manifold, manifold};
pub use memorisation::{Memorisation, Nearest, memorisation};
pub use variety::pairwise_distance;
pub use whitening::Whitening;

use crate::score::Direction;

/// One measure of generated images. It is always finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationScore {
    /// Stable name: `kid`, `frechet_distance`, `precision`, `recall`, `density`, `coverage`.
    pub name: String,
    /// The value, without unit.
    pub value: f64,
    /// Standard deviation over subsets or networks, where it is a mean over them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<f64>,
    /// Direction of improvement.
    pub direction: Direction,
    /// Real images.
    pub real: usize,
    /// Generated images, or other real ones in a floor.
    pub generated: usize,
    /// For a mean over classes: how many of them had enough images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassesScored>,
}

/// Number of classes in a mean over classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassesScored {
    /// Classes with enough images of both kinds.
    pub scored: usize,
    /// All classes.
    pub all: usize,
}

/// Mean and standard deviation (population) of at least one value.
fn spread_of(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt())
}

/// Median of at least one value; the mean of the two middle ones of an even number.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { f64::midpoint(values[middle - 1], values[middle]) } else { values[middle] }
}
