//! From channel planes (a candle tensor, `[C, H, W]`) to pixels with their channels side by side (`[H, W, C]`), and back.
//!
//! The kernels work on the second form: one vector holds channels of one pixel, so no image is too narrow for it and no
//! stride or border is a special case. Going there and back costs about a fifth of a cycle a number.

use super::window::Window;

/// Several matrices of equal shape on their way to their transposes:
/// `to[line * to_line + j * to_row + i] = from[line * from_line + i * from_row + j]` for `i < rows`, `j < columns`.
#[derive(Clone, Copy)]
struct Matrices<'a> {
    lines: usize,
    rows: usize,
    columns: usize,
    from: &'a [f32],
    from_line: usize,
    from_row: usize,
    to: Window<'a, f32>,
    to_line: usize,
    to_row: usize,
    /// Whether `i`, and not `j`, numbers the channels: planes are walked eight at a time and along their lines, because
    /// memory is fast only where it is read and written in sequence.
    channels_first: bool,
}

impl Matrices<'_> {
    fn transpose(self) {
        let Self { lines, rows, columns, .. } = self;
        if lines == 0 || rows == 0 || columns == 0 {
            return;
        }
        assert!(self.from.len() >= (lines - 1) * self.from_line + (rows - 1) * self.from_row + columns);
        assert!(self.to.len() >= (lines - 1) * self.to_line + (columns - 1) * self.to_row + rows);
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            simd.vectorize(Blocks { simd, matrices: self });
            return;
        }
        for line in 0..lines {
            self.singly(line, 0..rows, 0..columns);
        }
    }

    /// A part of one matrix, number by number.
    #[inline(always)]
    fn singly(&self, line: usize, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) {
        for i in rows {
            for j in columns.clone() {
                let value = self.from[line * self.from_line + i * self.from_row + j];
                // SAFETY: `j < columns`, `i < rows` and `line < lines`, whose element `transpose` has checked to be inside.
                #[allow(unsafe_code)]
                unsafe {
                    *self.to.as_ptr().add(line * self.to_line + j * self.to_row + i) = value;
                }
            }
        }
    }
}

/// Eight by eight numbers at a time, in eight registers.
#[cfg(target_arch = "x86_64")]
struct Blocks<'a> {
    simd: pulp::x86::V3,
    matrices: Matrices<'a>,
}

#[cfg(target_arch = "x86_64")]
impl pulp::NullaryFnOnce for Blocks<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, matrices: m } = self;
        let (whole_rows, whole_columns) = (m.rows / 8 * 8, m.columns / 8 * 8);
        if m.channels_first {
            for i in (0..whole_rows).step_by(8) {
                for line in 0..m.lines {
                    for j in (0..whole_columns).step_by(8) {
                        m.block(simd, line, i, j);
                    }
                }
            }
        } else {
            for j in (0..whole_columns).step_by(8) {
                for line in 0..m.lines {
                    for i in (0..whole_rows).step_by(8) {
                        m.block(simd, line, i, j);
                    }
                }
            }
        }
        for line in 0..m.lines {
            m.singly(line, 0..whole_rows, whole_columns..m.columns);
            m.singly(line, whole_rows..m.rows, 0..m.columns);
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Matrices<'_> {
    /// The block at `(i, j)`; a closure in its place would not be compiled for the wider registers.
    #[inline(always)]
    fn block(&self, simd: pulp::x86::V3, line: usize, i: usize, j: usize) {
        // SAFETY: `i + 8 <= rows` and `j + 8 <= columns`, so the assertions of `transpose` cover the eight numbers at
        // each of the eight rows on both sides.
        #[allow(unsafe_code)]
        unsafe {
            let source = self.from.as_ptr().add(line * self.from_line + i * self.from_row + j);
            let target = self.to.as_ptr().add(line * self.to_line + j * self.to_row + i);
            block(simd, source, self.from_row, target, self.to_row);
        }
    }
}

/// # Safety
/// Eight numbers must be readable at `from + k from_row` and writable at `to + k to_row` for `k < 8`.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[inline(always)]
unsafe fn block(simd: pulp::x86::V3, from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
    let avx = simd.avx;
    // SAFETY: the caller's promise.
    let a: [_; 8] = std::array::from_fn(|k| unsafe { avx._mm256_loadu_ps(from.add(k * from_row)) });
    // Pairs, then quadruples of rows, within each half of a register.
    let pair = |x, y| (avx._mm256_unpacklo_ps(x, y), avx._mm256_unpackhi_ps(x, y));
    let ((a0, a1), (a2, a3)) = (pair(a[0], a[1]), pair(a[2], a[3]));
    let ((a4, a5), (a6, a7)) = (pair(a[4], a[5]), pair(a[6], a[7]));
    let four = |x, y| (avx._mm256_shuffle_ps::<0x44>(x, y), avx._mm256_shuffle_ps::<0xee>(x, y));
    let ((b0, b1), (b2, b3)) = (four(a0, a2), four(a1, a3));
    let ((b4, b5), (b6, b7)) = (four(a4, a6), four(a5, a7));
    // The halves.
    let (upper, lower) = ([b0, b1, b2, b3], [b4, b5, b6, b7]);
    for k in 0..4 {
        // SAFETY: the caller's promise.
        unsafe {
            avx._mm256_storeu_ps(to.add(k * to_row), avx._mm256_permute2f128_ps::<0x20>(upper[k], lower[k]));
            avx._mm256_storeu_ps(to.add((k + 4) * to_row), avx._mm256_permute2f128_ps::<0x31>(upper[k], lower[k]));
        }
    }
}

/// Some rows of one image with channels side by side: `[rows, columns, stride]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    /// Image row that comes first; rows outside of the image are zero.
    pub first: isize,
    pub rows: usize,
    /// Zero columns on the left.
    pub left: usize,
    /// Columns in all, the left ones and zero ones on the right included.
    pub columns: usize,
    /// Numbers a pixel; those past the channels are zero.
    pub stride: usize,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.rows * self.row()
    }
    /// Numbers a row.
    pub(super) fn row(&self) -> usize {
        self.columns * self.stride
    }
}

/// Reads `layout` out of the channel planes of one image.
pub(super) fn gather(image: &[f32], channels: usize, (height, width): (usize, usize), layout: Rows, to: &mut [f32]) {
    let to = &mut to[..layout.len()];
    let inside = width.min(layout.columns.saturating_sub(layout.left));
    for (at, row) in to.chunks_exact_mut(layout.row()).enumerate() {
        let y = layout.first + at as isize;
        if y < 0 || y as usize >= height {
            row.fill(0.0);
            continue;
        }
        let (before, rest) = row.split_at_mut(layout.left * layout.stride);
        let (middle, after) = rest.split_at_mut(inside * layout.stride);
        before.fill(0.0);
        after.fill(0.0);
        if layout.stride > channels {
            for pixel in middle.chunks_exact_mut(layout.stride) {
                pixel[channels..].fill(0.0);
            }
        }
    }
    let above = layout.first.min(0).unsigned_abs().min(layout.rows);
    let y = layout.first.max(0) as usize;
    let lines = (layout.rows - above).min(height.saturating_sub(y));
    if lines == 0 {
        return;
    }
    let matrices = Matrices {
        lines,
        rows: channels,
        columns: inside,
        from: &image[y * width..],
        from_line: width,
        from_row: height * width,
        to: Window::of(&mut to[above * layout.row() + layout.left * layout.stride..]),
        to_line: layout.row(),
        to_row: layout.stride,
        channels_first: true,
    };
    matrices.transpose();
}

/// Writes rows `[rows, columns, stride]` to the channel planes at `to`, which begins at the first row of the first plane;
/// planes are `plane` apart, `width <= columns` columns are kept.
pub(super) fn scatter(
    from: &[f32],
    (rows, columns, stride): (usize, usize, usize),
    channels: usize,
    to: Window<'_, f32>,
    (plane, width): (usize, usize),
) {
    let matrices = Matrices {
        lines: rows,
        rows: width,
        columns: channels,
        from,
        from_line: columns * stride,
        from_row: stride,
        to,
        to_line: width,
        to_row: plane,
        channels_first: false,
    };
    matrices.transpose();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_size_there_and_back() {
        for (rows, columns) in [(1, 1), (8, 8), (3, 17), (19, 8), (24, 33)] {
            let (lines, from_row, to_row) = (2, columns + 2, rows + 3);
            let (from_line, to_line) = (rows * from_row, columns * to_row);
            let from: Vec<f32> = (0..lines * from_line).map(|v| v as f32).collect();
            for channels_first in [false, true] {
                let mut numbers = vec![-1.0; lines * to_line];
                let to = Window::of(&mut numbers);
                Matrices {
                    lines,
                    rows,
                    columns,
                    from: &from,
                    from_line,
                    from_row,
                    to,
                    to_line,
                    to_row,
                    channels_first,
                }
                .transpose();
                for (at, value) in numbers.iter().enumerate() {
                    let (line, j, i) = (at / to_line, at % to_line / to_row, at % to_row);
                    let expected = if i < rows { from[line * from_line + i * from_row + j] } else { -1.0 };
                    assert_eq!(*value, expected, "{rows}x{columns} at {line}, {j}, {i}");
                }
            }
        }
    }

    #[test]
    fn borders_and_padding_are_zero() {
        let image: Vec<f32> = (1..=12).map(|v| v as f32).collect(); // [2, 2, 3]
        let layout = Rows { first: -1, rows: 4, left: 1, columns: 5, stride: 3 };
        let mut rows = vec![f32::NAN; layout.len()];
        gather(&image, 2, (2, 3), layout, &mut rows);
        let pixel = |y: usize, x: usize| &rows[y * layout.row() + x * 3..][..3];
        assert_eq!(pixel(1, 1), [1.0, 7.0, 0.0]);
        assert_eq!(pixel(2, 3), [6.0, 12.0, 0.0]);
        assert!((0..5).all(|x| pixel(0, x) == [0.0; 3] && pixel(3, x) == [0.0; 3]));
        assert!((0..4).all(|y| pixel(y, 0) == [0.0; 3] && pixel(y, 4) == [0.0; 3]));
        let mut back = vec![0.0; 12];
        scatter(&rows[layout.row() + 3..][..2 * layout.row() - 3], (1, 4, 3), 2, Window::of(&mut back), (6, 3));
        assert_eq!(back, [1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 7.0, 8.0, 9.0, 0.0, 0.0, 0.0]);
    }
}
