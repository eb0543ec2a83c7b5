//! Precision, recall, density and coverage: comparisons of neighbourhoods.
//!
//! With `r_i` the distance of real image `i` to its `k`-th nearest real image and `s_j` the same among generated images:
//! precision is the share of generated images inside the ball of any real one (`d_ij < r_i`), recall the share of real images
//! inside the ball of any generated one (`d_ij < s_j`; Kynkaanniemi et al. 2019), density the mean number of balls of real
//! images that a generated one is inside, divided by `k`, coverage the share of real images whose ball holds a generated one
//! (Naeem et al. 2020). Distances are Euclidean. Density may exceed 1; for equal distributions precision and recall do not
//! reach 1, and coverage approaches `1 - 2^-k`.

use super::GenerationScore;
use super::features::{Features, same_width};
use super::neighbours::{centre, each_distance, radii, squares};
use super::tiles::over_tiles;
use crate::error::Error;
use crate::score::Direction;

/// The four scores at one `k`.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifold {
    /// Share of generated images near real ones, 0 to 1.
    pub precision: GenerationScore,
    /// Share of real images near generated ones, 0 to 1.
    pub recall: GenerationScore,
    /// Mean number of neighbourhoods of real images per generated image, divided by `k`; from 0, about 1 for equal distributions.
    pub density: GenerationScore,
    /// Share of real images with a generated one in their neighbourhood, 0 to 1.
    pub coverage: GenerationScore,
}

/// Precision, recall, density and coverage with the `k` nearest neighbours. Usual are 3 for precision and recall, 5 for density
/// and coverage. Needs `k + 1` images of each kind.
///
/// Cost: `m^2 + n^2 + m n` products of rows in double precision; memory 6 MB per thread at a width of 2,048, and `n / 32` bytes
/// per real image.
///
/// # Errors
/// Different widths, fewer than `k + 1` images, `k` of 0.
pub fn manifold(real: &Features<'_>, generated: &Features<'_>, k: usize) -> Result<Manifold, Error> {
    manifolds(real, generated, [k]).map(|[manifold]| manifold)
}

/// [`manifold`] for several `k`, with distances computed once.
///
/// # Errors
/// As [`manifold`].
pub(super) fn manifolds<const N: usize>(
    real: &Features<'_>,
    generated: &Features<'_>,
    ks: [usize; N],
) -> Result<[Manifold; N], Error> {
    const MEASURE: &str = "precision, recall, density and coverage";
    let width = same_width(real, generated)?;
    let needed = ks.iter().copied().max().unwrap_or(1) + 1;
    if ks.contains(&0) {
        return Err(Error::TooFew { measure: MEASURE, which: "neighbours", found: 0, needed: 1 });
    }
    real.at_least(needed, MEASURE, "real images")?;
    generated.at_least(needed, MEASURE, "generated images")?;
    let balls = ks.map(|k| (radii(real, k), radii(generated, k)));
    let centre = centre(real);
    let lengths = (squares(real, &centre), squares(generated, &centre));
    let start = |rows: std::ops::Range<usize>| {
        let empty = || Block {
            inside: vec![0; generated.images()],
            near: vec![false; rows.len()],
            covered: vec![false; rows.len()],
        };
        ks.map(|_| empty())
    };
    let blocks = over_tiles(real, generated, &centre, false, start, |blocks, tile| {
        each_distance(tile, (&lengths.0, &lengths.1), width, |i, j, square| {
            let row = i - tile.rows.start;
            for (block, (real, generated)) in blocks.iter_mut().zip(&balls) {
                let inside = square < real[i];
                block.inside[j] += u32::from(inside);
                block.covered[row] |= inside;
                block.near[row] |= square < generated[j];
            }
        });
    });
    let sizes = (real.images(), generated.images());
    let mut at = 0;
    Ok(ks.map(|k| {
        at += 1;
        Block::scores(blocks.iter().map(|blocks| &blocks[at - 1]), k, sizes)
    }))
}

/// Counts of one block of real images.
struct Block {
    /// Balls of these real images around each generated one.
    inside: Vec<u32>,
    /// Whether each real image is in a ball of a generated one.
    near: Vec<bool>,
    /// Whether each ball holds a generated image.
    covered: Vec<bool>,
}

impl Block {
    fn scores<'a>(blocks: impl Iterator<Item = &'a Self>, k: usize, (m, n): (usize, usize)) -> Manifold {
        let mut inside = vec![0u64; n];
        let (mut near, mut covered) = (0, 0);
        for block in blocks {
            inside.iter_mut().zip(&block.inside).for_each(|(sum, count)| *sum += u64::from(*count));
            near += block.near.iter().filter(|near| **near).count();
            covered += block.covered.iter().filter(|covered| **covered).count();
        }
        let hits = inside.iter().filter(|count| **count > 0).count();
        let score = |name: &str, value: f64| GenerationScore {
            name: name.into(),
            value,
            spread: None,
            direction: Direction::HigherIsBetter,
            real: m,
            generated: n,
            classes: None,
        };
        Manifold {
            precision: score("precision", hits as f64 / n as f64),
            recall: score("recall", near as f64 / m as f64),
            density: score("density", inside.iter().sum::<u64>() as f64 / (k * n) as f64),
            coverage: score("coverage", covered as f64 / m as f64),
        }
    }
}
