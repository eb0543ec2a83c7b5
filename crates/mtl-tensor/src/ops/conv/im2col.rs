//! Convolution as matrix multiplication, one tile of output rows at a time.
//!
//! `Y[Co, n] = W[Co, K] * col[K, n]` with `K = Ci kh kw` and `n` the pixels of a tile; `col` holds the shifted copies
//! of the input that the tile sees. A tile is chosen so that `col` stays in the second-level cache: the copies then
//! cost a few percent of the multiplication instead of a trip to memory nine times the size of the image. The tile
//! depends on the shapes alone, never on the number of threads, so the bytes of the result do not either.

use rayon::prelude::*;

use super::direct::WEIGHT_PARTS;
use super::geometry::{Geometry, Strip, strips};
use crate::Real;
use crate::ops::window::Window;

/// Floats of one `col` tile: 512 KiB of f32, half of a typical second-level cache.
const TILE_ELEMENTS: usize = 128 * 1024;

fn tiles(g: &Geometry) -> Vec<Strip> {
    strips(g.batch, g.out_height, tile_rows(g))
}

fn tile_rows(g: &Geometry) -> usize {
    (TILE_ELEMENTS / (g.depth() * g.out_width).max(1)).clamp(1, g.out_height.max(1))
}

/// `dst = [dst +] lhs * rhs`, all row-major views with given row and column strides.
#[allow(clippy::too_many_arguments)]
fn multiply<T: Real>(
    (m, n, k): (usize, usize, usize),
    dst: Window<'_, T>,
    dst_row: usize,
    add: bool,
    lhs: &[T],
    (lhs_row, lhs_col): (usize, usize),
    rhs: &[T],
    (rhs_row, rhs_col): (usize, usize),
) {
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    assert!(dst.len() >= (m - 1) * dst_row + n && dst_row >= n);
    assert!(lhs.len() > (m - 1) * lhs_row + (k - 1) * lhs_col);
    assert!(rhs.len() > (k - 1) * rhs_row + (n - 1) * rhs_col);
    // SAFETY: the three assertions above keep every element the multiplication touches inside its window or slice;
    // `dst` is a mutable borrow, so it overlaps neither operand, and only the
    // elements `[row * dst_row, row * dst_row + n)` are written, which belong to this call's tile.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.as_ptr(),
            1,
            dst_row as isize,
            add,
            lhs.as_ptr(),
            lhs_col as isize,
            lhs_row as isize,
            rhs.as_ptr(),
            rhs_col as isize,
            rhs_row as isize,
            T::of(1.0),
            T::of(1.0),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Fills `col[K, rows * out_width]` from one image.
fn fill_col<T: Real>(g: &Geometry, image: &[T], first_row: usize, rows: usize, col: &mut [T]) {
    let pixels = rows * g.out_width;
    for (k, col_row) in col.chunks_exact_mut(pixels).enumerate().take(g.depth()) {
        let kx = k % g.kernel_width;
        let ky = (k / g.kernel_width) % g.kernel_height;
        let channel = k / (g.kernel_width * g.kernel_height);
        let plane = &image[channel * g.in_height * g.in_width..][..g.in_height * g.in_width];
        let (begin, end) = columns_inside(g, kx);
        for (row, out) in col_row.chunks_exact_mut(g.out_width).enumerate() {
            let y = ((first_row + row) * g.stride + ky) as isize - g.padding as isize;
            if y < 0 || y as usize >= g.in_height || begin >= end {
                out.fill(T::default());
                continue;
            }
            let line = &plane[y as usize * g.in_width..][..g.in_width];
            out[..begin].fill(T::default());
            out[end..].fill(T::default());
            let start = begin * g.stride + kx - g.padding;
            if g.stride == 1 {
                out[begin..end].copy_from_slice(&line[start..start + end - begin]);
            } else {
                for (value, source) in out[begin..end].iter_mut().zip(line[start..].iter().step_by(g.stride)) {
                    *value = *source;
                }
            }
        }
    }
}

/// The output columns whose tap at `kx` falls inside the image.
fn columns_inside(g: &Geometry, kx: usize) -> (usize, usize) {
    let begin = g.padding.saturating_sub(kx).div_ceil(g.stride).min(g.out_width);
    let end = if g.in_width + g.padding > kx {
        ((g.in_width + g.padding - kx - 1) / g.stride + 1).min(g.out_width)
    } else {
        0
    };
    (begin, end.max(begin))
}

/// Adds `col[K, rows * out_width]` back to the image places it was copied from.
fn add_col<T: Real>(g: &Geometry, col: &[T], first_row: usize, rows: usize, image: &mut [T]) {
    let pixels = rows * g.out_width;
    for (k, col_row) in col.chunks_exact(pixels).enumerate().take(g.depth()) {
        let kx = k % g.kernel_width;
        let ky = (k / g.kernel_width) % g.kernel_height;
        let channel = k / (g.kernel_width * g.kernel_height);
        let (begin, end) = columns_inside(g, kx);
        if begin >= end {
            continue;
        }
        for (row, values) in col_row.chunks_exact(g.out_width).enumerate() {
            let y = ((first_row + row) * g.stride + ky) as isize - g.padding as isize;
            if y < 0 || y as usize >= g.in_height {
                continue;
            }
            let start = (channel * g.in_height + y as usize) * g.in_width + begin * g.stride + kx - g.padding;
            for (target, value) in image[start..].iter_mut().step_by(g.stride).zip(&values[begin..end]) {
                *target += *value;
            }
        }
    }
}

/// `Y = conv(X, W) + b`; `x [B, Ci, H, W]`, `w [Co, Ci, kh, kw]`, `b [Co]`.
pub(super) fn forward<T: Real>(g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>) -> Vec<T> {
    let mut y = vec![T::default(); g.batch * g.out_image()];
    let (depth, out_pixels) = (g.depth(), g.out_pixels());
    let whole = Window::of(&mut y);
    tiles(g).into_par_iter().for_each_init(Vec::new, |col: &mut Vec<T>, Strip { image, first, rows, .. }| {
        let pixels = rows * g.out_width;
        let input = &x[image * g.in_image()..][..g.in_image()];
        // The tile owns the columns `[first * out_width, first * out_width + pixels)` of its image's channel rows.
        let out = whole.from(image * g.out_image() + first * g.out_width);
        if let Some(bias) = bias {
            for (channel, value) in bias.iter().enumerate() {
                out.fill(channel * out_pixels, pixels, *value);
            }
        }
        let size = (g.out_channels, pixels, depth);
        if g.is_pointwise() {
            let rhs = &input[first * g.out_width..];
            multiply(size, out, out_pixels, bias.is_some(), w, (depth, 1), rhs, (out_pixels, 1));
        } else {
            col.resize(depth * pixels, T::default());
            fill_col(g, input, first, rows, col);
            multiply(size, out, out_pixels, bias.is_some(), w, (depth, 1), col, (pixels, 1));
        }
    });
    y
}

/// `dX` from `dY`.
pub(super) fn grad_input<T: Real>(g: &Geometry, w: &[T], dy: &[T]) -> Vec<T> {
    match g.turned() {
        Some(turned) => forward(&turned, dy, &g.turn(w), None),
        None => scatter(g, w, dy, None),
    }
}

/// `dX = col2im(W^T dY)`: the gradient for strides, and the forward pass of a transposed convolution (with its bias).
pub(super) fn scatter<T: Real>(g: &Geometry, w: &[T], dy: &[T], bias: Option<&[T]>) -> Vec<T> {
    let mut dx = vec![T::default(); g.batch * g.in_image()];
    let (depth, out_pixels) = (g.depth(), g.out_pixels());
    let rows = tile_rows(g);
    dx.par_chunks_mut(g.in_image().max(1)).enumerate().for_each_init(Vec::new, |col: &mut Vec<T>, (image, dx)| {
        if let Some(bias) = bias {
            for (plane, value) in dx.chunks_exact_mut(g.in_height * g.in_width).zip(bias) {
                plane.fill(*value);
            }
        }
        for first in (0..g.out_height).step_by(rows) {
            let rows = rows.min(g.out_height - first);
            let pixels = rows * g.out_width;
            col.resize(depth * pixels, T::default());
            let upstream = &dy[image * g.out_image() + first * g.out_width..];
            multiply(
                (depth, pixels, g.out_channels),
                Window::of(col),
                pixels,
                false,
                w,
                (1, depth),
                upstream,
                (out_pixels, 1),
            );
            add_col(g, col, first, rows, dx);
        }
    });
    dx
}

/// `dW = sum over images of dY * col^T`.
pub(super) fn grad_weight<T: Real>(g: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    let (depth, out_pixels) = (g.depth(), g.out_pixels());
    let tiles = tiles(g);
    let part = tiles.len().div_ceil(WEIGHT_PARTS).max(1);
    let parts: Vec<Vec<T>> = tiles
        .par_chunks(part)
        .map(|tiles| {
            let mut dw = vec![T::default(); g.out_channels * depth];
            let mut col = Vec::new();
            for &Strip { image, first, rows, .. } in tiles {
                let pixels = rows * g.out_width;
                let input = &x[image * g.in_image()..][..g.in_image()];
                let upstream = &dy[image * g.out_image() + first * g.out_width..];
                let size = (g.out_channels, depth, pixels);
                if g.is_pointwise() {
                    let rhs = &input[first * g.out_width..];
                    multiply(size, Window::of(&mut dw), depth, true, upstream, (out_pixels, 1), rhs, (1, out_pixels));
                } else {
                    col.resize(depth * pixels, T::default());
                    fill_col(g, input, first, rows, &mut col);
                    multiply(size, Window::of(&mut dw), depth, true, upstream, (out_pixels, 1), &col, (1, pixels));
                }
            }
            dw
        })
        .collect();
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_default();
    for part in parts {
        total.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    total
}
