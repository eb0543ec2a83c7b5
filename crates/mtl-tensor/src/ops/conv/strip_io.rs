//! Input and output of the fast convolutions: images as channel planes, with a ReLU and a 2x2 max-pool on the way if required.
//!
//! Kernels handle strips of rows with the channels of a pixel side by side, while these are in the cache. What happens to
//! them there costs no pass over memory; the unpooled image of [`Pool`] and its gradient never exist as a whole.

use std::cell::RefCell;

use crate::ops::transpose::{Rows, gather, scatter};
use crate::ops::window::Window;
use crate::simd::{Loop, wide};

/// Images a kernel reads.
pub(super) trait Source: Sync {
    /// Fills `to` with rows of an image in this layout; pixels outside of the image are zero.
    fn rows(&self, image: usize, layout: Rows, to: &mut [f32]);
}

/// Images a kernel makes.
pub(super) trait Sink: Sync {
    /// Strips begin and end at multiples of this many rows.
    fn together(&self) -> usize {
        1
    }
    /// Takes rows of an image from row `first` on, `[rows, columns, stride]`.
    fn put(&self, image: usize, first: usize, size: (usize, usize, usize), pixels: &mut [f32]);
}

/// `[B, C, H, W]`.
#[derive(Clone, Copy)]
pub(super) struct Planes<N> {
    pub numbers: N,
    pub channels: usize,
    /// Height and width.
    pub size: (usize, usize),
}

impl<N> Planes<N> {
    fn image(&self) -> usize {
        self.channels * self.size.0 * self.size.1
    }
}

impl Source for Planes<&[f32]> {
    fn rows(&self, image: usize, layout: Rows, to: &mut [f32]) {
        let numbers = &self.numbers[image * self.image()..][..self.image()];
        gather(numbers, self.channels, self.size, layout, to);
    }
}

impl Sink for Planes<Window<'_, f32>> {
    fn put(&self, image: usize, first: usize, (rows, columns, stride): (usize, usize, usize), pixels: &mut [f32]) {
        let (height, width) = self.size;
        let to = self.numbers.from(image * self.image() + first * width);
        scatter(pixels, (rows, columns, stride), self.channels, to, (height * width, width));
    }
}

/// A sink behind a ReLU.
pub(super) struct Relu<S>(pub S);

impl<S: Sink> Sink for Relu<S> {
    fn together(&self) -> usize {
        self.0.together()
    }
    fn put(&self, image: usize, first: usize, size: (usize, usize, usize), pixels: &mut [f32]) {
        wide::<Rectify, _>(&mut pixels[..size.0 * size.1 * size.2]);
        self.0.put(image, first, size, pixels);
    }
}

/// NaN stays, so that divergence is seen.
struct Rectify;

impl<'a> Loop<&'a mut [f32]> for Rectify {
    type Output = ();

    #[inline(always)]
    fn run(pixels: &'a mut [f32]) {
        for v in pixels {
            *v = if *v < 0.0 { 0.0 } else { *v };
        }
    }
}

/// A sink behind a scale and a shift of every channel, and a ReLU if required: normalisation with known moments.
pub(super) struct Affine<'a, S> {
    pub scale: &'a [f32],
    pub shift: &'a [f32],
    pub relu: bool,
    pub to: S,
}

impl<S: Sink> Sink for Affine<'_, S> {
    fn together(&self) -> usize {
        self.to.together()
    }
    fn put(&self, image: usize, first: usize, size: (usize, usize, usize), pixels: &mut [f32]) {
        let rows = &mut pixels[..size.0 * size.1 * size.2];
        wide::<AffineRows, _>((rows, size.2, self.scale, self.shift, self.relu));
        self.to.put(image, first, size, pixels);
    }
}

struct AffineRows;

impl<'a> Loop<(&'a mut [f32], usize, &'a [f32], &'a [f32], bool)> for AffineRows {
    type Output = ();

    #[inline(always)]
    fn run((pixels, stride, scale, shift, relu): (&'a mut [f32], usize, &'a [f32], &'a [f32], bool)) {
        for pixel in pixels.chunks_exact_mut(stride) {
            for ((v, scale), shift) in pixel.iter_mut().zip(scale).zip(shift) {
                let moved = *v * scale + shift;
                *v = if relu && moved < 0.0 { 0.0 } else { moved };
            }
        }
    }
}

/// Which of a window's four pixels was the first maximum; [`CLOSED`] where the ReLU let none through.
pub(super) type Winner = u8;
const CLOSED: Winner = 4;

/// Behind a ReLU and a 2x2 max-pool: the images after it, and which pixel of each window won, `[B, H/2, W/2, C]`.
pub(super) struct Pool<N, W> {
    /// After the pool.
    pub planes: Planes<N>,
    pub winners: W,
}

thread_local! {
    static POOLED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Lends a buffer of this length, in addition to those of [`crate::ops::scratch`].
fn with_pooled<R>(length: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    POOLED.with_borrow_mut(|buffer| {
        if buffer.len() < length {
            buffer.resize(length, 0.0);
        }
        body(&mut buffer[..length])
    })
}

impl Sink for Pool<Window<'_, f32>, Window<'_, Winner>> {
    fn together(&self) -> usize {
        2
    }
    fn put(&self, image: usize, first: usize, (rows, columns, stride): (usize, usize, usize), pixels: &mut [f32]) {
        let Planes { channels, size: (height, width), .. } = self.planes;
        let (rows, first) = (rows / 2, first / 2);
        with_pooled(rows * width * stride, |pooled| {
            let winners = self.winners.own((image * height + first) * width * channels, rows * width * channels);
            wide::<PoolRows, _>((pixels, (rows, columns, stride), channels, width, &mut *pooled, winners));
            self.planes.put(image, first, (rows, width, stride), pooled);
        });
    }
}

struct PoolRows;

impl<'a> Loop<(&'a [f32], (usize, usize, usize), usize, usize, &'a mut [f32], &'a mut [Winner])> for PoolRows {
    type Output = ();

    #[inline(always)]
    fn run(
        (pixels, (rows, columns, stride), channels, width, pooled, winners): (
            &'a [f32],
            (usize, usize, usize),
            usize,
            usize,
            &'a mut [f32],
            &'a mut [Winner],
        ),
    ) {
        for at in 0..rows * width {
            let corner = (at / width * 2 * columns + at % width * 2) * stride;
            let window = |dy: usize, dx: usize| &pixels[corner + (dy * columns + dx) * stride..][..channels];
            let (a, b, c, d) = (window(0, 0), window(0, 1), window(1, 0), window(1, 1));
            let best = &mut pooled[at * stride..][..channels];
            let winner = &mut winners[at * channels..][..channels];
            for i in 0..channels {
                // NaN wins over any number. The winner's number is as wide as the compared values, until it is final.
                let (mut value, mut place) = (a[i], 0i32);
                for (rival, number) in [(b[i], 1), (c[i], 2), (d[i], 3)] {
                    let wins = (rival > value) | (rival.is_nan() & !value.is_nan());
                    value = if wins { rival } else { value };
                    place = if wins { number } else { place };
                }
                let closed = value <= 0.0;
                best[i] = if closed { 0.0 } else { value };
                winner[i] = (if closed { i32::from(CLOSED) } else { place }) as Winner;
            }
        }
    }
}

impl Source for Pool<&[f32], &[Winner]> {
    /// The gradient before ReLU and pool, from the one after them.
    fn rows(&self, image: usize, layout: Rows, to: &mut [f32]) {
        let Planes { channels, size: (height, width), .. } = self.planes;
        let (top, bottom) = (layout.first.max(0) / 2, (layout.first + layout.rows as isize + 1) / 2);
        let (top, bottom) = (top as usize, (bottom.max(0) as usize).min(height));
        let to = &mut to[..layout.len()];
        let rows = bottom.saturating_sub(top);
        with_pooled(rows * width * layout.stride, |pooled| {
            let inner = Rows { first: top as isize, rows, left: 0, columns: width, stride: layout.stride };
            if rows > 0 {
                self.planes.rows(image, inner, pooled);
            }
            for (at, row) in to.chunks_exact_mut(layout.row()).enumerate() {
                let y = layout.first + at as isize;
                if y < 0 || y as usize >= 2 * height {
                    row.fill(0.0);
                    continue;
                }
                let y = y as usize;
                let winners = &self.winners[(image * height + y / 2) * width * channels..][..width * channels];
                let pooled = &pooled[(y / 2 - top) * width * layout.stride..][..width * layout.stride];
                wide::<UnpoolRow, _>((pooled, winners, y % 2, (channels, layout.stride), layout.left, row));
            }
        });
    }
}

/// One row of the input of the pool.
struct UnpoolRow;

impl<'a> Loop<(&'a [f32], &'a [Winner], usize, (usize, usize), usize, &'a mut [f32])> for UnpoolRow {
    type Output = ();

    #[inline(always)]
    fn run(
        (pooled, winners, dy, (channels, stride), left, row): (
            &'a [f32],
            &'a [Winner],
            usize,
            (usize, usize),
            usize,
            &'a mut [f32],
        ),
    ) {
        let (before, inside) = row.split_at_mut(left * stride);
        before.fill(0.0);
        let width = inside.len() / stride;
        for x in 0..width {
            let pixel = &mut inside[x * stride..][..stride];
            let window = x / 2;
            if window * channels >= winners.len() {
                pixel.fill(0.0);
                continue;
            }
            let place = (2 * dy + x % 2) as Winner;
            let (grad, winner) = (&pooled[window * stride..][..channels], &winners[window * channels..][..channels]);
            let (kept, padding) = pixel.split_at_mut(channels);
            padding.fill(0.0);
            for i in 0..channels {
                kept[i] = if winner[i] == place { grad[i] } else { 0.0 };
            }
        }
    }
}
