//! 4x4 kernels at stride 2, which double an image or halve one, by Winograd F(4x4, 2x2), f32.
//!
//! A pixel of the large image sees 2x2 taps of the small one; which ones depends on whether its row and its column are even or
//! odd. So there are four convolutions with 2x2 kernels between the small image and every second pixel of the large one, and
//! each takes 25 products for 16 pixels instead of 64: 2.56 times fewer. Taps of a kernel, per axis, with `i` the small
//! pixel: an even large pixel `2 i` sees `k3 x[i - 1] + k1 x[i]`, an odd one `k2 x[i] + k0 x[i + 1]`; on the way back `i` sees
//! `k1 y[2 i] + k3 y[2 i + 2]` and `k0 y[2 i - 1] + k2 y[2 i + 1]`.

use rayon::prelude::*;

use super::direct::total;
use super::geometry::{Geometry, Strip, strips};
use super::images::{Sink, Source};
use super::scheme::{F4Of2 as F, Scheme};
use super::tiles::{Transform, Way, plane};
use super::tiling::{PLACE_NUMBERS, a_task};
use super::winograd::{CHANNELS, TileSide, kernel_rows, largest_tile, padded, strips_a_part};
use crate::ops::product::{Product, spread, whole};
use crate::ops::scratch::{with_scratch, with_shared};
use crate::ops::transpose::{Rows, gather, scatter};
use crate::ops::window::Window;
use crate::real::written;

const PLACES: usize = F::IN * F::IN;

/// Row and column of a large pixel, modulo 2.
const PHASES: [(usize, usize); 4] = [(0, 0), (0, 1), (1, 0), (1, 1)];

/// Whether these shapes gain; the large image is the geometry's input, the small one its output. Three channels are padded to
/// eight either way.
pub(super) fn suits(g: &Geometry) -> bool {
    let fits = (g.kernel_height, g.kernel_width, g.stride, g.padding) == (4, 4, 2, 1)
        && g.in_height == 2 * g.out_height
        && g.in_width == 2 * g.out_width
        && g.out_channels >= 8
        && g.in_channels >= 3;
    let tiles = g.out_height.div_ceil(F::OUT) * g.out_width.div_ceil(F::OUT);
    // A third of them are lost to the transforms.
    fits && 3 * tiles * PHASES.len() * PLACES <= 2 * g.out_pixels() * 16 && largest_tile() == TileSide::Four
}

/// The division of a batch: tiles of all small images in strips of whole tile rows.
struct Tiling {
    tiles: (usize, usize),
    /// Numbers a pixel, and between tiles of a place.
    small: (usize, usize),
    large: (usize, usize),
    strips: Vec<Strip>,
}

impl Tiling {
    fn new(g: &Geometry) -> Self {
        let tiles = (g.out_height.div_ceil(F::OUT), g.out_width.div_ceil(F::OUT));
        let (small, large) = (whole(g.out_channels), whole(g.in_channels));
        let (small, large) = ((small, spread(small)), (large, spread(large)));
        let rows = PLACE_NUMBERS / ((small.1 + large.1) * tiles.1).max(1);
        Self { tiles, small, large, strips: strips(g.batch, tiles.0, rows.min(a_task(g.batch, tiles))) }
    }

    /// Images of a strip, and tiles of each.
    fn tiles(&self, strip: Strip) -> (usize, (usize, usize)) {
        (strip.images, (strip.rows, self.tiles.1))
    }

    fn count(&self, strip: Strip) -> usize {
        strip.images * strip.rows * self.tiles.1
    }

    /// Working memory for the gradient of the weights: pixels of both images, both in places.
    fn lengths(&self, strip: Strip) -> [usize; 4] {
        let count = self.count(strip);
        [
            self.rows(strip, 1, 1).len() * strip.images,
            self.rows(strip, 2, 0).len() * strip.images,
            PLACES * plane(count, self.small.1),
            PLACES * plane(count, self.large.1),
        ]
    }

    /// Both images' pixels for the gradient of the weights.
    fn read(&self, strip: Strip, small: (&dyn Source, &mut [f32]), large: (&dyn Source, &mut [f32])) {
        read(small.0, strip, self.rows(strip, 1, 1), small.1);
        read(large.0, strip, self.rows(strip, 2, 0), large.1);
    }

    /// A strip's share of the gradient of one phase's kernels, `[place, small, large]`.
    fn multiply(
        &self,
        g: &Geometry,
        (strip, phase): (Strip, (usize, usize)),
        (seen, made): (&[f32], &[f32]),
        (v, m): (&mut [f32], &mut [f32]),
        sums: &mut [f32],
        add: bool,
    ) {
        let (tiles, count) = (self.tiles(strip), self.count(strip));
        let input = Transform::<F>::new(Way::Input, tiles, self.rows(strip, 1, 1), (seen, &mut *v), self.small.1);
        input.at(phase, 1).compute();
        let layout = self.rows(strip, 2, 0);
        let upstream = Transform::<F>::new(Way::OutputAdjoint, tiles, layout, (made, &mut *m), self.large.1);
        upstream.at(phase, 2).compute();
        for (place, sums) in sums.chunks_exact_mut(plane(g.out_channels, self.large.0)).enumerate() {
            let (numbers, gap) = sums.split_at_mut(g.out_channels * self.large.0);
            gap.fill(0.0);
            let product = Product {
                size: (g.out_channels, self.large.0),
                depth: count,
                a: &v[place * plane(count, self.small.1)..],
                a_strides: (1, self.small.1),
                b: &m[place * plane(count, self.large.1)..],
                b_step: self.large.1,
                segments: &[(0, 0)],
                c: numbers,
                c_row: self.large.0,
                add,
            };
            product.compute();
        }
    }

    /// A strip's rows of the small image and of the large one, with or without the pixels around them that tiles look at.
    fn rows(&self, strip: Strip, factor: usize, border: usize) -> Rows {
        let side = F::OUT * factor;
        Rows {
            first: (strip.first * side) as isize - border as isize,
            rows: strip.rows * side + 2 * border,
            left: border,
            columns: self.tiles.1 * side + 2 * border,
            stride: if factor == 1 { self.small.0 } else { self.large.0 },
        }
    }
}

fn read(from: &dyn Source, strip: Strip, layout: Rows, pixels: &mut [f32]) {
    for (at, pixels) in pixels.chunks_exact_mut(layout.len()).enumerate().take(strip.images) {
        from.rows(strip.image + at, layout, pixels);
    }
}

/// Hands the rows that lie inside an image of `height` rows on.
fn put(to: &dyn Sink, strip: Strip, height: usize, layout: Rows, pixels: &mut [f32]) {
    let first = layout.first as usize;
    let rows = layout.rows.min(height - first);
    for (at, pixels) in pixels.chunks_exact_mut(layout.len()).enumerate().take(strip.images) {
        to.put(strip.image + at, first, (rows, layout.columns, layout.stride), pixels);
    }
}

/// All places of one phase: `C (+)= V U`, of `count` tiles.
fn products(
    count: usize,
    (v, from): (&[f32], (usize, usize)),
    u: &[f32],
    (m, to): (&mut [f32], (usize, usize)),
    add: bool,
) {
    let (depth, kernels) = (from.0, u.len() / PLACES);
    for place in 0..PLACES {
        let a = (&v[place * plane(count, from.1)..], (from.1, 1));
        let c = &mut m[place * plane(count, to.1)..];
        Product::of((count, to.0), depth, a, &u[place * kernels..], c, to.1, add).compute();
    }
}

/// The large image from the small one: a transposed convolution, `w [small, large, 4, 4]`, `bias [large]`.
pub(super) fn enlarge(g: &Geometry, w: &[f32], from: &dyn Source, bias: Option<&[f32]>, to: &dyn Sink) {
    let t = Tiling::new(g);
    let bias = padded(bias, t.large.0);
    let kernel = PLACES * plane(g.out_channels, t.large.1);
    with_shared([g.out_channels * 16 * t.large.1, PHASES.len() * kernel], |[packed, kernels]| {
        let layout = Rows { first: 0, rows: 1, left: 0, columns: 16, stride: t.large.1 };
        for (w, packed) in w.chunks_exact(g.depth()).zip(packed.chunks_exact_mut(layout.len())) {
            gather(w, g.in_channels, (1, 16), layout, packed);
        }
        for ((y, x), u) in PHASES.into_iter().zip(kernels.chunks_exact_mut(kernel)) {
            of_kernels(g.out_channels, t.large.1, packed, u).at((3 - y, 3 - x), -2).compute();
        }
        let kernels = &*kernels;
        t.strips.par_iter().for_each(|&strip| {
            let (count, seen, made) = (t.count(strip), t.rows(strip, 1, 1), t.rows(strip, 2, 0));
            let lengths = [
                seen.len() * strip.images,
                made.len() * strip.images,
                PLACES * plane(count, t.small.1),
                PLACES * plane(count, t.large.1),
            ];
            with_scratch(lengths, |[small, large, v, m]| {
                read(from, strip, seen, small);
                for (phase, u) in PHASES.into_iter().zip(kernels.chunks_exact(kernel)) {
                    let tiles = t.tiles(strip);
                    Transform::<F>::new(Way::Input, tiles, seen, (small, &mut *v), t.small.1).at(phase, 1).compute();
                    products(count, (v, (g.out_channels, t.small.1)), u, (m, t.large), false);
                    let output = Transform::<F>::new(Way::Output, tiles, made, (m, large), t.large.1);
                    output.at(phase, 2).plus(&bias).compute();
                }
                put(to, strip, g.in_height, made, large);
            });
        });
    });
}

/// The small image from the large one: a convolution, `w [small, large, 4, 4]`, `bias [small]`.
pub(super) fn reduce(g: &Geometry, w: &[f32], from: &dyn Source, bias: Option<&[f32]>, to: &dyn Sink) {
    let t = Tiling::new(g);
    let bias = padded(bias, t.small.0);
    let kernel = PLACES * plane(g.in_channels, t.small.1);
    with_shared([g.in_channels * 16 * t.small.1, PHASES.len() * kernel], |[packed, kernels]| {
        let layout = Rows { first: 0, rows: 1, left: 0, columns: g.in_channels * 16, stride: t.small.1 };
        gather(w, g.out_channels, (1, g.in_channels * 16), layout, packed);
        for ((y, x), u) in PHASES.into_iter().zip(kernels.chunks_exact_mut(kernel)) {
            of_kernels(g.in_channels, t.small.1, packed, u).at((1 - y, 1 - x), 2).compute();
        }
        let kernels = &*kernels;
        t.strips.par_iter().for_each(|&strip| {
            let (count, seen, made) = (t.count(strip), t.rows(strip, 2, 1), t.rows(strip, 1, 0));
            let lengths = [
                seen.len() * strip.images,
                made.len() * strip.images,
                PLACES * plane(count, t.large.1),
                PLACES * plane(count, t.small.1),
            ];
            with_scratch(lengths, |[large, small, v, m]| {
                read(from, strip, seen, large);
                let tiles = t.tiles(strip);
                for (at, ((y, x), u)) in PHASES.into_iter().zip(kernels.chunks_exact(kernel)).enumerate() {
                    let input = Transform::<F>::new(Way::Input, tiles, seen, (large, &mut *v), t.large.1);
                    input.at((1 - y, 1 - x), 2).compute();
                    products(count, (v, (g.in_channels, t.large.1)), u, (m, t.small), at > 0);
                }
                Transform::<F>::new(Way::Output, tiles, made, (m, small), t.small.1).plus(&bias).compute();
                put(to, strip, g.out_height, made, small);
            });
        });
    });
}

/// `dW [small, large, 4, 4]` from both images, one of them a gradient: as [`enlarge`] would have it.
pub(super) fn grad_weight(g: &Geometry, large: &dyn Source, small: &dyn Source) -> Vec<f32> {
    let t = Tiling::new(g);
    let phase_numbers = PLACES * plane(g.out_channels, t.large.0);
    let numbers = PHASES.len() * phase_numbers; // [phase, place, small, large]
    let Some(part) = strips_a_part(&t.strips, t.tiles.1) else {
        return of_few(g, &t, large, small, numbers);
    };
    let of_part = |strips: &[Strip]| {
        written(numbers, |sums| {
            let sums = Window::of_unwritten(sums).own(0, numbers);
            for (at, &strip) in strips.iter().enumerate() {
                with_scratch(t.lengths(strip), |[seen, made, v, m]| {
                    t.read(strip, (small, seen), (large, made));
                    for (phase, sums) in PHASES.into_iter().zip(sums.chunks_exact_mut(phase_numbers)) {
                        t.multiply(g, (strip, phase), (seen, made), (v, m), sums, at > 0);
                    }
                });
            }
        })
    };
    let sums = total(t.strips.par_chunks(part).map(of_part).collect(), numbers);
    kernels_adjoint(g, &sums, t.large.0)
}

/// The same from a few tiles: parts would be smaller than what they add up to, so the phases are what threads divide.
fn of_few(g: &Geometry, t: &Tiling, large: &dyn Source, small: &dyn Source, numbers: usize) -> Vec<f32> {
    let all = Strip { image: 0, images: g.batch, first: 0, rows: t.tiles.0 };
    with_shared([numbers], |[sums]| {
        sums.par_chunks_exact_mut(numbers / PHASES.len()).zip(PHASES).for_each(|(sums, phase)| {
            with_scratch(t.lengths(all), |[seen, made, v, m]| {
                t.read(all, (small, seen), (large, made));
                t.multiply(g, (all, phase), (seen, made), (v, m), sums, false);
            });
        });
        kernels_adjoint(g, sums, t.large.0)
    })
}

/// The gradient of the kernels from that of `U` of each phase.
fn kernels_adjoint(g: &Geometry, sums: &[f32], row: usize) -> Vec<f32> {
    let (all, layout) = (g.out_channels, kernel_rows(4, row));
    written(all * g.depth(), |dw| {
        let dw = Window::of_unwritten(dw);
        (0..all).into_par_iter().step_by(CHANNELS).for_each(|first| {
            let count = CHANNELS.min(all - first);
            with_scratch([count * layout.len()], |[taps]| {
                for ((y, x), u) in PHASES.into_iter().zip(sums.chunks_exact(sums.len() / PHASES.len())) {
                    let kernels = (&u[first * row..], &mut *taps);
                    let adjoint = Transform::<F>::new(Way::KernelAdjoint, (count, (1, 1)), layout, kernels, row);
                    adjoint.among(all).at((3 - y, 3 - x), -2).compute();
                }
                for (small, taps) in (first..).zip(taps.chunks_exact(layout.len())) {
                    scatter(taps, (1, 16, row), g.in_channels, dw.from(small * g.depth()), (16, 16));
                }
            });
        });
    })
}

/// `U`, `[place, from, to]`, of packed kernels `[from, 16, to]`; which taps is to be said.
fn of_kernels<'a>(channels: usize, row: usize, packed: &'a [f32], u: &'a mut [f32]) -> Transform<'a, F> {
    Transform::new(Way::Kernel, (channels, (1, 1)), kernel_rows(4, row), (packed, u), row)
}
