//! Images as near as possible to given ones.

use std::path::PathBuf;

use mtl_tensor::Tensor;

use super::choice::Chosen;
use super::inversion::{Inverted, invert};
use super::request::{Generated, InversionStep};
use crate::error::{Error, Result};
use crate::eval::pictures::{Tile, tiles, write_grid};

/// Writes for each image the nearest one, and a picture with a row of image, start and result for each.
pub(super) fn write(
    chosen: &Chosen<'_>,
    images: &[PathBuf],
    progress: &mut dyn FnMut(InversionStep<'_>),
) -> Result<Generated> {
    let found = invert_all(chosen, images, progress)?;
    let mut made = chosen.begin()?;
    let mut rows = Vec::new();
    for (at, inverted) in found.into_iter().enumerate() {
        let [original, start, nearest] = [&inverted.original, &inverted.start, &inverted.nearest].map(one_tile);
        let path = made.folder.join(format!("images/{at:05}.png"));
        let nearest = nearest?;
        nearest.write(&path)?;
        rows.extend([original?, start?, nearest]);
        made.images.push(path);
        made.classes.push(inverted.report.class.clone());
        made.inversions.push(inverted.report);
    }
    made.grid = made.folder.join("like.png");
    write_grid(&made.grid, &rows, 3)?;
    Ok(made)
}

/// The latents of all images, before anything is written.
///
/// # Errors
/// No image, a file that is no image.
pub(super) fn invert_all(
    chosen: &Chosen<'_>,
    images: &[PathBuf],
    progress: &mut dyn FnMut(InversionStep<'_>),
) -> Result<Vec<Inverted>> {
    if images.is_empty() {
        return Err(Error::setting("like", "names no image"));
    }
    images.iter().map(|image| invert(chosen, image, progress)).collect()
}

/// The only image of a batch.
pub(super) fn one_tile(image: &Tensor) -> Result<Tile> {
    tiles(image)?.pop().ok_or_else(|| Error::setting("like", "an image without pixels"))
}
