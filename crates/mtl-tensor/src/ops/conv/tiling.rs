//! How a batch is divided for Winograd's convolutions: tiles, strips of them, and what each strip works with.

use super::geometry::{Geometry, Strip, strips};
use super::images::Source;
use super::scheme::Scheme;
use super::tiles::{Transform, Way, plane};
use super::winograd::kernel_lengths;
use crate::ops::product::{Product, spread, whole};
use crate::ops::transpose::Rows;

/// The division of a batch: tiles of all images in strips of whole tile rows.
pub(super) struct Tiling {
    /// Tiles down and across an image.
    pub tiles: (usize, usize),
    /// Distances between tiles in the transformed input and in the products, and their widths.
    pub input_row: usize,
    pub output_row: usize,
    pub input_width: usize,
    pub output_width: usize,
    pub strips: Vec<Strip>,
}

/// Tiles of a batch up to which threads divide places, not strips.
const FEW_TO_CONVOLVE: usize = 16;

/// Numbers a place that a group of tiles aims at: with all places, about what the second-level cache holds.
pub(super) const PLACE_NUMBERS: usize = 5400;

/// Rows of tiles a task at most, for four tasks at least, but not fewer than fill the registers.
pub(super) fn a_task(images: usize, (down, across): (usize, usize)) -> usize {
    (images * down).div_ceil(4).max(8usize.div_ceil(across.max(1)))
}

impl Tiling {
    pub(super) fn new<F: Scheme>(g: &Geometry) -> Self {
        let tiles = (g.out_height.div_ceil(F::OUT), g.out_width.div_ceil(F::OUT));
        let (input_width, output_width) = (whole(g.in_channels), whole(g.out_channels));
        let (input_row, output_row) = (spread(input_width), spread(output_width));
        let rows = PLACE_NUMBERS / ((input_row + output_row) * tiles.1).max(1);
        let strips = strips(g.batch, tiles.0, rows.min(a_task(g.batch, tiles)));
        Self { tiles, input_row, output_row, input_width, output_width, strips }
    }

    /// Tiles of a strip.
    pub(super) fn count(&self, strip: Strip) -> usize {
        strip.images * strip.rows * self.tiles.1
    }

    /// Working memory: pixels, transformed input, products.
    pub(super) fn lengths<F: Scheme>(&self, g: &Geometry, strip: Strip) -> [usize; 3] {
        let pixels = self.seen::<F>(g, strip).len().max(self.made::<F>(strip).len()) * strip.images;
        let (places, count) = (F::IN * F::IN, self.count(strip));
        [pixels, places * plane(count, self.input_row), places * plane(count, self.output_row)]
    }

    /// The whole batch as one strip.
    pub(super) fn whole(&self, g: &Geometry) -> Strip {
        Strip { image: 0, images: g.batch, first: 0, rows: self.tiles.0 }
    }

    pub(super) fn is_few(&self, g: &Geometry) -> bool {
        self.count(self.whole(g)) <= FEW_TO_CONVOLVE
    }

    /// Memory shared by the tasks of a convolution: packed kernels, `U`, and for a few tiles what a strip has otherwise.
    pub(super) fn shared<F: Scheme>(&self, g: &Geometry) -> [usize; 5] {
        let [packed, u] = kernel_lengths::<F>(g, self.output_row);
        let [pixels, v, m] = if self.is_few(g) { self.lengths::<F>(g, self.whole(g)) } else { [0; 3] };
        [packed, u, pixels, v, m]
    }

    /// What a strip sees of each of its input images.
    pub(super) fn seen<F: Scheme>(&self, g: &Geometry, strip: Strip) -> Rows {
        Rows {
            first: (strip.first * F::OUT) as isize - g.padding as isize,
            rows: strip.rows * F::OUT + 2,
            left: g.padding,
            columns: self.tiles.1 * F::OUT + 2,
            stride: self.input_width,
        }
    }

    pub(super) fn input<'a, F: Scheme>(&self, g: &Geometry, strip: Strip, from: &'a dyn Source) -> Reading<'a> {
        let (layout, tiles) = (self.seen::<F>(g, strip), (strip.rows, self.tiles.1));
        Reading { way: Way::Input, from, layout, tiles, tile_row: self.input_row }
    }

    /// The gradient of one place of all kernels, `[Ci, Co]`, from so many tiles of both sides.
    pub(super) fn multiply(
        &self,
        g: &Geometry,
        (place, count): (usize, usize),
        v: &[f32],
        m: &[f32],
        sums: &mut [f32],
        add: bool,
    ) {
        let (numbers, gap) = sums.split_at_mut(g.in_channels * self.output_width);
        gap.fill(0.0);
        let product = Product {
            size: (g.in_channels, self.output_width),
            depth: count,
            a: &v[place * plane(count, self.input_row)..],
            a_strides: (1, self.input_row),
            b: &m[place * plane(count, self.output_row)..],
            b_step: self.output_row,
            segments: &[(0, 0)],
            c: numbers,
            c_row: self.output_width,
            add,
        };
        product.compute();
    }

    /// The gradient of a strip's output.
    pub(super) fn upstream<'a, F: Scheme>(&self, strip: Strip, from: &'a dyn Source) -> Reading<'a> {
        let (layout, tiles) = (self.made::<F>(strip), (strip.rows, self.tiles.1));
        Reading { way: Way::OutputAdjoint, from, layout, tiles, tile_row: self.output_row }
    }

    /// The output pixels of each of a strip's images, whole tiles.
    pub(super) fn made<F: Scheme>(&self, strip: Strip) -> Rows {
        Rows {
            first: (strip.first * F::OUT) as isize,
            rows: strip.rows * F::OUT,
            left: 0,
            columns: self.tiles.1 * F::OUT,
            stride: self.output_width,
        }
    }
}

/// The images of a strip to places: `layout` of each of them, in tiles.
pub(super) struct Reading<'a> {
    way: Way,
    from: &'a dyn Source,
    layout: Rows,
    tiles: (usize, usize),
    tile_row: usize,
}

impl Reading<'_> {
    pub(super) fn transform<F: Scheme>(&self, strip: Strip, pixels: &mut [f32], places: &mut [f32]) {
        let Self { way, layout, tiles, tile_row, .. } = *self;
        for (at, pixels) in pixels.chunks_exact_mut(layout.len()).enumerate().take(strip.images) {
            self.from.rows(strip.image + at, layout, pixels);
        }
        Transform::<F>::new(way, (strip.images, tiles), layout, (pixels, places), tile_row).compute();
    }
}
