//! 3x3 convolution at stride 1 with fewer multiplications (Winograd; Lavin and Gray 2016, arXiv 1509.09308), f32.
//!
//! A tile of `m x m` output pixels needs `(m + 2)^2` products a channel pair instead of `9 m^2`: with `d` the tile's input
//! and `k` the kernel, `y = A^T [(G k G^T) * (B^T d B)] A`, the star for each place by itself, summed over input channels: a
//! matrix product a place. The gradient of the weights is the exact adjoint with the same transforms,
//! `dk = G^T [(B^T d B) * (A dy A^T)] G`, summed over tiles; that of the input is the convolution with the turned kernel.
//!
//! [`F2`](super::scheme::F2) (`m = 2`) multiplies 2.25 times less than the definition. Its transforms add and subtract only,
//! and halve, so its rounding errors are those of the definition summed in another order: below 5e-6 of the values, root
//! mean square, over random shapes (a test). One thing is different: a gradient whose terms are all exactly zero can come
//! out as a rounding error instead, which Adam, dividing by the gradient's own size, makes a step of.

use std::marker::PhantomData;

use pulp::{Scalar, Simd, WithSimd};
use rayon::prelude::*;

use super::direct::{WEIGHT_PARTS, total};
use super::geometry::{Geometry, Strip, strips};
use super::product::{Product, spread, whole};
use super::scheme::{F2, LINE, Scheme, Tile, both_axes};
use super::scratch::with_scratch;
use super::transpose::{Rows, gather, scatter};
use super::window::Window;

/// Tiles an image from which on the products of a tile pay for the transforms.
const FEWEST_TILES: usize = 16;

/// Whether these shapes gain: enough channels on both sides, and enough tiles. The batch has no say, so that no image
/// depends on how many it is computed with.
pub(super) fn suits(g: &Geometry) -> bool {
    (g.kernel_height, g.kernel_width, g.stride) == (3, 3, 1)
        && g.in_channels >= 8
        && g.out_channels >= 8
        && tiles(g) >= FEWEST_TILES
}

/// Whether the gradient of the weights gains too: a sum over the batch, whose result is transformed once.
pub(super) fn suits_weights(g: &Geometry) -> bool {
    suits(g) && g.batch * tiles(g) >= 16 * FEWEST_TILES
}

fn tiles(g: &Geometry) -> usize {
    g.out_height.div_ceil(F2::OUT) * g.out_width.div_ceil(F2::OUT)
}

/// The division of a batch: tiles of all images in strips of whole tile rows.
struct Tiling {
    /// Tiles down and across an image.
    tiles: (usize, usize),
    /// Distances between tiles in the transformed input and in the products, and their widths.
    input_row: usize,
    output_row: usize,
    input_width: usize,
    output_width: usize,
    strips: Vec<Strip>,
}

/// Numbers of working memory a group of tiles aims at: what the second-level cache holds beside the weights.
const GROUP_NUMBERS: usize = 96 * 1024;

impl Tiling {
    fn new<F: Scheme>(g: &Geometry) -> Self {
        let tiles = (g.out_height.div_ceil(F::OUT), g.out_width.div_ceil(F::OUT));
        let (input_width, output_width) = (whole(g.in_channels), whole(g.out_channels));
        let (input_row, output_row) = (spread(input_width), spread(output_width));
        let rows = GROUP_NUMBERS / (F::IN * F::IN * (input_row + output_row) * tiles.1).max(1);
        let strips = strips(g.batch, tiles.0, rows);
        Self { tiles, input_row, output_row, input_width, output_width, strips }
    }

    /// Tiles of a strip.
    fn count(&self, strip: Strip) -> usize {
        strip.images * strip.rows * self.tiles.1
    }

    /// Working memory: pixels, transformed input, products.
    fn lengths<F: Scheme>(&self, g: &Geometry, strip: Strip) -> [usize; 3] {
        let pixels = self.seen::<F>(g, strip).len().max(self.made::<F>(strip).len()) * strip.images;
        let (places, count) = (F::IN * F::IN, self.count(strip));
        [pixels, places * plane(count, self.input_row), places * plane(count, self.output_row)]
    }

    /// What a strip sees of each of its input images.
    fn seen<F: Scheme>(&self, g: &Geometry, strip: Strip) -> Rows {
        Rows {
            first: (strip.first * F::OUT) as isize - g.padding as isize,
            rows: strip.rows * F::OUT + 2,
            left: g.padding,
            columns: self.tiles.1 * F::OUT + 2,
            stride: self.input_width,
        }
    }

    fn input<'a, F: Scheme>(&self, g: &Geometry, strip: Strip, x: &'a [f32]) -> Source<'a> {
        Source {
            way: Way::Input,
            images: x,
            channels: g.in_channels,
            size: (g.in_height, g.in_width),
            layout: self.seen::<F>(g, strip),
            tiles: (strip.rows, self.tiles.1),
            tile_row: self.input_row,
        }
    }

    /// The gradient of a strip's output.
    fn upstream<'a, F: Scheme>(&self, g: &Geometry, strip: Strip, dy: &'a [f32]) -> Source<'a> {
        Source {
            way: Way::OutputAdjoint,
            images: dy,
            channels: g.out_channels,
            size: (g.out_height, g.out_width),
            layout: self.made::<F>(strip),
            tiles: (strip.rows, self.tiles.1),
            tile_row: self.output_row,
        }
    }

    /// The output pixels of each of a strip's images, whole tiles.
    fn made<F: Scheme>(&self, strip: Strip) -> Rows {
        Rows {
            first: (strip.first * F::OUT) as isize,
            rows: strip.rows * F::OUT,
            left: 0,
            columns: self.tiles.1 * F::OUT,
            stride: self.output_width,
        }
    }
}

/// The distance between places that hold `count` tiles, `row` apart: one cache line more than they need. A tile writes to
/// all places at once, and distances of whole pages would send all those lines to one set of the first-level cache.
fn plane(count: usize, row: usize) -> usize {
    count * row + 16
}

/// `U = G k G^T` of every channel pair, `[place, Ci, Co]`.
fn kernels<F: Scheme>(g: &Geometry, w: &[f32], row: usize) -> Vec<f32> {
    let places = F::IN * F::IN;
    let mut u = vec![0.0; places * g.in_channels * row];
    for ci in 0..g.in_channels {
        for co in 0..g.out_channels {
            let kernel = &w[(co * g.in_channels + ci) * 9..][..9];
            let mut tile: Tile<Scalar> = [[0.0; LINE]; LINE];
            for (line, from) in tile.iter_mut().zip(kernel.chunks_exact(3)) {
                line[..3].copy_from_slice(from);
            }
            both_axes::<Scalar>(&mut tile, 3, F::IN, |line| F::kernel(Scalar, line));
            for place in 0..places {
                u[(place * g.in_channels + ci) * row + co] = tile[place / F::IN][place % F::IN];
            }
        }
    }
    u
}

#[derive(Clone, Copy)]
/// Which way a group of tiles goes between pixels and places.
enum Way {
    /// `B^T d B`: overlapping tiles of pixels to places.
    Input,
    /// `A dy A^T`: tiles of pixels to places.
    OutputAdjoint,
    /// `A^T p A + bias`: places to tiles of pixels.
    Output,
}

/// A group of tiles through one transform: pixels `[images, rows, columns, channels]`, places `[place, tile, channels]`.
struct Transform<'a, F> {
    way: Way,
    scheme: PhantomData<F>,
    images: usize,
    /// Tiles down and across an image.
    tiles: (usize, usize),
    /// Of one image; its stride is the number of channels, whole vectors.
    layout: Rows,
    pixels: &'a mut [f32],
    places: &'a mut [f32],
    /// Distance between tiles in a place.
    tile_row: usize,
    /// One number a channel, whole vectors; added by [`Way::Output`].
    bias: &'a [f32],
}

impl<F: Scheme> Transform<'_, F> {
    fn compute(self) {
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
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { images, tiles: (down, across), layout, pixels, places, tile_row, bias, way, .. } = self;
        let plane = plane(images * down * across, tile_row);
        let zero = simd.splat_f32s(0.0);
        for at in 0..images * down * across {
            let (image, y, x) = (at / (down * across), at / across % down, at % across);
            let corner = image * layout.len() + y * F::OUT * layout.row() + x * F::OUT * layout.stride;
            for offset in (0..layout.stride).step_by(S::F32_LANES) {
                let pixel = |y: usize, x: usize| corner + y * layout.row() + x * layout.stride + offset;
                let place = |y: usize, x: usize| (y * F::IN + x) * plane + at * tile_row + offset;
                let mut tile: Tile<S> = [[zero; LINE]; LINE];
                match way {
                    Way::Input => {
                        read::<S>(&mut tile, F::IN, pixels, pixel);
                        both_axes::<S>(&mut tile, F::IN, F::IN, |line| F::input(simd, line));
                        write::<S>(&tile, F::IN, places, place);
                    }
                    Way::OutputAdjoint => {
                        read::<S>(&mut tile, F::OUT, pixels, pixel);
                        both_axes::<S>(&mut tile, F::OUT, F::IN, |line| F::output_adjoint(simd, line));
                        write::<S>(&tile, F::IN, places, place);
                    }
                    Way::Output => {
                        read::<S>(&mut tile, F::IN, places, place);
                        both_axes::<S>(&mut tile, F::IN, F::OUT, |line| F::output(simd, line));
                        let bias = S::as_simd_f32s(&bias[offset..][..S::F32_LANES]).0[0];
                        for line in tile.iter_mut() {
                            line.iter_mut().for_each(|value| *value = simd.add_f32s(*value, bias));
                        }
                        write::<S>(&tile, F::OUT, pixels, pixel);
                    }
                }
            }
        }
    }
}

/// The first `side` numbers of the first `side` lines, a vector of channels each.
#[inline(always)]
fn read<S: Simd>(tile: &mut Tile<S>, side: usize, from: &[f32], at: impl Fn(usize, usize) -> usize) {
    for (y, line) in tile.iter_mut().enumerate().take(side) {
        for (x, value) in line.iter_mut().enumerate().take(side) {
            *value = S::as_simd_f32s(&from[at(y, x)..][..S::F32_LANES]).0[0];
        }
    }
}

#[inline(always)]
fn write<S: Simd>(tile: &Tile<S>, side: usize, to: &mut [f32], at: impl Fn(usize, usize) -> usize) {
    for (y, line) in tile.iter().enumerate().take(side) {
        for (x, value) in line.iter().enumerate().take(side) {
            S::as_mut_simd_f32s(&mut to[at(y, x)..][..S::F32_LANES]).0[0] = *value;
        }
    }
}

/// The images of a strip, from channel planes to places.
struct Source<'a> {
    way: Way,
    images: &'a [f32],
    channels: usize,
    size: (usize, usize),
    layout: Rows,
    tiles: (usize, usize),
    tile_row: usize,
}

impl Source<'_> {
    fn transform<F: Scheme>(&self, strip: Strip, pixels: &mut [f32], places: &mut [f32]) {
        let image = self.channels * self.size.0 * self.size.1;
        let images = self.images[strip.image * image..].chunks_exact(image);
        for (image, pixels) in images.zip(pixels.chunks_exact_mut(self.layout.len())).take(strip.images) {
            gather(image, self.channels, self.size, self.layout, pixels);
        }
        let transform = Transform::<F> {
            way: self.way,
            scheme: PhantomData,
            images: strip.images,
            tiles: self.tiles,
            layout: self.layout,
            pixels,
            places,
            tile_row: self.tile_row,
            bias: &[],
        };
        transform.compute();
    }
}

/// `Y = conv(X, W) + b`, as [`super::direct::forward`].
pub(super) fn forward<F: Scheme>(g: &Geometry, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let mut y = vec![0.0; g.batch * g.out_image()];
    let t = Tiling::new::<F>(g);
    let u = kernels::<F>(g, w, t.output_row);
    let mut padded_bias = vec![0.0; t.output_width];
    padded_bias.iter_mut().zip(bias.unwrap_or_default()).for_each(|(to, from)| *to = *from);
    let window = Window::of(&mut y);
    t.strips.par_iter().for_each(|&strip| {
        let (tiles, count) = ((strip.rows, t.tiles.1), t.count(strip));
        with_scratch(t.lengths::<F>(g, strip), |pixels, v, m| {
            t.input::<F>(g, strip, x).transform::<F>(strip, pixels, v);
            for place in 0..F::IN * F::IN {
                let product = Product {
                    size: (count, t.output_width),
                    depth: g.in_channels,
                    a: &v[place * plane(count, t.input_row)..],
                    a_strides: (t.input_row, 1),
                    b: &u[place * g.in_channels * t.output_row..],
                    b_step: t.output_row,
                    segments: &[(0, 0)],
                    c: &mut m[place * plane(count, t.output_row)..],
                    c_row: t.output_row,
                    add: false,
                };
                product.compute();
            }
            let made = t.made::<F>(strip);
            let transform = Transform::<F> {
                way: Way::Output,
                scheme: PhantomData,
                images: strip.images,
                tiles,
                layout: made,
                pixels,
                places: m,
                tile_row: t.output_row,
                bias: &padded_bias,
            };
            transform.compute();
            let first = strip.first * F::OUT;
            let rows = (strip.rows * F::OUT).min(g.out_height - first);
            for (at, pixels) in pixels.chunks_exact(made.len()).enumerate().take(strip.images) {
                let to = window.from((strip.image + at) * g.out_image() + first * g.out_width);
                let size = (rows, made.columns, made.stride);
                scatter(pixels, size, g.out_channels, to, (g.out_pixels(), g.out_width));
            }
        });
    });
    y
}

/// `dW` from `X` and `dY`, as [`super::direct::grad_weight`].
pub(super) fn grad_weight<F: Scheme>(g: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let t = Tiling::new::<F>(g);
    let places = F::IN * F::IN;
    let kernel_plane = g.in_channels * t.output_row;
    let part = t.strips.len().div_ceil(WEIGHT_PARTS).max(1);
    let sums: Vec<Vec<f32>> = t
        .strips
        .par_chunks(part)
        .map(|strips| {
            let mut sums = vec![0.0; places * kernel_plane]; // [place, Ci, Co]
            for &strip in strips {
                let count = t.count(strip);
                with_scratch(t.lengths::<F>(g, strip), |pixels, v, m| {
                    t.input::<F>(g, strip, x).transform::<F>(strip, pixels, v);
                    t.upstream::<F>(g, strip, dy).transform::<F>(strip, pixels, m);
                    for (place, c) in sums.chunks_exact_mut(kernel_plane).enumerate() {
                        let product = Product {
                            size: (g.in_channels, t.output_width),
                            depth: count,
                            a: &v[place * plane(count, t.input_row)..],
                            a_strides: (1, t.input_row),
                            b: &m[place * plane(count, t.output_row)..],
                            b_step: t.output_row,
                            segments: &[(0, 0)],
                            c,
                            c_row: t.output_row,
                            add: true,
                        };
                        product.compute();
                    }
                });
            }
            sums
        })
        .collect();
    let total = total(sums, places * kernel_plane);
    let mut dw = vec![0.0; g.out_channels * g.depth()];
    for (co, dw) in dw.chunks_exact_mut(g.in_channels * 9).enumerate() {
        for (ci, dw) in dw.chunks_exact_mut(9).enumerate() {
            let at = |place: usize| total[place * kernel_plane + ci * t.output_row + co];
            let mut tile: Tile<Scalar> = std::array::from_fn(|y| std::array::from_fn(|x| at(y * F::IN + x)));
            both_axes::<Scalar>(&mut tile, F::IN, 3, |line| F::kernel_adjoint(Scalar, line));
            for (to, line) in dw.chunks_exact_mut(3).zip(&tile) {
                to.copy_from_slice(&line[..3]);
            }
        }
    }
    dw
}
