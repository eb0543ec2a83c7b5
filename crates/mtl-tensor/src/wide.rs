//! Plain loops compiled for the widest vectors the processor has, chosen at run time.

use pulp::{Simd, WithSimd};

struct Call<F, A>(F, A);

impl<A, R, F: FnOnce(A) -> R> WithSimd for Call<F, A> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> R {
        (self.0)(self.1)
    }
}

/// `body(arguments)`, its loops compiled for AVX-512, AVX2 or NEON where there is such a thing.
///
/// `body` is the name of an `#[inline(always)]` function: a closure is a function of its own to the compiler, and would
/// keep the portable instructions. Widths change no result, since sums have a fixed number of lanes.
#[inline]
pub(crate) fn wide<A, R>(body: impl FnOnce(A) -> R, arguments: A) -> R {
    pulp::Arch::new().dispatch(Call(body, arguments))
}
