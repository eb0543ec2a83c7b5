//! The set of measures that a number of real images supports, and its floor.

use mtl_rng::Seed;
use serde::{Deserialize, Serialize};

use super::features::Features;
use super::manifold::manifolds;
use super::{GenerationScore, frechet_distance, kid};
use crate::error::Error;

/// Real images from which on a Frechet distance is computed: with fewer, its bias exceeds most differences between generators.
pub const MIN_FOR_FRECHET: usize = 500;
/// Neighbours for precision and recall (Kynkaanniemi et al. 2019).
const NEAREST_PRECISION: usize = 3;
/// Neighbours for density and coverage (Naeem et al. 2020).
const NEAREST_COVERAGE: usize = 5;

/// Measures of one set of generated images against one set of real ones, in the features of one network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationScores {
    /// See [`super::kid`].
    pub kid: GenerationScore,
    /// See [`super::frechet_distance`].
    pub frechet: Frechet,
    /// With 3 nearest neighbours.
    pub precision: GenerationScore,
    /// With 3 nearest neighbours.
    pub recall: GenerationScore,
    /// With 5 nearest neighbours.
    pub density: GenerationScore,
    /// With 5 nearest neighbours.
    pub coverage: GenerationScore,
}

/// A Frechet distance, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frechet {
    /// Of at least [`MIN_FOR_FRECHET`] images of each kind.
    Distance(GenerationScore),
    /// With so few images the value would say more about their number than about the generator.
    TooFewImages {
        /// The smaller number, of real or of generated images.
        images: usize,
        /// [`MIN_FOR_FRECHET`].
        needed: usize,
    },
}

impl GenerationScores {
    /// The scores there are, KID first.
    pub fn list(&self) -> Vec<&GenerationScore> {
        let frechet = match &self.frechet {
            Frechet::Distance(score) => Some(score),
            Frechet::TooFewImages { .. } => None,
        };
        let Self { kid, precision, recall, density, coverage, .. } = self;
        std::iter::once(kid).chain(frechet).chain([precision, recall, density, coverage]).collect()
    }
}

/// All measures of generated against real images.
///
/// # Errors
/// Different widths; fewer than 6 images of either kind.
pub fn compare(real: &Features<'_>, generated: &Features<'_>) -> Result<GenerationScores, Error> {
    let images = real.images().min(generated.images());
    let frechet = if images < MIN_FOR_FRECHET {
        Frechet::TooFewImages { images, needed: MIN_FOR_FRECHET }
    } else {
        Frechet::Distance(frechet_distance(real, generated)?)
    };
    let [near, wide] = manifolds(real, generated, [NEAREST_PRECISION, NEAREST_COVERAGE])?;
    Ok(GenerationScores {
        kid: kid(real, generated)?,
        frechet,
        precision: near.precision,
        recall: near.recall,
        density: wide.density,
        coverage: wide.coverage,
    })
}

/// The floor: [`compare`] for `count` other real images (all, if there are fewer) in place of generated ones, drawn by `seed`.
/// A generator of the same distribution scores about this; a better score is chance, or a copy of the held-out images.
///
/// # Errors
/// As [`compare`].
pub fn floor(
    held_out: &Features<'_>,
    other_real: &Features<'_>,
    count: usize,
    seed: Seed,
) -> Result<GenerationScores, Error> {
    compare(held_out, &other_real.select(&floor_rows(other_real.images(), count, seed)))
}

/// The rows that [`floor`] draws of `images` other real ones: for features that are expensive to compute.
pub fn floor_rows(images: usize, count: usize, seed: Seed) -> Vec<usize> {
    let mut rows = seed.stream("floor", &[]).permutation(images);
    rows.truncate(count);
    rows
}
