//! 3x3 convolution at stride 1 with fewer multiplications (Winograd; Lavin and Gray 2016, arXiv 1509.09308), f32.
//!
//! A tile of `m x m` output pixels needs `(m + 2)^2` products a channel pair instead of `9 m^2`: with `d` the tile's input
//! and `k` the kernel, `y = A^T [(G k G^T) * (B^T d B)] A`, the star for each place by itself, summed over input channels: a
//! matrix product a place. The gradient of the weights is the exact adjoint with the same transforms,
//! `dk = G^T [(B^T d B) * (A dy A^T)] G`, summed over tiles; that of the input is the convolution with the turned kernel.
//!
//! [`F2`](super::scheme::F2) (`m = 2`) multiplies 2.25 times less than the definition, and its transforms only add, subtract
//! and halve; [`F4`](super::scheme::F4) (`m = 4`) multiplies 4 times less. Rounding errors of both stay below 5e-6 of the
//! values, root mean square, over random shapes (a test); [`with_largest_tile`] keeps to the smaller tiles. One thing is
//! different from the definition: a gradient whose terms are all exactly zero can come out as a rounding error instead, which
//! Adam, dividing by the gradient's own size, makes a step of.

use std::cell::Cell;

use rayon::prelude::*;

use super::direct::{WEIGHT_PARTS, total};
use super::geometry::{Geometry, Strip};
use super::images::{Sink, Source};
use super::kept::kept;
use super::scheme::{F2, F4, Scheme};
use super::tiles::{Transform, Way, plane};
use super::tiling::Tiling;
use crate::ops::product::Product;
use crate::ops::scratch::{with_scratch, with_shared};
use crate::ops::transpose::{Rows, gather, scatter};
use crate::ops::window::Window;
use crate::real::written;

pub(super) fn largest_tile() -> TileSide {
    LARGEST.get()
}

/// Products an image and channel pair from which on they pay for the transforms.
const FEWEST_PRODUCTS: usize = 16 * 16;

/// Output pixels a tile and axis of a fast convolution: larger tiles multiply less and round more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TileSide {
    /// 2: 2.25 times fewer multiplications than the definition.
    Two,
    /// 4: 4 times fewer.
    Four,
}

thread_local! {
    static LARGEST: Cell<TileSide> = const { Cell::new(TileSide::Four) };
}

/// Runs `body` with tiles of at most this size on this thread; without, [`TileSide::Four`] where shapes allow. Gradients are
/// computed where [`backward`](crate::backward) is called, so that belongs inside too.
pub fn with_largest_tile<R>(side: TileSide, body: impl FnOnce() -> R) -> R {
    let before = LARGEST.replace(side);
    let result = body();
    LARGEST.set(before);
    result
}

/// Whether these shapes gain, and from which tiles: those that need fewer products, whole tiles counted. The batch has no
/// say, so that no image depends on how many it is computed with.
pub(super) fn suits(g: &Geometry) -> Option<TileSide> {
    let fits = (g.kernel_height, g.kernel_width, g.stride) == (3, 3, 1) && g.in_channels >= 8 && g.out_channels >= 8;
    let (two, four) = (products::<F2>(g), products::<F4>(g));
    // The larger tiles' transforms cost more.
    if !fits || two < FEWEST_PRODUCTS {
        None
    } else if 6 * four <= 5 * two && LARGEST.get() == TileSide::Four {
        Some(TileSide::Four)
    } else {
        Some(TileSide::Two)
    }
}

/// The same for the gradient of the weights: a sum over the batch, whose result is transformed once.
pub(super) fn suits_weights(g: &Geometry) -> Option<TileSide> {
    suits(g).filter(|_| g.batch * products::<F2>(g) >= 4 * FEWEST_PRODUCTS)
}

/// Products an image and channel pair.
fn products<F: Scheme>(g: &Geometry) -> usize {
    g.out_height.div_ceil(F::OUT) * g.out_width.div_ceil(F::OUT) * F::IN * F::IN
}

/// Numbers of the packed kernels, and of `U`.
pub(super) fn kernel_lengths<F: Scheme>(g: &Geometry, row: usize) -> [usize; 2] {
    [g.in_channels * 9 * row, F::IN * F::IN * plane(g.in_channels, row)]
}

/// `U = G k G^T` of every channel pair, `[place, Ci, Co]`, from `w [Co, Ci, 3, 3]`.
fn kernels<F: Scheme>(g: &Geometry, w: &[f32], row: usize, [packed, u]: [&mut [f32]; 2]) {
    let taps = Rows { first: 0, rows: 1, left: 0, columns: g.in_channels * 9, stride: row };
    gather(w, g.out_channels, (1, g.in_channels * 9), taps, packed);
    of_kernels::<F>(g.in_channels, row, packed, u).compute();
}

/// The same for the way back, from `w [Ci, Co, 3, 3]`: kernels turned by 180 degrees.
fn turned_kernels<F: Scheme>(g: &Geometry, w: &[f32], row: usize, [packed, u]: [&mut [f32]; 2]) {
    let taps = Rows { first: 0, rows: 1, left: 0, columns: 9, stride: row };
    for (w, packed) in w.chunks_exact(g.out_channels * 9).zip(packed.chunks_exact_mut(taps.len())) {
        gather(w, g.out_channels, (1, 9), taps, packed);
    }
    of_kernels::<F>(g.in_channels, row, packed, u).at((2, 2), -1).compute();
}

fn of_kernels<'a, F: Scheme>(channels: usize, row: usize, packed: &'a [f32], u: &'a mut [f32]) -> Transform<'a, F> {
    Transform::new(Way::Kernel, (channels, (1, 1)), kernel_rows(3, row), (packed, u), row)
}

/// The gradient of the kernels, `[Co, Ci, 3, 3]`, from that of `U`.
fn kernels_adjoint<F: Scheme>(g: &Geometry, u: &[f32], row: usize) -> Vec<f32> {
    let (all, layout) = (g.in_channels, kernel_rows(3, row));
    written(g.out_channels * all * 9, |dw| {
        let dw = Window::of_unwritten(dw);
        (0..all).into_par_iter().step_by(CHANNELS).for_each(|first| {
            let count = CHANNELS.min(all - first);
            with_scratch([count * layout.len()], |[pixels]| {
                let kernels = (&u[first * row..], &mut *pixels);
                let adjoint = Transform::<F>::new(Way::KernelAdjoint, (count, (1, 1)), layout, kernels, row);
                adjoint.among(all).compute();
                scatter(pixels, (1, count * 9, row), g.out_channels, dw.from(first * 9), (all * 9, count * 9));
            });
        });
    })
}

/// Channels whose kernels one task computes.
pub(super) const CHANNELS: usize = 16;

/// A kernel as an image of `side x side` pixels.
pub(super) fn kernel_rows(side: usize, row: usize) -> Rows {
    Rows { first: 0, rows: side, left: 0, columns: side, stride: row }
}

/// `Y = conv(X, W) + b`, as [`super::direct::forward`].
pub(super) fn forward<F: Scheme>(g: &Geometry, x: &dyn Source, w: &[f32], bias: Option<&[f32]>, y: &dyn Sink) {
    let t = Tiling::new::<F>(g);
    with_shared(t.shared::<F>(g), |[packed, u, few @ ..]| {
        if g.batch == 1 {
            // For a single image, transforming the kernels is most of the work.
            let kept = kept(w, F::IN as u8, (g.in_channels, g.out_channels), || {
                kernels::<F>(g, w, t.output_row, [packed, &mut *u]);
                u.to_vec()
            });
            convolve::<F>(g, &t, x, &kept, bias, y, few);
        } else {
            kernels::<F>(g, w, t.output_row, [packed, &mut *u]);
            convolve::<F>(g, &t, x, u, bias, y, few);
        }
    });
}

/// `dX` from `dY`: `g` is [`Geometry::turned`], so `dY` is its input; `w` is still the kernel of the way there.
pub(super) fn grad_input<F: Scheme>(g: &Geometry, dy: &dyn Source, w: &[f32], dx: &dyn Sink) {
    let t = Tiling::new::<F>(g);
    with_shared(t.shared::<F>(g), |[packed, u, few @ ..]| {
        turned_kernels::<F>(g, w, t.output_row, [packed, &mut *u]);
        convolve::<F>(g, &t, dy, u, None, dx, few);
    });
}

/// Strip by strip, or, where there are only a few tiles and reading `U` is the work, with its places divided among threads.
fn convolve<F: Scheme>(
    g: &Geometry,
    t: &Tiling,
    x: &dyn Source,
    u: &[f32],
    bias: Option<&[f32]>,
    y: &dyn Sink,
    [pixels, v, m]: [&mut [f32]; 3],
) {
    let padded_bias = padded(bias, t.output_width);
    let multiply = |count: usize, place: usize, v: &[f32], m: &mut [f32]| {
        let a = (&v[place * plane(count, t.input_row)..], (t.input_row, 1));
        let b = &u[place * plane(g.in_channels, t.output_row)..];
        Product::of((count, t.output_width), g.in_channels, a, b, m, t.output_row, false).compute();
    };
    let finish = |strip: Strip, pixels: &mut [f32], m: &[f32]| {
        let made = t.made::<F>(strip);
        let tiles = (strip.images, (strip.rows, t.tiles.1));
        Transform::<F>::new(Way::Output, tiles, made, (m, pixels), t.output_row).plus(&padded_bias).compute();
        let first = strip.first * F::OUT;
        let rows = (strip.rows * F::OUT).min(g.out_height - first);
        for (at, pixels) in pixels.chunks_exact_mut(made.len()).enumerate().take(strip.images) {
            y.put(strip.image + at, first, (rows, made.columns, made.stride), pixels);
        }
    };
    if t.is_few(g) {
        let all = t.whole(g);
        let count = t.count(all);
        t.input::<F>(g, all, x).transform::<F>(all, pixels, v);
        let v = &*v;
        m.par_chunks_exact_mut(plane(count, t.output_row))
            .enumerate()
            .for_each(|(place, m)| multiply(count, place, v, m));
        return finish(all, pixels, m);
    }
    t.strips.par_iter().for_each(|&strip| {
        let count = t.count(strip);
        with_scratch(t.lengths::<F>(g, strip), |[pixels, v, m]| {
            t.input::<F>(g, strip, x).transform::<F>(strip, pixels, v);
            for (place, m) in m.chunks_exact_mut(plane(count, t.output_row)).enumerate() {
                multiply(count, place, v, m);
            }
            finish(strip, pixels, m);
        });
    });
}

/// A bias of whole vectors.
pub(super) fn padded(bias: Option<&[f32]>, width: usize) -> Vec<f32> {
    let mut padded = bias.unwrap_or_default().to_vec();
    padded.resize(width, 0.0);
    padded
}

/// Tiles that a partial gradient of the weights should see: summing fewer would take as long as adding the parts up.
const TILES_A_PART: usize = 256;

/// Tiles up to which there are no parts.
const FEW_TILES: usize = TILES_A_PART / 2;

/// Strips of one part, with `across` tiles in a row. Four parts at least, for as many threads; none where all strips together
/// are [`FEW_TILES`].
pub(super) fn strips_a_part(strips: &[Strip], across: usize) -> Option<usize> {
    let tiles: usize = strips.iter().map(|strip| strip.images * strip.rows * across).sum();
    let parts = (tiles / TILES_A_PART).clamp(4, WEIGHT_PARTS);
    (tiles > FEW_TILES).then(|| strips.len().div_ceil(parts).max(1))
}

/// `dW` from `X` and `dY`, as [`super::direct::grad_weight`].
pub(super) fn grad_weight<F: Scheme>(g: &Geometry, x: &dyn Source, dy: &dyn Source) -> Vec<f32> {
    let t = Tiling::new::<F>(g);
    let numbers = F::IN * F::IN * plane(g.in_channels, t.output_width); // [place, Ci, Co]
    let Some(part) = strips_a_part(&t.strips, t.tiles.1) else {
        return of_few::<F>(g, &t, x, dy, numbers);
    };
    let of_part = |strips: &[Strip]| {
        written(numbers, |sums| {
            // The first strip writes, the others add: zeros first would be a twentieth of a joint step.
            let sums = Window::of_unwritten(sums).own(0, numbers);
            for (at, &strip) in strips.iter().enumerate() {
                with_scratch(t.lengths::<F>(g, strip), |[pixels, v, m]| {
                    t.input::<F>(g, strip, x).transform::<F>(strip, pixels, v);
                    t.upstream::<F>(strip, dy).transform::<F>(strip, pixels, m);
                    for (place, sums) in sums.chunks_exact_mut(plane(g.in_channels, t.output_width)).enumerate() {
                        t.multiply(g, (place, t.count(strip)), v, m, sums, at > 0);
                    }
                });
            }
        })
    };
    let sums = total(t.strips.par_chunks(part).map(of_part).collect(), numbers);
    kernels_adjoint::<F>(g, &sums, t.output_width)
}

/// The same from a few tiles: parts would be smaller than what they add up to, so the places are what threads divide.
fn of_few<F: Scheme>(g: &Geometry, t: &Tiling, x: &dyn Source, dy: &dyn Source, numbers: usize) -> Vec<f32> {
    let all = t.whole(g);
    let [pixels, v, m] = t.lengths::<F>(g, all);
    with_shared([pixels, pixels, v, m, numbers], |[seen, made, v, m, sums]| {
        rayon::join(
            || t.input::<F>(g, all, x).transform::<F>(all, seen, v),
            || t.upstream::<F>(all, dy).transform::<F>(all, made, m),
        );
        let (v, m) = (&*v, &*m);
        sums.par_chunks_exact_mut(plane(g.in_channels, t.output_width))
            .enumerate()
            .for_each(|(place, sums)| t.multiply(g, (place, t.count(all)), v, m, sums, false));
        kernels_adjoint::<F>(g, sums, t.output_width)
    })
}
