//! Microkernel: the inner loop of all fast convolutions, a small matrix product with sums in registers.
//!
//! `C[i, j] (+)= sum over segments s and k < depth of A[s + i row + k step] B[s + k step + j]`: `j` runs over channels side
//! by side in memory, a vector at a time; each number of `A` is broadcast to a vector. The caller's strides give
//! `i` and `k` their meaning: pixels and input channels give a convolution, input channels and pixels give the gradient of its
//! weights, and no operand is ever copied into another order first. Segments are the rows of a kernel, or of an image.

use pulp::{Simd, WithSimd};

use super::window::Window;

/// Columns come in vectors of this many at least; narrower matrices are padded with zeros.
pub(super) const LANES: usize = 8;

/// The distance between rows of a matrix of `columns` columns. Rows a multiple of 256 bytes apart would crowd into few
/// sets of the first-level cache.
pub(super) fn spread(columns: usize) -> usize {
    if columns.is_multiple_of(64) { columns + 16 } else { columns }
}

/// `columns` rounded up to whole vectors.
pub(super) fn whole(columns: usize) -> usize {
    columns.next_multiple_of(if columns > LANES { 2 * LANES } else { LANES })
}

/// See the module.
pub(super) struct Product<'a> {
    /// Rows and columns of `C`, the latter a multiple of [`LANES`].
    pub size: (usize, usize),
    pub depth: usize,
    pub a: &'a [f32],
    /// Distance in `A` of neighbouring `i`, and of neighbouring `k`.
    pub a_strides: (usize, usize),
    pub b: &'a [f32],
    /// Distance in `B` of neighbouring `k`.
    pub b_step: usize,
    /// Where in `A` and `B` each segment begins.
    pub segments: &'a [(usize, usize)],
    pub c: Window<'a, f32>,
    pub c_row: usize,
    /// Whether sums are added to `C`, which then holds numbers, or are written to it.
    pub add: bool,
}

impl<'a> Product<'a> {
    /// `C (+)= A B` of one segment, rows of `B` and `C` equally far apart.
    pub(super) fn of(
        size: (usize, usize),
        depth: usize,
        (a, a_strides): (&'a [f32], (usize, usize)),
        b: &'a [f32],
        c: Window<'a, f32>,
        row: usize,
        add: bool,
    ) -> Self {
        Self { size, depth, a, a_strides, b, b_step: row, segments: &[(0, 0)], c, c_row: row, add }
    }

    pub(super) fn compute(mut self) {
        let Self { size: (rows, columns), depth, a_strides: (row, step), .. } = self;
        if rows == 0 || columns == 0 {
            return;
        }
        assert!(columns.is_multiple_of(LANES));
        assert!(self.c_row >= columns && self.c.len() >= (rows - 1) * self.c_row + columns);
        if depth > 0 {
            let reach = ((rows - 1) * row + (depth - 1) * step, (depth - 1) * self.b_step + columns - 1);
            assert!(self.segments.iter().all(|(a, b)| a + reach.0 < self.a.len() && b + reach.1 < self.b.len()));
        } else {
            self.segments = &[];
        }
        #[cfg(target_arch = "x86_64")]
        {
            // Eight columns fill half of the widest vectors; the next narrower ones are as fast there.
            if let (false, Some(simd)) = (columns.is_multiple_of(16), pulp::x86::V3::try_new()) {
                return Simd::vectorize(simd, self);
            }
        }
        pulp::Arch::new().dispatch(self);
    }
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (rows, columns) = self.size;
        let mut column = 0;
        // Two vectors of columns at a time, then one.
        while column < columns {
            if column + 2 * S::F32_LANES <= columns {
                panel::<S, 2>(simd, &mut self, rows, column);
                column += 2 * S::F32_LANES;
            } else {
                panel::<S, 1>(simd, &mut self, rows, column);
                column += S::F32_LANES;
            }
        }
    }
}

/// All rows of `N` vectors of columns: as many rows at a time as registers hold, then the rest.
#[inline(always)]
fn panel<S: Simd, const N: usize>(simd: S, p: &mut Product<'_>, rows: usize, column: usize) {
    let mut row = 0;
    if S::REGISTER_COUNT >= 32 {
        // A kernel row of three pixels of three channels: a ninth row by itself would cost as much as the eight.
        while rows - row >= 8 && rows - row != 9 {
            tile::<S, 8, N>(simd, p, row, column);
            row += 8;
        }
        if rows - row == 9 {
            return tile::<S, 9, N>(simd, p, row, column);
        }
    }
    while row + 4 <= rows {
        tile::<S, 4, N>(simd, p, row, column);
        row += 4;
    }
    while row < rows {
        tile::<S, 1, N>(simd, p, row, column);
        row += 1;
    }
}

#[inline(always)]
fn tile<S: Simd, const M: usize, const N: usize>(simd: S, p: &mut Product<'_>, row: usize, column: usize) {
    let mut sums = [[simd.splat_f32s(0.0); N]; M];
    let (a_row, a_step) = p.a_strides;
    for &(a_start, b_start) in p.segments {
        // SAFETY: `row + M <= rows`, `column + N LANES <= columns` and `depth > 0` (without depth there are no segments);
        // `compute` has checked that for these every segment stays inside `a` and `b` up to the last `k`. The pointers
        // are moved past it by `wrapping_add`, and not read there.
        #[allow(unsafe_code)]
        unsafe {
            let mut a = p.a.as_ptr().add(a_start + row * a_row);
            let mut b = p.b.as_ptr().add(b_start + column);
            for _ in 0..p.depth {
                let b_vectors: [S::f32s; N] =
                    std::array::from_fn(|n| b.add(n * S::F32_LANES).cast::<S::f32s>().read_unaligned());
                for (m, sums) in sums.iter_mut().enumerate() {
                    let a = simd.splat_f32s(*a.add(m * a_row));
                    for (sum, b) in sums.iter_mut().zip(b_vectors) {
                        *sum = simd.mul_add_e_f32s(a, b, *sum);
                    }
                }
                a = a.wrapping_add(a_step);
                b = b.wrapping_add(p.b_step);
            }
        }
    }
    for (m, sums) in sums.into_iter().enumerate() {
        for (n, sum) in sums.into_iter().enumerate() {
            // SAFETY: `compute` has checked that `C` reaches to its last row and column. It is read only where the caller requests
            // that it holds numbers.
            #[allow(unsafe_code)]
            unsafe {
                let at = (row + m) * p.c_row + column + n * S::F32_LANES;
                let place = p.c.as_ptr().add(at).cast::<S::f32s>();
                let sum = if p.add { simd.add_f32s(place.read_unaligned(), sum) } else { sum };
                place.write_unaligned(sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row counts around the register blocks, both meanings of the strides, two segments.
    #[test]
    fn sums_are_those_of_the_definition() {
        for (rows, columns, depth) in
            [(1, 8, 1), (9, 32, 5), (17, 16, 3), (4, 16, 3), (13, 24, 5), (8, 32, 7), (21, 48, 2), (3, 72, 9)]
        {
            for a_strides in [(depth + 1, 1), (1, rows + 2)] {
                let a: Vec<f32> = (0..2000).map(|v| (v % 13) as f32 - 6.0).collect();
                let b: Vec<f32> = (0..4000).map(|v| (v % 7) as f32 - 3.0).collect();
                let (b_step, c_row, segments) = (columns + 1, columns + 4, [(3, 5), (40, 90)]);
                let mut c = vec![1.0; rows * c_row];
                let size = (rows, columns);
                let product = Product {
                    size,
                    depth,
                    a: &a,
                    a_strides,
                    b: &b,
                    b_step,
                    segments: &segments,
                    c: Window::of(&mut c),
                    c_row,
                    add: true,
                };
                product.compute();
                for i in 0..rows {
                    for j in 0..columns {
                        let term = |k: usize, (sa, sb): (usize, usize)| {
                            a[sa + i * a_strides.0 + k * a_strides.1] * b[sb + k * b_step + j]
                        };
                        let sum: f32 = segments.iter().flat_map(|&s| (0..depth).map(move |k| term(k, s))).sum();
                        assert_eq!(c[i * c_row + j], 1.0 + sum, "({i}, {j}) of {size:?}");
                    }
                }
            }
        }
    }
}
