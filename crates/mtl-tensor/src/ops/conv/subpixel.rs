//! 4x4 kernels at stride 2, which double an image or halve one, by Winograd F(4x4, 2x2), f32.
//!
//! A pixel of the large image sees 2x2 taps of the small one; which ones depends on whether its row and its column are even or
//! odd. So there are four convolutions with 2x2 kernels between the small image and every second pixel of the large one, and
//! each takes 25 products for 16 pixels instead of 64: 2.56 times fewer. Taps of a kernel, per axis, with `i` the small
//! pixel: an even large pixel `2 i` sees `k3 x[i - 1] + k1 x[i]`, an odd one `k2 x[i] + k0 x[i + 1]`; on the way back `i` sees
//! `k1 y[2 i] + k3 y[2 i + 2]` and `k0 y[2 i - 1] + k2 y[2 i + 1]`.

use rayon::prelude::*;

use super::direct::total;
use super::geometry::{Geometry, Strip};
use super::strip_io::{Sink, Source};
use super::tile_layout::{CHANNELS, Division, kernel_gradient, kernel_rows, padded, put, read};
use super::tile_side::{TileSide, largest_tile};
use super::tile_transforms::{Transform, Way, plane};
use super::winograd_transforms::{F4Of2 as F, Scheme};
use crate::ops::microkernel::{Product, spread, whole};
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

/// A batch in tiles of the small images.
struct Tiling {
    division: Division,
    /// Numbers a pixel, and between tiles of a place.
    small: (usize, usize),
    large: (usize, usize),
}

impl Tiling {
    fn new(g: &Geometry) -> Self {
        let tiles = (g.out_height.div_ceil(F::OUT), g.out_width.div_ceil(F::OUT));
        let (small, large) = (whole(g.out_channels), whole(g.in_channels));
        let (small, large) = ((small, spread(small)), (large, spread(large)));
        Self { division: Division::new(g.batch, tiles, small.1 + large.1), small, large }
    }

    /// A strip's rows of the small image, with `border` pixels around them that tiles look at.
    fn small(&self, strip: Strip, border: usize) -> Rows {
        self.division.rows(strip, F::OUT, (border, 2 * border), self.small.0)
    }

    /// The same of the large image.
    fn large(&self, strip: Strip, border: usize) -> Rows {
        self.division.rows(strip, 2 * F::OUT, (border, 2 * border), self.large.0)
    }

    /// Working memory: pixels of the small and the large image, both in places.
    fn lengths(&self, strip: Strip, small: Rows, large: Rows) -> [usize; 4] {
        let places = |row| PLACES * plane(self.division.count(strip), row);
        [small.len() * strip.images, large.len() * strip.images, places(self.small.1), places(self.large.1)]
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
        let c = Window::of(&mut m[place * plane(count, to.1)..]);
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
        t.division.strips.par_iter().for_each(|&strip| {
            let (count, tiles) = (t.division.count(strip), t.division.group(strip));
            let (seen, made) = (t.small(strip, 1), t.large(strip, 0));
            with_scratch(t.lengths(strip, seen, made), |[small, large, v, m]| {
                read(from, strip, seen, small);
                for (phase, u) in PHASES.into_iter().zip(kernels.chunks_exact(kernel)) {
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
        t.division.strips.par_iter().for_each(|&strip| {
            let (count, tiles) = (t.division.count(strip), t.division.group(strip));
            let (made, seen) = (t.small(strip, 0), t.large(strip, 1));
            with_scratch(t.lengths(strip, made, seen), |[small, large, m, v]| {
                read(from, strip, seen, large);
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
    let size = (g.out_channels, t.large.0);
    let phase_numbers = PLACES * plane(size.0, size.1); // [place, small, large]
    let numbers = PHASES.len() * phase_numbers;
    // A strip's share, of the required phases.
    let share = |strip: Strip, phases: &[(usize, usize)], sums: Window<'_, f32>, add: bool| {
        let (seen, made, tiles) = (t.small(strip, 1), t.large(strip, 0), t.division.group(strip));
        with_scratch(t.lengths(strip, seen, made), |[small_pixels, large_pixels, v, m]| {
            read(small, strip, seen, small_pixels);
            read(large, strip, made, large_pixels);
            for (at, &phase) in phases.iter().enumerate() {
                let input = Transform::<F>::new(Way::Input, tiles, seen, (small_pixels, &mut *v), t.small.1);
                input.at(phase, 1).compute();
                let upstream = (&*large_pixels, &mut *m);
                let upstream = Transform::<F>::new(Way::OutputAdjoint, tiles, made, upstream, t.large.1);
                upstream.at(phase, 2).compute();
                for place in 0..PLACES {
                    let sums = sums.from(at * phase_numbers + place * plane(size.0, size.1));
                    let tiles = (place, t.division.count(strip));
                    kernel_gradient(tiles, (v, t.small.1), (m, t.large.1), size, sums, add);
                }
            }
        });
    };
    let Some(part) = t.division.strips_a_part() else {
        // Parts would be smaller than their sum, so threads divide the phases instead. The sums lie where the
        // other ways have their kernels.
        return with_shared([0, numbers], |[_, sums]| {
            sums.par_chunks_exact_mut(phase_numbers)
                .zip(PHASES)
                .for_each(|(sums, phase)| share(t.division.whole(), &[phase], Window::of(sums), false));
            kernels_adjoint(g, sums, t.large.0)
        });
    };
    let of_part = |strips: &[Strip]| {
        written(numbers, |sums| {
            let sums = Window::of_unwritten(sums);
            strips.iter().enumerate().for_each(|(at, &strip)| share(strip, &PHASES, sums, at > 0));
        })
    };
    let sums = total(t.division.strips.par_chunks(part).map(of_part).collect(), numbers);
    kernels_adjoint(g, &sums, t.large.0)
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

/// `U`, `[place, from, to]`, of packed kernels `[from, 16, to]`, for the given taps.
fn of_kernels<'a>(channels: usize, row: usize, packed: &'a [f32], u: &'a mut [f32]) -> Transform<'a, F> {
    Transform::new(Way::Kernel, (channels, (1, 1)), kernel_rows(4, row), (packed, u), row)
}
