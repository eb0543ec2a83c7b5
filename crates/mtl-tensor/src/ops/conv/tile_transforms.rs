//! Groups of tiles between pixels and places, by the transforms of a [`Scheme`].

#![allow(clippy::needless_range_loop)] // Places of a tile are found by their numbers, on both sides.

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};

use super::winograd_transforms::{Axis, Input, Kernel, KernelAdjoint, LINE, Line, Output, OutputAdjoint, Scheme, Tile};
use crate::ops::transpose::Rows;

/// The distance between places that hold `count` tiles, `row` apart: one cache line more than they need. A tile writes to
/// all places at once, and distances of whole pages would send all those lines to one set of the first-level cache.
pub(super) fn plane(count: usize, row: usize) -> usize {
    count * row + 16
}

/// Which way a group of tiles goes between pixels and places.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// `B^T d B`: overlapping tiles of pixels to places.
    Input,
    /// `A dy A^T`: tiles of pixels to places.
    OutputAdjoint,
    /// `A^T p A + bias`: places to tiles of pixels.
    Output,
    /// `G k G^T`: kernels to places.
    Kernel,
    /// `G^T u G`: places to kernels.
    KernelAdjoint,
}

/// A group of tiles through one transform: pixels `[images, rows, columns, channels]`, places `[place, tile, channels]`.
pub(super) struct Transform<'a, F> {
    way: Way,
    scheme: PhantomData<F>,
    images: usize,
    /// Tiles down and across an image.
    tiles: (usize, usize),
    /// Of one image; its stride is the number of channels, whole vectors.
    layout: Rows,
    /// Pixels or positions, by the direction of the transform, and the others.
    from: &'a [f32],
    to: &'a mut [f32],
    /// Distance between tiles in a place, and between places.
    tile_row: usize,
    plane: usize,
    /// The first tile's first pixel, and how many pixels further its next one is, down and across.
    origin: usize,
    step: isize,
    /// One number per channel, whole vectors; added by [`Way::Output`].
    bias: &'a [f32],
}

impl<'a, F: Scheme> Transform<'a, F> {
    /// Tiles of neighbouring pixels from the first one of `layout` on.
    pub(super) fn new(
        way: Way,
        (images, tiles): (usize, (usize, usize)),
        layout: Rows,
        (from, to): (&'a [f32], &'a mut [f32]),
        tile_row: usize,
    ) -> Self {
        let (scheme, origin, step, bias) = (PhantomData, 0, 1, [].as_slice());
        let plane = plane(images * tiles.0 * tiles.1, tile_row);
        Self { way, scheme, images, tiles, layout, from, to, tile_row, plane, origin, step, bias }
    }

    /// Places that hold so many tiles, of which these are some.
    pub(super) fn among(mut self, tiles: usize) -> Self {
        self.plane = plane(tiles, self.tile_row);
        self
    }

    /// Tiles of pixels `step` apart, backwards if it is negative, from the pixel at `(y, x)` on.
    pub(super) fn at(mut self, (y, x): (usize, usize), step: isize) -> Self {
        self.origin = y * self.layout.row() + x * self.layout.stride;
        self.step = step;
        self
    }

    pub(super) fn plus(mut self, bias: &'a [f32]) -> Self {
        self.bias = bias;
        self
    }

    pub(super) fn compute(self) {
        #[cfg(target_arch = "x86_64")]
        {
            if let (false, Some(simd)) = (self.layout.stride.is_multiple_of(16), pulp::x86::V3::try_new()) {
                return Simd::vectorize(simd, self);
            }
        }
        pulp::Arch::new().dispatch(self);
    }
}

impl<F: Scheme> WithSimd for Transform<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match self.way {
            Way::Input => self.pixels_to_places::<S, Input>(simd),
            Way::OutputAdjoint => self.pixels_to_places::<S, OutputAdjoint>(simd),
            Way::Kernel => self.pixels_to_places::<S, Kernel>(simd),
            Way::Output => self.places_to_pixels::<S, Output>(simd),
            Way::KernelAdjoint => self.places_to_pixels::<S, KernelAdjoint>(simd),
        }
    }
}

impl<F: Scheme> Transform<'_, F> {
    /// Tiles of pixels to places, lines first, then columns.
    #[inline(always)]
    fn pixels_to_places<S: Simd, A: Axis>(&mut self, simd: S) {
        let side = A::pixels::<F>();
        for at in 0..self.images * self.tiles.0 * self.tiles.1 {
            let corner = self.corner(at);
            for offset in (0..self.layout.stride).step_by(S::F32_LANES) {
                let mut tile: Tile<S> = [[simd.splat_f32s(0.0); LINE]; LINE];
                for y in 0..side {
                    for x in 0..side {
                        tile[y][x] = load::<S>(self.from, self.pixel(corner, y, x) + offset);
                    }
                    A::apply::<S, F>(simd, &mut tile[y]);
                }
                for x in 0..F::IN {
                    let mut column = column::<S>(&tile, x);
                    A::apply::<S, F>(simd, &mut column);
                    for y in 0..F::IN {
                        store::<S>(self.to, (y * F::IN + x) * self.plane + at * self.tile_row + offset, column[y]);
                    }
                }
            }
        }
    }

    /// Places to tiles of pixels.
    #[inline(always)]
    fn places_to_pixels<S: Simd, A: Axis>(&mut self, simd: S) {
        let side = A::pixels::<F>();
        for at in 0..self.images * self.tiles.0 * self.tiles.1 {
            let corner = self.corner(at);
            for offset in (0..self.layout.stride).step_by(S::F32_LANES) {
                let mut tile: Tile<S> = [[simd.splat_f32s(0.0); LINE]; LINE];
                for y in 0..F::IN {
                    for x in 0..F::IN {
                        tile[y][x] = load::<S>(self.from, (y * F::IN + x) * self.plane + at * self.tile_row + offset);
                    }
                    A::apply::<S, F>(simd, &mut tile[y]);
                }
                let bias = if self.bias.is_empty() { simd.splat_f32s(0.0) } else { load::<S>(self.bias, offset) };
                for x in 0..side {
                    let mut column = column::<S>(&tile, x);
                    A::apply::<S, F>(simd, &mut column);
                    for y in 0..side {
                        let to = self.pixel(corner, y, x) + offset;
                        store::<S>(self.to, to, simd.add_f32s(column[y], bias));
                    }
                }
            }
        }
    }

    /// Where tile `at` begins in the pixels.
    #[inline(always)]
    fn corner(&self, at: usize) -> usize {
        let (down, across) = self.tiles;
        let (image, y, x) = (at / (down * across), at / across % down, at % across);
        let tile = (y * self.layout.row() + x * self.layout.stride) * F::OUT * self.step.unsigned_abs();
        self.origin + image * self.layout.len() + tile
    }

    /// Where the pixel `(y, x)` of the tile at `corner` is; positions outside are caught when they are read or written.
    #[inline(always)]
    fn pixel(&self, corner: usize, y: usize, x: usize) -> usize {
        corner.wrapping_add_signed((y * self.layout.row() + x * self.layout.stride) as isize * self.step)
    }
}

#[inline(always)]
fn load<S: Simd>(from: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&from[at..at + S::F32_LANES]).0[0]
}

#[inline(always)]
fn store<S: Simd>(to: &mut [f32], at: usize, value: S::f32s) {
    S::as_mut_simd_f32s(&mut to[at..at + S::F32_LANES]).0[0] = value;
}

#[inline(always)]
fn column<S: Simd>(tile: &Tile<S>, x: usize) -> Line<S> {
    [tile[0][x], tile[1][x], tile[2][x], tile[3][x], tile[4][x], tile[5][x]]
}
