//! Memorisation: are generated images copies of training images?

use serde::{Deserialize, Serialize};

use super::features::{Features, same_width};
use super::median;
use super::neighbours::{Neighbour, nearest};
use crate::error::Error;

/// A generated image is a copy if its nearest training image is nearer than this share of the distance to the second nearest
/// (Bonnaire et al. 2025).
const COPY: f64 = 1.0 / 3.0;

/// Distances of generated images to training and held-out images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memorisation {
    /// Median over generated images of the distance to the nearest training image, divided by that to the nearest held-out
    /// image. It is below `real_ratio` if training images are copied. Lower means more copying.
    pub ratio: f64,
    /// The same ratio of held-out images (each without itself): the value of images that are no copies.
    pub real_ratio: f64,
    /// Share of generated images whose nearest training image is nearer than a third of the distance to the second nearest.
    /// 0 to 1.
    pub copies: f64,
    /// The same share of held-out images: near duplicates across the split.
    pub real_copies: f64,
    /// Generated images.
    pub generated: usize,
    /// Training images.
    pub training: usize,
    /// Held-out images.
    pub held_out: usize,
    /// For each generated image its nearest training image.
    #[serde(skip)]
    pub nearest: Vec<Nearest>,
}

/// The nearest training image of a generated one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearest {
    /// Row of the training image.
    pub training: usize,
    /// Distance to it, divided by that to the second nearest: 0 for an exact copy, at most 1.
    pub share: f64,
}

/// Memorisation of training images. Needs one generated image, two training images and two held-out images.
///
/// Cost: `(n + h) (t + h)` products of rows for `n` generated, `t` training and `h` held-out images; memory 6 MB per thread at a
/// width of 2,048.
///
/// # Errors
/// Different widths, too few images.
pub fn memorisation(
    generated: &Features<'_>,
    training: &Features<'_>,
    held_out: &Features<'_>,
) -> Result<Memorisation, Error> {
    const MEASURE: &str = "memorisation";
    same_width(training, generated)?;
    same_width(training, held_out)?;
    generated.at_least(1, MEASURE, "generated images")?;
    training.at_least(2, MEASURE, "training images")?;
    held_out.at_least(2, MEASURE, "held-out images")?;
    let shares = |queries: &Features<'_>, same: bool| {
        let near = nearest(queries, training, 2, false);
        let other = nearest(queries, held_out, 1, same);
        let found: Vec<Nearest> = near.iter().map(|near| Nearest::of(near)).collect();
        let ratios = near.iter().zip(&other).map(|(near, other)| quotient(near[0].square, other[0].square));
        let copies = found.iter().filter(|nearest| nearest.share < COPY).count() as f64 / found.len() as f64;
        (median(ratios.collect()), copies, found)
    };
    let (ratio, copies, nearest) = shares(generated, false);
    let (real_ratio, real_copies, _) = shares(held_out, true);
    Ok(Memorisation {
        ratio,
        real_ratio,
        copies,
        real_copies,
        generated: generated.images(),
        training: training.images(),
        held_out: held_out.images(),
        nearest,
    })
}

impl Nearest {
    fn of(near: &[Neighbour]) -> Self {
        let [first, second, ..] = near else { unreachable!("two training images at least") };
        // An exact copy of an image that the training images hold twice is a copy, too.
        let share = if first.square == 0.0 { 0.0 } else { quotient(first.square, second.square) };
        Self { training: first.row, share }
    }
}

/// Quotient of two distances, given their squares. Of an image that lies on both: 1.
fn quotient(square: f64, other: f64) -> f64 {
    if square == other { 1.0 } else { (square / other).sqrt() }
}
