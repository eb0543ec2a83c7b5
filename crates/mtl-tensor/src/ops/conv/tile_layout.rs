//! Layout of the tiles of Winograd's convolutions: division of a batch into tiles and strips of them, and operations on strips.

use super::direct::WEIGHT_PARTS;
use super::geometry::{Strip, strips};
use super::strip_io::{Sink, Source};
use super::tile_transforms::plane;
use crate::ops::microkernel::Product;
use crate::ops::transpose::Rows;
use crate::ops::window::Window;

/// Target number of values per position of a group of tiles: with all positions, about the size of the second-level cache.
const PLACE_NUMBERS: usize = 5400;

/// Tiles that fill the registers of a product.
const FULL: usize = 8;

/// Tiles that a partial gradient of the weights should see: summing fewer would take as long as adding the parts up.
const TILES_A_PART: usize = 256;

/// The tiles of a batch.
pub(super) struct Division {
    images: usize,
    /// Tiles down and across an image.
    tiles: (usize, usize),
    /// Of whole tile rows.
    pub strips: Vec<Strip>,
}

impl Division {
    /// `numbers`: numbers of a tile at each place, input and output together.
    pub(super) fn new(images: usize, tiles: (usize, usize), numbers: usize) -> Self {
        let (down, across) = (tiles.0, tiles.1.max(1));
        // About a quarter of the batch at most, for several threads, but not fewer tiles than fill the registers.
        let task = (images * down).div_ceil(4).max(FULL.div_ceil(across));
        let rows = (PLACE_NUMBERS / (numbers * across).max(1)).min(task);
        Self { images, tiles, strips: strips(images, down, rows) }
    }

    /// The whole batch as one strip.
    pub(super) fn whole(&self) -> Strip {
        Strip { image: 0, images: self.images, first: 0, rows: self.tiles.0 }
    }

    /// Images of a strip, and tiles of each, down and across.
    pub(super) fn group(&self, strip: Strip) -> (usize, (usize, usize)) {
        (strip.images, (strip.rows, self.tiles.1))
    }

    /// Tiles of a strip.
    pub(super) fn count(&self, strip: Strip) -> usize {
        strip.images * strip.rows * self.tiles.1
    }

    /// Strips of one part of a gradient of the weights. Four parts at least, for as many threads; none where all tiles
    /// together are half of what a part should see.
    pub(super) fn strips_a_part(&self) -> Option<usize> {
        let tiles = self.count(self.whole());
        let parts = (tiles / TILES_A_PART).clamp(4, WEIGHT_PARTS);
        (2 * tiles > TILES_A_PART).then(|| self.strips.len().div_ceil(parts).max(1))
    }

    /// The pixels of a strip's images whose tiles are `side` pixels wide, `stride` numbers each, with or without the pixels
    /// around them that tiles look at.
    pub(super) fn rows(&self, strip: Strip, side: usize, border: (usize, usize), stride: usize) -> Rows {
        Rows {
            first: (strip.first * side) as isize - border.0 as isize,
            rows: strip.rows * side + border.1,
            left: border.0,
            columns: self.tiles.1 * side + border.1,
            stride,
        }
    }
}

/// Reads the rows of each of a strip's images.
pub(super) fn read(from: &dyn Source, strip: Strip, layout: Rows, pixels: &mut [f32]) {
    for (at, pixels) in pixels.chunks_exact_mut(layout.len()).enumerate().take(strip.images) {
        from.rows(strip.image + at, layout, pixels);
    }
}

/// Hands the rows that lie inside an image of `height` rows on.
pub(super) fn put(to: &dyn Sink, strip: Strip, height: usize, layout: Rows, pixels: &mut [f32]) {
    let first = layout.first as usize;
    let rows = layout.rows.min(height - first);
    for (at, pixels) in pixels.chunks_exact_mut(layout.len()).enumerate().take(strip.images) {
        to.put(strip.image + at, first, (rows, layout.columns, layout.stride), pixels);
    }
}

/// The gradient of the kernels at one place, `[rows, columns]`: `V^T M` over `count` tiles of both sides, whose tiles are
/// so far apart. It is written, or added to the existing values.
pub(super) fn kernel_gradient(
    (place, count): (usize, usize),
    (v, v_row): (&[f32], usize),
    (m, m_row): (&[f32], usize),
    (rows, columns): (usize, usize),
    sums: Window<'_, f32>,
    add: bool,
) {
    let product = Product {
        size: (rows, columns),
        depth: count,
        a: &v[place * plane(count, v_row)..],
        a_strides: (1, v_row),
        b: &m[place * plane(count, m_row)..],
        b_step: m_row,
        segments: &[(0, 0)],
        c: sums,
        c_row: columns,
        add,
    };
    product.compute();
    // What keeps places off each other's cache lines is part of the sums' memory.
    sums.fill(rows * columns, plane(rows, columns) - rows * columns, 0.0);
}

/// A bias of whole vectors.
pub(super) fn padded(bias: Option<&[f32]>, width: usize) -> Vec<f32> {
    let mut padded = bias.unwrap_or_default().to_vec();
    padded.resize(width, 0.0);
    padded
}

/// Channels whose kernels one task computes.
pub(super) const CHANNELS: usize = 16;

/// A kernel as an image of `side x side` pixels.
pub(super) fn kernel_rows(side: usize, row: usize) -> Rows {
    Rows { first: 0, rows: side, left: 0, columns: side, stride: row }
}
