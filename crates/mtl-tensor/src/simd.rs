//! Plain loops compiled for the widest vectors the processor has, chosen at run time.

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};

/// A loop over the slices in `A`. `run` must be `#[inline(always)]`: only inlined code is compiled for the wide registers, which
/// is also why this is a type, and not a function or closure, whose bodies stay functions of their own.
pub(crate) trait Loop<A> {
    /// The result.
    type Output;
    fn run(arguments: A) -> Self::Output;
}

struct Call<L, A>(A, PhantomData<L>);

impl<A, L: Loop<A>> WithSimd for Call<L, A> {
    type Output = L::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> L::Output {
        L::run(self.0)
    }
}

/// Runs the loop `L`, compiled for AVX-512, AVX2 or NEON where available. Widths change no result, since sums have
/// a fixed number of lanes.
#[inline]
pub(crate) fn wide<L: Loop<A>, A>(arguments: A) -> L::Output {
    pulp::Arch::new().dispatch(Call::<L, A>(arguments, PhantomData))
}
