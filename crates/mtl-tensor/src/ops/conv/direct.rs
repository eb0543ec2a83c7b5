//! Convolution straight from its definition, for every kernel and stride: f32, channels side by side.
//!
//! A row of output pixels times output channels is one matrix product per kernel row: `depth` runs over the `kw Ci` numbers
//! that the kernel row sees, which lie side by side in memory, so no copy of the input nine times its size (im2col) is
//! ever made. The gradient of the weights is the same product with other strides; that of the input, and with it the
//! transposed convolution, is `stride^2` convolutions, one for each place of an output pixel relative to the stride,
//! each with its share of the kernel: no multiplication by the zeros that a stride leaves.

use rayon::prelude::*;

use super::geometry::{Geometry, Strip, strips};
use super::kernel_cache::kept;
use super::strip_io::{Sink, Source};
use crate::ops::microkernel::{Product, spread, whole};
use crate::ops::scratch::{with_scratch, with_shared};
use crate::ops::transpose::{Rows, gather};
use crate::ops::window::Window;

/// Target size of a strip's working memory, in values: the second-level cache without the weights.
const STRIP_NUMBERS: usize = 48 * 1024;

/// Partial weight gradients; fixed, so that the order of additions never depends on the machine.
pub(super) const WEIGHT_PARTS: usize = 8;

/// Rows a strip, if one costs `numbers` of working memory.
fn strip_rows(numbers: usize) -> usize {
    (STRIP_NUMBERS / numbers.max(1)).max(1)
}

/// `[Co, Ci, kh, kw]` to `[kh, kw, Ci, Co]`, rows of output channels padded with zeros; `turned` is working memory.
fn pack(g: &Geometry, w: &[f32], row: usize, [turned, packed]: [&mut [f32]; 2]) {
    let taps = g.taps();
    let numbers = g.in_channels * taps;
    let layout = Rows { first: 0, rows: 1, left: 0, columns: numbers, stride: row };
    gather(w, g.out_channels, (1, numbers), layout, turned);
    for (at, line) in packed.chunks_exact_mut(row).enumerate() {
        let (tap, ci) = (at / g.in_channels, at % g.in_channels);
        line.copy_from_slice(&turned[(ci * taps + tap) * row..][..row]);
    }
}

/// Rows of the input that output rows `[first, first + rows)` see.
fn seen(g: &Geometry, strip: Strip) -> Rows {
    Rows {
        first: (strip.first * g.stride) as isize - g.padding as isize,
        rows: (strip.rows - 1) * g.stride + g.kernel_height,
        left: g.padding,
        columns: ((g.out_width - 1) * g.stride + g.kernel_width).max(g.padding + 1),
        stride: g.in_channels,
    }
}

/// Sets every pixel of `rows` to the bias, or zero.
fn prefill(rows: &mut [f32], stride: usize, bias: Option<&[f32]>) {
    rows.fill(0.0);
    if let Some(bias) = bias {
        for pixel in rows.chunks_exact_mut(stride) {
            pixel[..bias.len()].copy_from_slice(bias);
        }
    }
}

/// Output rows whose pixels on both sides a strip's memory holds.
fn output_rows(g: &Geometry, columns: usize) -> usize {
    strip_rows(g.stride * (g.in_width + 2 * g.padding) * g.in_channels + g.out_width * columns)
}

/// Strips per image of `height` rows, of about `rows` each, but no more than about a quarter of all in one, for several threads;
/// `together` or a multiple of it in each.
fn divided(images: usize, height: usize, rows: usize, together: usize) -> Vec<Strip> {
    let rows = rows.min((images * height).div_ceil(4));
    strips(images, height, rows.next_multiple_of(together).min(height))
}

/// `Y = conv(X, W) + b`; `w [Co, Ci, kh, kw]`, `b [Co]`.
pub(super) fn forward(g: &Geometry, x: &dyn Source, w: &[f32], bias: Option<&[f32]>, y: &dyn Sink) {
    let packed_row = spread(whole(g.out_channels));
    let numbers = g.depth() * packed_row;
    with_shared([numbers, numbers], |[turned, packed]| {
        if g.batch == 1 {
            let kept = kept(w, 0, (g.in_channels, g.out_channels), || {
                pack(g, w, packed_row, [turned, &mut *packed]);
                packed.to_vec()
            });
            forward_packed(g, x, &kept, packed_row, bias, y);
        } else {
            pack(g, w, packed_row, [turned, &mut *packed]);
            forward_packed(g, x, packed, packed_row, bias, y);
        }
    });
}

fn forward_packed(g: &Geometry, x: &dyn Source, packed: &[f32], packed_row: usize, bias: Option<&[f32]>, y: &dyn Sink) {
    let columns = whole(g.out_channels);
    divided(g.batch, g.out_height, output_rows(g, columns), y.together()).into_par_iter().for_each(|strip| {
        let layout = seen(g, strip);
        with_scratch([layout.len(), strip.rows * g.out_width * columns], |[input, output]| {
            x.rows(strip.image, layout, input);
            prefill(output, columns, bias);
            let depth = g.kernel_width * g.in_channels;
            for (row, c) in output.chunks_exact_mut(g.out_width * columns).enumerate() {
                let kernel_row = |ky| ((row * g.stride + ky) * layout.row(), ky * depth * packed_row);
                let segments: Vec<_> = (0..g.kernel_height).map(kernel_row).collect();
                let product = Product {
                    size: (g.out_width, columns),
                    depth,
                    a: input,
                    a_strides: (g.stride * g.in_channels, 1),
                    b: packed,
                    b_step: packed_row,
                    segments: &segments,
                    c: Window::of(c),
                    c_row: columns,
                    add: true,
                };
                product.compute();
            }
            y.put(strip.image, strip.first, (strip.rows, g.out_width, columns), output);
        });
    });
}

/// `dW` from `X` and `dY`.
pub(super) fn grad_weight(g: &Geometry, x: &dyn Source, dy: &dyn Source) -> Vec<f32> {
    let columns = whole(g.out_channels);
    let (depth, taps) = (g.kernel_width * g.in_channels, g.taps());
    // Not divided further: each part is as large as the kernels.
    let strips = strips(g.batch, g.out_height, output_rows(g, columns).min(g.out_height));
    let part = strips.len().div_ceil(WEIGHT_PARTS).max(1);
    let sums: Vec<Vec<f32>> = strips
        .par_chunks(part)
        .map(|strips| {
            let mut sums = vec![0.0; taps * g.in_channels * columns]; // [kh, kw Ci, Co]
            for &strip in strips {
                let layout = seen(g, strip);
                let upstream = Rows {
                    first: strip.first as isize,
                    rows: strip.rows,
                    left: 0,
                    columns: g.out_width,
                    stride: columns,
                };
                with_scratch([layout.len(), upstream.len()], |[input, grad]| {
                    x.rows(strip.image, layout, input);
                    dy.rows(strip.image, upstream, grad);
                    for (ky, c) in sums.chunks_exact_mut(depth * columns).enumerate() {
                        let image_row = |row| ((row * g.stride + ky) * layout.row(), row * upstream.row());
                        let segments: Vec<_> = (0..strip.rows).map(image_row).collect();
                        let product = Product {
                            size: (depth, columns),
                            depth: g.out_width,
                            a: input,
                            a_strides: (1, g.stride * g.in_channels),
                            b: grad,
                            b_step: columns,
                            segments: &segments,
                            c: Window::of(c),
                            c_row: columns,
                            add: true,
                        };
                        product.compute();
                    }
                });
            }
            sums
        })
        .collect();
    let total = total(sums, taps * g.in_channels * columns);
    let mut dw = vec![0.0; g.out_channels * g.depth()];
    for tap in 0..taps {
        for ci in 0..g.in_channels {
            let line = &total[(tap * g.in_channels + ci) * columns..];
            for (co, value) in line.iter().enumerate().take(g.out_channels) {
                dw[(co * g.in_channels + ci) * taps + tap] = *value;
            }
        }
    }
    dw
}

/// Numbers of a sum that one task adds.
const TOTAL_BLOCK: usize = 16 * 1024;

/// The parts' sum, in their order.
pub(super) fn total(parts: Vec<Vec<f32>>, length: usize) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_else(|| vec![0.0; length]);
    for part in parts {
        let blocks = total.par_chunks_mut(TOTAL_BLOCK).zip(part.par_chunks(TOTAL_BLOCK));
        blocks.for_each(|(sums, part)| sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += value));
    }
    total
}

/// The taps of one axis that reach outputs at `phase`, `stride` apart: first tap, count, and how far the first one's
/// source lies after the output's own number.
#[derive(Clone, Copy)]
struct Taps {
    first: usize,
    count: usize,
    ahead: usize,
}

impl Taps {
    fn of(phase: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        let first = (phase + padding) % stride;
        let count = if kernel > first { (kernel - first).div_ceil(stride) } else { 0 };
        Self { first, count, ahead: (phase + padding - first) / stride }
    }
}

/// One place of an output pixel relative to the stride, and the kernel that paints it, `[taps down, taps across, Co, Ci]`
/// with the taps across in the order of the pixels they come from.
struct Phase {
    place: (usize, usize),
    down: Taps,
    across: Taps,
    kernel: Vec<f32>,
}

impl Phase {
    fn new(g: &Geometry, w: &[f32], place: (usize, usize), columns: usize, row: usize) -> Self {
        let down = Taps::of(place.0, g.kernel_height, g.stride, g.padding);
        let across = Taps::of(place.1, g.kernel_width, g.stride, g.padding);
        let mut kernel = vec![0.0; down.count * across.count * g.out_channels * row];
        for (at, line) in kernel.chunks_exact_mut(row).enumerate() {
            let (tap, co) = (at / g.out_channels, at % g.out_channels);
            let ky = down.first + g.stride * (tap / across.count);
            let kx = across.first + g.stride * (across.count - 1 - tap % across.count);
            for (ci, value) in line[..columns].iter_mut().enumerate().take(g.in_channels) {
                *value = w[(co * g.in_channels + ci) * g.taps() + ky * g.kernel_width + kx];
            }
        }
        Self { place, down, across, kernel }
    }
}

/// `dX` from `dY`: the gradient of a convolution, and the forward pass of a transposed one (with its bias `[Ci]`).
pub(super) fn spread_out(g: &Geometry, w: &[f32], dy: &dyn Source, bias: Option<&[f32]>, dx: &dyn Sink) {
    let columns = whole(g.in_channels);
    let packed_row = spread(columns);
    let places = (0..g.stride.min(g.in_height)).flat_map(|py| (0..g.stride.min(g.in_width)).map(move |px| (py, px)));
    let phases: Vec<Phase> = places.map(|place| Phase::new(g, w, place, columns, packed_row)).collect();
    // Pixels of dY before and after an output's own that some phase looks at.
    let before =
        |taps: fn(&Phase) -> Taps| phases.iter().map(|p| taps(p).count.saturating_sub(taps(p).ahead + 1)).max();
    let after = |taps: fn(&Phase) -> Taps| phases.iter().map(|p| taps(p).ahead).max();
    let (above, below) = (before(|p| p.down).unwrap_or(0), after(|p| p.down).unwrap_or(0));
    let (left, right) = (before(|p| p.across).unwrap_or(0), after(|p| p.across).unwrap_or(0));
    let (steps_down, steps_across) = (g.in_height.div_ceil(g.stride), g.in_width.div_ceil(g.stride));
    let cost = g.out_width * g.out_channels + g.stride * g.in_width * columns;
    divided(g.batch, steps_down, strip_rows(cost), dx.together()).into_par_iter().for_each(|strip| {
        let layout = Rows {
            first: strip.first as isize - above as isize,
            rows: above + strip.rows + below,
            left,
            columns: left + steps_across + right,
            stride: g.out_channels,
        };
        let first = strip.first * g.stride;
        let rows = (strip.rows * g.stride).min(g.in_height - first);
        with_scratch([layout.len(), rows * g.in_width * columns], |[input, output]| {
            dy.rows(strip.image, layout, input);
            prefill(output, columns, bias);
            for phase in &phases {
                let depth = phase.across.count * g.out_channels;
                let pixels = (g.in_width - phase.place.1).div_ceil(g.stride);
                if depth == 0 || phase.down.count == 0 {
                    continue;
                }
                for row in (phase.place.0..rows).step_by(g.stride) {
                    let from = |tap: usize| {
                        let y = above + row / g.stride + phase.down.ahead - tap;
                        let x = left + phase.across.ahead + 1 - phase.across.count;
                        (y * layout.row() + x * layout.stride, tap * depth * packed_row)
                    };
                    let segments: Vec<_> = (0..phase.down.count).map(from).collect();
                    let product = Product {
                        size: (pixels, columns),
                        depth,
                        a: input,
                        a_strides: (g.out_channels, 1),
                        b: &phase.kernel,
                        b_step: packed_row,
                        segments: &segments,
                        c: Window::of(&mut output[(row * g.in_width + phase.place.1) * columns..]),
                        c_row: g.stride * columns,
                        add: true,
                    };
                    product.compute();
                }
            }
            dx.put(strip.image, first, (rows, g.in_width, columns), output);
        });
    });
}
