//! The transforms that Winograd convolutions are made of, one tile size each.

use pulp::Simd;

/// The transforms of one tile size, along one axis, in place. Names are those of the equation in [`super::winograd`].
pub(super) trait Scheme: Sync {
    /// `m`: output pixels a tile and axis.
    const OUT: usize;
    /// `m + 2`: input pixels a tile and axis, and products.
    const IN: usize;
    /// `B^T d`: `IN` numbers to `IN`.
    fn input<S: Simd>(simd: S, d: &mut Line<S>);
    /// `A^T p`: `IN` numbers to `OUT`.
    fn output<S: Simd>(simd: S, p: &mut Line<S>);
    /// `A y`: `OUT` numbers to `IN`.
    fn output_adjoint<S: Simd>(simd: S, y: &mut Line<S>);
    /// `G k`: 3 numbers to `IN`.
    fn kernel<S: Simd>(simd: S, k: &mut Line<S>);
    /// `G^T u`: `IN` numbers to 3.
    fn kernel_adjoint<S: Simd>(simd: S, u: &mut Line<S>);
}

/// One line of a tile; schemes use the first numbers of it.
pub(super) type Line<S> = [<S as Simd>::f32s; LINE];
pub(super) const LINE: usize = 4;
/// A tile, line by line; schemes use the first numbers of the first lines.
pub(super) type Tile<S> = [Line<S>; LINE];

/// Tiles of 2x2; points 0, 1, -1 and infinity.
pub(super) struct F2;

impl Scheme for F2 {
    const OUT: usize = 2;
    const IN: usize = 4;

    #[inline(always)]
    fn input<S: Simd>(simd: S, d: &mut Line<S>) {
        let [a, b, c, e] = *d;
        *d = [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, e)];
    }
    #[inline(always)]
    fn output<S: Simd>(simd: S, p: &mut Line<S>) {
        let [a, b, c, d] = *p;
        p[0] = simd.add_f32s(a, simd.add_f32s(b, c));
        p[1] = simd.sub_f32s(simd.sub_f32s(b, c), d);
    }
    #[inline(always)]
    fn output_adjoint<S: Simd>(simd: S, y: &mut Line<S>) {
        let [a, b, ..] = *y;
        *y = [a, simd.add_f32s(a, b), simd.sub_f32s(a, b), simd.sub_f32s(simd.splat_f32s(0.0), b)];
    }
    #[inline(always)]
    fn kernel<S: Simd>(simd: S, k: &mut Line<S>) {
        let half = simd.splat_f32s(0.5);
        let [a, b, c, _] = *k;
        let (ends, middle) = (simd.mul_f32s(half, simd.add_f32s(a, c)), simd.mul_f32s(half, b));
        *k = [a, simd.add_f32s(ends, middle), simd.sub_f32s(ends, middle), c];
    }
    #[inline(always)]
    fn kernel_adjoint<S: Simd>(simd: S, u: &mut Line<S>) {
        let half = simd.splat_f32s(0.5);
        let [a, b, c, d] = *u;
        let (sum, difference) = (simd.mul_f32s(half, simd.add_f32s(b, c)), simd.mul_f32s(half, simd.sub_f32s(b, c)));
        u[0] = simd.add_f32s(a, sum);
        u[1] = difference;
        u[2] = simd.add_f32s(sum, d);
    }
}

/// Applies a transform along both axes of a tile: to `from` lines of it, then to `to` of what comes out.
#[inline(always)]
pub(super) fn both_axes<S: Simd>(tile: &mut Tile<S>, from: usize, to: usize, transform: impl Fn(&mut Line<S>)) {
    for line in tile.iter_mut().take(from) {
        transform(line);
    }
    #[allow(clippy::needless_range_loop)] // A column: no slice to iterate over.
    for x in 0..to {
        let mut line: Line<S> = std::array::from_fn(|y| tile[y][x]);
        transform(&mut line);
        for y in 0..LINE {
            tile[y][x] = line[y];
        }
    }
}
