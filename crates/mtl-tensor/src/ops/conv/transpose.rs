//! From channel planes (a candle tensor, `[C, H, W]`) to pixels with their channels side by side (`[H, W, C]`), and back.
//!
//! The kernels work on the second form: one vector holds channels of one pixel, so no image is too narrow for it and no
//! stride or border is a special case. Going there and back costs about a fifth of a cycle a number.

use super::window::Window;

/// `to[j * to_row + i] = from[i * from_row + j]` for `i < rows`, `j < columns`.
pub(super) fn transpose(
    from: &[f32],
    from_row: usize,
    (rows, columns): (usize, usize),
    to: Window<f32>,
    to_row: usize,
) {
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(from.len() >= (rows - 1) * from_row + columns);
    assert!(to.len() >= (columns - 1) * to_row + rows);
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        simd.vectorize(Blocks { simd, from, from_row, rows, columns, to, to_row });
        return;
    }
    scalar(from, from_row, (0..rows, 0..columns), to, to_row);
}

/// The same for a part of the rows and columns, inside bounds that the caller has checked.
#[inline(always)]
fn scalar(
    from: &[f32],
    from_row: usize,
    (rows, columns): (std::ops::Range<usize>, std::ops::Range<usize>),
    to: Window<f32>,
    to_row: usize,
) {
    for i in rows {
        for j in columns.clone() {
            // SAFETY: `j < columns` and `i < rows` of `transpose`, whose assertion covers this element.
            #[allow(unsafe_code)]
            unsafe {
                *to.as_ptr().add(j * to_row + i) = from[i * from_row + j];
            }
        }
    }
}

/// Eight by eight numbers at a time, in eight registers.
#[cfg(target_arch = "x86_64")]
struct Blocks<'a> {
    simd: pulp::x86::V3,
    from: &'a [f32],
    from_row: usize,
    rows: usize,
    columns: usize,
    to: Window<f32>,
    to_row: usize,
}

#[cfg(target_arch = "x86_64")]
impl pulp::NullaryFnOnce for Blocks<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, from, from_row, rows, columns, to, to_row } = self;
        let (whole_rows, whole_columns) = (rows / 8 * 8, columns / 8 * 8);
        for i in (0..whole_rows).step_by(8) {
            for j in (0..whole_columns).step_by(8) {
                // SAFETY: `i + 8 <= rows` and `j + 8 <= columns`, so the assertions of `transpose` cover the eight
                // numbers at each of the eight rows on both sides.
                #[allow(unsafe_code)]
                unsafe {
                    let source = from.as_ptr().add(i * from_row + j);
                    let target = to.as_ptr().add(j * to_row + i);
                    block(simd, source, from_row, target, to_row);
                }
            }
        }
        scalar(from, from_row, (0..whole_rows, whole_columns..columns), to, to_row);
        scalar(from, from_row, (whole_rows..rows, 0..columns), to, to_row);
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
    let inside = width.min(layout.columns.saturating_sub(layout.left));
    for (at, row) in to[..layout.len()].chunks_exact_mut(layout.row()).enumerate() {
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
        let planes = &image[y as usize * width..];
        transpose(planes, height * width, (channels, inside), Window::of(middle), layout.stride);
    }
}

/// Writes rows `[rows, columns, stride]` to the channel planes at `to`, which begins at the first row of the first plane;
/// planes are `plane` apart, `width <= columns` columns are kept.
pub(super) fn scatter(
    from: &[f32],
    (rows, columns, stride): (usize, usize, usize),
    channels: usize,
    to: Window<f32>,
    (plane, width): (usize, usize),
) {
    for (at, row) in from[..rows * columns * stride].chunks_exact(columns * stride).enumerate() {
        transpose(row, stride, (width, channels), to.from(at * width), plane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_size_there_and_back() {
        for (rows, columns) in [(1, 1), (8, 8), (3, 17), (19, 8), (24, 33)] {
            let (from_row, to_row) = (columns + 2, rows + 3);
            let from: Vec<f32> = (0..rows * from_row).map(|v| v as f32).collect();
            let mut to = vec![-1.0; columns * to_row];
            transpose(&from, from_row, (rows, columns), Window::of(&mut to), to_row);
            for (j, line) in to.chunks(to_row).enumerate() {
                let expected = (0..to_row).map(|i| if i < rows { from[i * from_row + j] } else { -1.0 });
                assert!(line.iter().copied().eq(expected), "{rows}x{columns}, column {j}");
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
