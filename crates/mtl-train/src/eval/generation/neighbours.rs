//! The picture of samples and their nearest training images.

use std::path::Path;

use mtl_metrics::generation::Memorisation;

use super::images::Images;
use crate::data::Plan;
use crate::error::Result;
use crate::eval::pictures::write_grid;

/// Samples shown: as many of the first ones as of those most like a training image.
const SHOWN: usize = 16;
/// Pairs per row.
const PAIRS: usize = 4;

/// Writes pairs of a sample and its nearest training image, four per row: in the upper half the first samples, in the lower one
/// those most like a training image. `rows` are the rows of the training images.
///
/// # Errors
/// A file that cannot be written.
pub(super) fn draw(path: &Path, samples: &Images, found: &Memorisation, plan: &Plan, rows: &[usize]) -> Result<()> {
    let half = (SHOWN / 2).min(samples.len());
    let mut alike: Vec<usize> = (0..samples.len()).collect();
    alike.sort_by(|&a, &b| found.nearest[a].share.total_cmp(&found.nearest[b].share));
    let shown: Vec<usize> = (0..half).chain(alike.into_iter().take(half)).collect();
    let nearest: Vec<usize> = shown.iter().map(|&sample| rows[found.nearest[sample].training]).collect();
    let nearest = Images::real(plan, &nearest)?;
    let pair = |(at, &sample): (usize, &usize)| [samples.tile(sample), nearest.tile(at)];
    let tiles: Vec<_> = shown.iter().enumerate().flat_map(pair).collect();
    write_grid(path, &tiles, 2 * PAIRS)
}
