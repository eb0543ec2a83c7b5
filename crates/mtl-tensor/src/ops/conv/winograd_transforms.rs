//! The transforms that Winograd convolutions are made of, one tile size each.

use pulp::Simd;

/// The transforms of one tile size, along one axis, in place. Names are those of the equation in [`super::winograd`].
pub(super) trait Scheme: Sync {
    /// `m`: output pixels per tile and axis.
    const OUT: usize;
    /// `r`: taps of a kernel, per axis.
    const TAPS: usize;
    /// `m + r - 1`: input pixels per tile and axis, and products.
    const IN: usize = Self::OUT + Self::TAPS - 1;
    /// `B^T d`: `IN` numbers to `IN`.
    fn input<S: Simd>(simd: S, d: &mut Line<S>);
    /// `A^T p`: `IN` numbers to `OUT`.
    fn output<S: Simd>(simd: S, p: &mut Line<S>);
    /// `A y`: `OUT` numbers to `IN`.
    fn output_adjoint<S: Simd>(simd: S, y: &mut Line<S>);
    /// `G k`: `TAPS` numbers to `IN`.
    fn kernel<S: Simd>(simd: S, k: &mut Line<S>);
    /// `G^T u`: `IN` numbers to `TAPS`.
    fn kernel_adjoint<S: Simd>(simd: S, u: &mut Line<S>);
}

/// One line of a tile; schemes use the first numbers of it.
pub(super) type Line<S> = [<S as Simd>::f32s; LINE];
pub(super) const LINE: usize = 6;
/// A tile, line by line; schemes use the first numbers of the first lines.
pub(super) type Tile<S> = [Line<S>; LINE];

/// Tiles of 2x2; points 0, 1, -1 and infinity.
pub(super) struct F2;

impl Scheme for F2 {
    const OUT: usize = 2;
    const TAPS: usize = 3;

    #[inline(always)]
    fn input<S: Simd>(simd: S, d: &mut Line<S>) {
        let [a, b, c, e, ..] = *d;
        d[0] = simd.sub_f32s(a, c);
        d[1] = simd.add_f32s(b, c);
        d[2] = simd.sub_f32s(c, b);
        d[3] = simd.sub_f32s(b, e);
    }
    #[inline(always)]
    fn output<S: Simd>(simd: S, p: &mut Line<S>) {
        let [a, b, c, d, ..] = *p;
        p[0] = simd.add_f32s(a, simd.add_f32s(b, c));
        p[1] = simd.sub_f32s(simd.sub_f32s(b, c), d);
    }
    #[inline(always)]
    fn output_adjoint<S: Simd>(simd: S, y: &mut Line<S>) {
        let [a, b, ..] = *y;
        y[1] = simd.add_f32s(a, b);
        y[2] = simd.sub_f32s(a, b);
        y[3] = simd.neg_f32s(b);
    }
    #[inline(always)]
    fn kernel<S: Simd>(simd: S, k: &mut Line<S>) {
        let half = simd.splat_f32s(0.5);
        let [a, b, c, ..] = *k;
        let (ends, middle) = (simd.mul_f32s(half, simd.add_f32s(a, c)), simd.mul_f32s(half, b));
        k[1] = simd.add_f32s(ends, middle);
        k[2] = simd.sub_f32s(ends, middle);
        k[3] = c;
    }
    #[inline(always)]
    fn kernel_adjoint<S: Simd>(simd: S, u: &mut Line<S>) {
        let half = simd.splat_f32s(0.5);
        let [a, b, c, d, ..] = *u;
        let (sum, difference) = (simd.mul_f32s(half, simd.add_f32s(b, c)), simd.mul_f32s(half, simd.sub_f32s(b, c)));
        u[0] = simd.add_f32s(a, sum);
        u[1] = difference;
        u[2] = simd.add_f32s(sum, d);
    }
}

/// Tiles of 4x4; points 0, 3/4, -3/4, 3/2, -3/2 and infinity, whose rounding errors are half those of the usual 0, 1, -1,
/// 2, -2 (Barabasz et al. 2020, arXiv 1803.10986, on the choice of points).
pub(super) struct F4;

/// The points' size, and powers of it.
const P: f32 = 0.75;
const Q: f32 = 1.5;
const P2: f32 = P * P;
const Q2: f32 = Q * Q;
/// The products of the differences between a point and the others, by which the kernel's transform divides.
const AT_ZERO: f32 = 1.0 / (P2 * Q2);
const AT_P: f32 = 1.0 / (2.0 * P2 * (P2 - Q2));
const AT_Q: f32 = 1.0 / (2.0 * Q2 * (Q2 - P2));

/// `a x`.
#[inline(always)]
fn times<S: Simd>(simd: S, a: f32, x: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(a), x)
}

/// `a x + b`.
#[inline(always)]
fn plus<S: Simd>(simd: S, a: f32, x: S::f32s, b: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(a), x, b)
}

/// `even + a odd` and `even - a odd`: the values of a polynomial at `a` and at `-a`.
#[inline(always)]
fn both_signs<S: Simd>(simd: S, a: f32, odd: S::f32s, even: S::f32s) -> (S::f32s, S::f32s) {
    (plus(simd, a, odd, even), plus(simd, -a, odd, even))
}

/// The first and the last row of `B^T`: the polynomial that is zero at all four points but 0.
#[inline(always)]
fn ends<S: Simd>(simd: S, first: S::f32s, middle: S::f32s, last: S::f32s) -> S::f32s {
    plus(simd, P2 * Q2, first, plus(simd, -(P2 + Q2), middle, last))
}

impl Scheme for F4 {
    const OUT: usize = 4;
    const TAPS: usize = 3;

    #[inline(always)]
    fn input<S: Simd>(simd: S, d: &mut Line<S>) {
        let [a, b, c, e, f, g] = *d;
        let (p, minus_p) = both_signs(simd, P, plus(simd, -Q2, b, e), plus(simd, -Q2, c, f));
        let (q, minus_q) = both_signs(simd, Q, plus(simd, -P2, b, e), plus(simd, -P2, c, f));
        *d = [ends(simd, a, c, f), p, minus_p, q, minus_q, ends(simd, b, e, g)];
    }
    #[inline(always)]
    fn output<S: Simd>(simd: S, p: &mut Line<S>) {
        let [a, b, c, d, e, f] = *p;
        let (even_p, odd_p) = (simd.add_f32s(b, c), simd.sub_f32s(b, c));
        let (even_q, odd_q) = (simd.add_f32s(d, e), simd.sub_f32s(d, e));
        p[0] = simd.add_f32s(a, simd.add_f32s(even_p, even_q));
        p[1] = plus(simd, P, odd_p, times(simd, Q, odd_q));
        p[2] = plus(simd, P2, even_p, times(simd, Q2, even_q));
        p[3] = plus(simd, P * P2, odd_p, plus(simd, Q * Q2, odd_q, f));
    }
    #[inline(always)]
    fn output_adjoint<S: Simd>(simd: S, y: &mut Line<S>) {
        let [a, b, c, d, ..] = *y;
        let (p, minus_p) = both_signs(simd, P, plus(simd, P2, d, b), plus(simd, P2, c, a));
        let (q, minus_q) = both_signs(simd, Q, plus(simd, Q2, d, b), plus(simd, Q2, c, a));
        *y = [a, p, minus_p, q, minus_q, d];
    }
    #[inline(always)]
    fn kernel<S: Simd>(simd: S, k: &mut Line<S>) {
        let [a, b, c, ..] = *k;
        let (p, minus_p) = both_signs(simd, AT_P * P, b, times(simd, AT_P, plus(simd, P2, c, a)));
        let (q, minus_q) = both_signs(simd, AT_Q * Q, b, times(simd, AT_Q, plus(simd, Q2, c, a)));
        *k = [times(simd, AT_ZERO, a), p, minus_p, q, minus_q, c];
    }
    #[inline(always)]
    fn kernel_adjoint<S: Simd>(simd: S, u: &mut Line<S>) {
        let [a, b, c, d, e, f] = *u;
        let (even_p, odd_p) = (simd.add_f32s(b, c), simd.sub_f32s(b, c));
        let (even_q, odd_q) = (simd.add_f32s(d, e), simd.sub_f32s(d, e));
        u[0] = plus(simd, AT_ZERO, a, plus(simd, AT_P, even_p, times(simd, AT_Q, even_q)));
        u[1] = plus(simd, AT_P * P, odd_p, times(simd, AT_Q * Q, odd_q));
        u[2] = plus(simd, AT_P * P2, even_p, plus(simd, AT_Q * Q2, even_q, f));
    }
}

/// Tiles of 4x4 for kernels of two taps; points 3/4, -3/4, 3/2, -3/2 and infinity: half the rounding errors of 0, 1, -1, 2.
pub(super) struct F4Of2;

const OF2_AT_P: f32 = 1.0 / (2.0 * P * (P2 - Q2));
const OF2_AT_Q: f32 = 1.0 / (2.0 * Q * (Q2 - P2));

impl Scheme for F4Of2 {
    const OUT: usize = 4;
    const TAPS: usize = 2;

    #[inline(always)]
    fn input<S: Simd>(simd: S, d: &mut Line<S>) {
        let [a, b, c, e, f, _] = *d;
        (d[0], d[1]) = both_signs(simd, P, plus(simd, -Q2, a, c), plus(simd, -Q2, b, e));
        (d[2], d[3]) = both_signs(simd, Q, plus(simd, -P2, a, c), plus(simd, -P2, b, e));
        d[4] = ends(simd, a, c, f);
    }
    #[inline(always)]
    fn output<S: Simd>(simd: S, p: &mut Line<S>) {
        let [a, b, c, d, e, _] = *p;
        let (even_p, odd_p) = (simd.add_f32s(a, b), simd.sub_f32s(a, b));
        let (even_q, odd_q) = (simd.add_f32s(c, d), simd.sub_f32s(c, d));
        p[0] = simd.add_f32s(even_p, even_q);
        p[1] = plus(simd, P, odd_p, times(simd, Q, odd_q));
        p[2] = plus(simd, P2, even_p, times(simd, Q2, even_q));
        p[3] = plus(simd, P * P2, odd_p, plus(simd, Q * Q2, odd_q, e));
    }
    #[inline(always)]
    fn output_adjoint<S: Simd>(simd: S, y: &mut Line<S>) {
        let [a, b, c, d, ..] = *y;
        (y[0], y[1]) = both_signs(simd, P, plus(simd, P2, d, b), plus(simd, P2, c, a));
        (y[2], y[3]) = both_signs(simd, Q, plus(simd, Q2, d, b), plus(simd, Q2, c, a));
        y[4] = d;
    }
    #[inline(always)]
    fn kernel<S: Simd>(simd: S, k: &mut Line<S>) {
        let [a, b, ..] = *k;
        (k[0], k[1]) = both_signs(simd, OF2_AT_P, a, times(simd, OF2_AT_P * P, b));
        (k[2], k[3]) = both_signs(simd, OF2_AT_Q, a, times(simd, OF2_AT_Q * Q, b));
        k[4] = b;
    }
    #[inline(always)]
    fn kernel_adjoint<S: Simd>(simd: S, u: &mut Line<S>) {
        let [a, b, c, d, e, _] = *u;
        let (even_p, odd_p) = (simd.add_f32s(a, b), simd.sub_f32s(a, b));
        let (even_q, odd_q) = (simd.add_f32s(c, d), simd.sub_f32s(c, d));
        u[0] = plus(simd, OF2_AT_P, odd_p, times(simd, OF2_AT_Q, odd_q));
        u[1] = plus(simd, OF2_AT_P * P, even_p, plus(simd, OF2_AT_Q * Q, even_q, e));
    }
}

/// One of a scheme's transforms, as a type: a function or closure in its place would not be compiled for the widest
/// registers.
pub(super) trait Axis {
    /// Pixels a tile and axis on the side that is not places.
    fn pixels<F: Scheme>() -> usize;
    fn apply<S: Simd, F: Scheme>(simd: S, line: &mut Line<S>);
}

macro_rules! axis {
    ($($name:ident, $transform:ident, $pixels:expr;)*) => {
        $(pub(super) struct $name;
        impl Axis for $name {
            #[inline(always)]
            fn pixels<F: Scheme>() -> usize {
                $pixels
            }
            #[inline(always)]
            fn apply<S: Simd, F: Scheme>(simd: S, line: &mut Line<S>) {
                F::$transform(simd, line);
            }
        })*
    };
}
axis! {
    Input, input, F::IN;
    Output, output, F::OUT;
    OutputAdjoint, output_adjoint, F::OUT;
    Kernel, kernel, F::TAPS;
    KernelAdjoint, kernel_adjoint, F::TAPS;
}
