//! 3x3 convolution at stride 1 with fewer multiplications (Winograd; Lavin and Gray 2016, arXiv 1509.09308), f32.
//!
//! A tile of `m x m` output pixels needs `(m + 2)^2` products per channel pair instead of `9 m^2`: with `d` the tile's input
//! and `k` the kernel, `y = A^T [(G k G^T) * (B^T d B)] A`, the star for each place by itself, summed over input channels: a
//! matrix product per place. The gradient of the weights is the exact adjoint with the same transforms,
//! `dk = G^T [(B^T d B) * (A dy A^T)] G`, summed over tiles; that of the input is the convolution with the turned kernel.
//!
//! [`F2`](super::winograd_transforms::F2) (`m = 2`) multiplies 2.25 times less than the definition, and its transforms only add, subtract
//! and halve; [`F4`](super::winograd_transforms::F4) (`m = 4`) multiplies 4 times less. Rounding errors of both stay below 5e-6 of the
//! values, root mean square, over random shapes (a test); [`with_largest_tile`](super::with_largest_tile) keeps to the smaller tiles. One thing is
//! different from the definition: a gradient whose terms are all exactly zero can come out as a rounding error instead, which
//! Adam, dividing by the gradient's own size, makes a step of.

use rayon::prelude::*;

use super::direct::total;
use super::geometry::{Geometry, Strip};
use super::kernel_cache::kept;
use super::strip_io::{Sink, Source};
use super::tile_layout::{CHANNELS, Division, kernel_gradient, kernel_rows, padded, put, read};
use super::tile_side::{TileSide, largest_tile};
use super::tile_transforms::{Transform, Way, plane};
use super::winograd_transforms::{F2, F4, Scheme};
use crate::ops::microkernel::{Product, spread, whole};
use crate::ops::scratch::{with_scratch, with_shared};
use crate::ops::transpose::{Rows, gather, scatter};
use crate::ops::window::Window;
use crate::real::written;

/// Fewest products per image and channel pair that outweigh the transforms.
const FEWEST_PRODUCTS: usize = 16 * 16;
/// Fewest input and output channels that do so on smaller maps of whole large tiles.
const FEWEST_CHANNELS: usize = 32;

/// The tile side, chosen by the number of products with whole tiles counted; `None` if Winograd convolution does not apply or does
/// not pay off. Independent of the batch size, and so is the result for each image.
pub(super) fn suits(g: &Geometry) -> Option<TileSide> {
    let fits = (g.kernel_height, g.kernel_width, g.stride) == (3, 3, 1) && g.in_channels >= 8 && g.out_channels >= 8;
    let (two, four) = (products::<F2>(g), products::<F4>(g));
    let tiled = g.out_height.is_multiple_of(F4::OUT) && g.out_width.is_multiple_of(F4::OUT);
    let small = tiled && g.in_channels.min(g.out_channels) >= FEWEST_CHANNELS && largest_tile() == TileSide::Four;
    // The larger tiles' transforms cost more.
    if !fits || (two < FEWEST_PRODUCTS && !small) {
        None
    } else if 6 * four <= 5 * two && largest_tile() == TileSide::Four {
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

/// Tiles of a batch up to which threads divide places, not strips.
const FEW_TO_CONVOLVE: usize = 16;

/// A batch in tiles.
struct Tiling {
    division: Division,
    /// Numbers of a tile in the transformed input and in the products, and the distances between tiles.
    input: (usize, usize),
    output: (usize, usize),
}

impl Tiling {
    fn new<F: Scheme>(g: &Geometry) -> Self {
        let tiles = (g.out_height.div_ceil(F::OUT), g.out_width.div_ceil(F::OUT));
        let (input, output) = (whole(g.in_channels), whole(g.out_channels));
        let (input, output) = ((input, spread(input)), (output, spread(output)));
        Self { division: Division::new(g.batch, tiles, input.1 + output.1), input, output }
    }

    fn is_few(&self) -> bool {
        self.division.count(self.division.whole()) <= FEW_TO_CONVOLVE
    }

    /// Working memory: pixels, transformed input, products.
    fn lengths<F: Scheme>(&self, g: &Geometry, strip: Strip) -> [usize; 3] {
        let pixels = self.seen::<F>(g, strip).len().max(self.made::<F>(strip).len()) * strip.images;
        let (places, count) = (F::IN * F::IN, self.division.count(strip));
        [pixels, places * plane(count, self.input.1), places * plane(count, self.output.1)]
    }

    /// Memory shared by the tasks of a convolution: packed kernels, `U`, and for a few tiles the memory of a strip.
    fn shared<F: Scheme>(&self, g: &Geometry) -> [usize; 5] {
        let few = if self.is_few() { self.lengths::<F>(g, self.division.whole()) } else { [0; 3] };
        let u = F::IN * F::IN * plane(g.in_channels, self.output.1);
        [g.in_channels * 9 * self.output.1, u, few[0], few[1], few[2]]
    }

    /// The rows of each input image that a strip reads.
    fn seen<F: Scheme>(&self, g: &Geometry, strip: Strip) -> Rows {
        self.division.rows(strip, F::OUT, (g.padding, 2), self.input.0)
    }

    /// The output pixels of each of a strip's images, whole tiles.
    fn made<F: Scheme>(&self, strip: Strip) -> Rows {
        self.division.rows(strip, F::OUT, (0, 0), self.output.0)
    }

    /// A strip's input to places.
    fn input<F: Scheme>(&self, g: &Geometry, strip: Strip, x: &dyn Source, pixels: &mut [f32], v: &mut [f32]) {
        let layout = self.seen::<F>(g, strip);
        read(x, strip, layout, pixels);
        Transform::<F>::new(Way::Input, self.division.group(strip), layout, (pixels, v), self.input.1).compute();
    }

    /// The gradient of a strip's output to places.
    fn upstream<F: Scheme>(&self, strip: Strip, dy: &dyn Source, pixels: &mut [f32], m: &mut [f32]) {
        let layout = self.made::<F>(strip);
        read(dy, strip, layout, pixels);
        Transform::<F>::new(Way::OutputAdjoint, self.division.group(strip), layout, (pixels, m), self.output.1)
            .compute();
    }
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

/// `Y = conv(X, W) + b`, as [`super::direct::forward`].
pub(super) fn forward<F: Scheme>(g: &Geometry, x: &dyn Source, w: &[f32], bias: Option<&[f32]>, y: &dyn Sink) {
    let t = Tiling::new::<F>(g);
    with_shared(t.shared::<F>(g), |[packed, u, few @ ..]| {
        if g.batch == 1 {
            // For a single image, transforming the kernels is most of the work.
            let kept = kept(w, F::IN as u8, (g.in_channels, g.out_channels), || {
                kernels::<F>(g, w, t.output.1, [packed, &mut *u]);
                u.to_vec()
            });
            convolve::<F>(g, &t, x, &kept, bias, y, few);
        } else {
            kernels::<F>(g, w, t.output.1, [packed, &mut *u]);
            convolve::<F>(g, &t, x, u, bias, y, few);
        }
    });
}

/// `dX` from `dY`: `g` is [`Geometry::turned`], so `dY` is its input; `w` is still the kernel of the way there.
pub(super) fn grad_input<F: Scheme>(g: &Geometry, dy: &dyn Source, w: &[f32], dx: &dyn Sink) {
    let t = Tiling::new::<F>(g);
    with_shared(t.shared::<F>(g), |[packed, u, few @ ..]| {
        turned_kernels::<F>(g, w, t.output.1, [packed, &mut *u]);
        convolve::<F>(g, &t, dy, u, None, dx, few);
    });
}

/// Strip by strip, or, where there are only a few tiles and reading `U` is the work, with its positions divided among threads.
fn convolve<F: Scheme>(
    g: &Geometry,
    t: &Tiling,
    x: &dyn Source,
    u: &[f32],
    bias: Option<&[f32]>,
    y: &dyn Sink,
    [pixels, v, m]: [&mut [f32]; 3],
) {
    let bias = padded(bias, t.output.0);
    let multiply = |count: usize, place: usize, v: &[f32], m: &mut [f32]| {
        let a = (&v[place * plane(count, t.input.1)..], (t.input.1, 1));
        let b = &u[place * plane(g.in_channels, t.output.1)..];
        Product::of((count, t.output.0), g.in_channels, a, b, Window::of(m), t.output.1, false).compute();
    };
    let finish = |strip: Strip, pixels: &mut [f32], m: &[f32]| {
        let (made, group) = (t.made::<F>(strip), t.division.group(strip));
        Transform::<F>::new(Way::Output, group, made, (m, &mut *pixels), t.output.1).plus(&bias).compute();
        put(y, strip, g.out_height, made, pixels);
    };
    if t.is_few() {
        let all = t.division.whole();
        let count = t.division.count(all);
        t.input::<F>(g, all, x, pixels, v);
        let v = &*v;
        m.par_chunks_exact_mut(plane(count, t.output.1))
            .enumerate()
            .for_each(|(place, m)| multiply(count, place, v, m));
        return finish(all, pixels, m);
    }
    t.division.strips.par_iter().for_each(|&strip| {
        let count = t.division.count(strip);
        with_scratch(t.lengths::<F>(g, strip), |[pixels, v, m]| {
            t.input::<F>(g, strip, x, pixels, v);
            for (place, m) in m.chunks_exact_mut(plane(count, t.output.1)).enumerate() {
                multiply(count, place, v, m);
            }
            finish(strip, pixels, m);
        });
    });
}

/// `dW` from `X` and `dY`, as [`super::direct::grad_weight`].
pub(super) fn grad_weight<F: Scheme>(g: &Geometry, x: &dyn Source, dy: &dyn Source) -> Vec<f32> {
    let t = Tiling::new::<F>(g);
    let size = (g.in_channels, t.output.0);
    let numbers = F::IN * F::IN * plane(size.0, size.1); // [place, Ci, Co]
    let Some(part) = t.division.strips_a_part() else {
        return of_few::<F>(g, &t, x, dy, numbers);
    };
    let of_part = |strips: &[Strip]| {
        written(numbers, |sums| {
            let sums = Window::of_unwritten(sums);
            // The first strip writes, the others add: zeros first would be a twentieth of a joint step.
            for (at, &strip) in strips.iter().enumerate() {
                with_scratch(t.lengths::<F>(g, strip), |[pixels, v, m]| {
                    t.input::<F>(g, strip, x, pixels, v);
                    t.upstream::<F>(strip, dy, pixels, m);
                    for place in 0..F::IN * F::IN {
                        let (tiles, sums) =
                            ((place, t.division.count(strip)), sums.from(place * plane(size.0, size.1)));
                        kernel_gradient(tiles, (v, t.input.1), (m, t.output.1), size, sums, at > 0);
                    }
                });
            }
        })
    };
    let sums = total(t.division.strips.par_chunks(part).map(of_part).collect(), numbers);
    kernels_adjoint::<F>(g, &sums, t.output.0)
}

/// The same from a few tiles: parts would be smaller than their sum, so threads divide the positions instead.
fn of_few<F: Scheme>(g: &Geometry, t: &Tiling, x: &dyn Source, dy: &dyn Source, numbers: usize) -> Vec<f32> {
    let (all, size) = (t.division.whole(), (g.in_channels, t.output.0));
    let [pixels, v, m] = t.lengths::<F>(g, all);
    // The sums lie where convolutions have `U`, which is as large.
    with_shared([pixels, numbers, pixels, v, m], |[seen, sums, made, v, m]| {
        rayon::join(|| t.input::<F>(g, all, x, seen, v), || t.upstream::<F>(all, dy, made, m));
        let (v, m) = ((&*v, t.input.1), (&*m, t.output.1));
        sums.par_chunks_exact_mut(plane(size.0, size.1)).enumerate().for_each(|(place, sums)| {
            kernel_gradient((place, t.division.count(all)), v, m, size, Window::of(sums), false);
        });
        kernels_adjoint::<F>(g, sums, t.output.0)
    })
}
