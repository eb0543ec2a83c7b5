//! Size of the tiles of fast convolutions, and a limit to it.

use std::cell::Cell;

/// Output pixels per tile and axis of a fast convolution: larger tiles multiply less and round more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TileSide {
    /// 2: 2.25 times fewer multiplications than the definition.
    Two,
    /// 4: 4 times fewer.
    Four,
}

thread_local! {
    static LARGEST: Cell<TileSide> = const { Cell::new(TileSide::Four) };
}

/// Runs `body` with tiles of at most this size on this thread; without, [`TileSide::Four`] where shapes allow. Gradients are
/// computed where [`backward`](crate::backward) is called, so that belongs inside too.
pub fn with_largest_tile<R>(side: TileSide, body: impl FnOnce() -> R) -> R {
    crate::tape::with_local(&LARGEST, side, body)
}

/// The limit of this thread.
pub(super) fn largest_tile() -> TileSide {
    LARGEST.get()
}
