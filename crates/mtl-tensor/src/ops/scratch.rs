//! Working memory of a thread that is kept from one call to the next: no allocation, no page fault in the steady state.

use std::cell::RefCell;

type Buffers = [Vec<f32>; 5];

thread_local! {
    static OF_STRIPS: RefCell<Buffers> = const { RefCell::new([const { Vec::new() }; 5]) };
    static OF_CALLS: RefCell<Buffers> = const { RefCell::new([const { Vec::new() }; 5]) };
}

/// Lends one task of a parallel loop up to five buffers of these lengths; their contents are left over from other uses. Not to
/// be nested, and `body` must not wait for other tasks.
pub(super) fn with_scratch<const N: usize, R>(lengths: [usize; N], body: impl FnOnce([&mut [f32]; N]) -> R) -> R {
    OF_STRIPS.with_borrow_mut(|buffers| body(lend(buffers, lengths)))
}

/// The same for memory that the tasks of a call share. While it waits for them, its thread may begin with another call:
/// that one gets buffers of its own.
pub(super) fn with_shared<const N: usize, R>(lengths: [usize; N], body: impl FnOnce([&mut [f32]; N]) -> R) -> R {
    let mut buffers = OF_CALLS.take();
    let result = body(lend(&mut buffers, lengths));
    OF_CALLS.set(buffers);
    result
}

fn lend<const N: usize>(buffers: &mut Buffers, lengths: [usize; N]) -> [&mut [f32]; N] {
    let mut lent = buffers.iter_mut();
    lengths.map(|length| match lent.next() {
        Some(buffer) => {
            if buffer.len() < length {
                buffer.resize(length, 0.0);
            }
            &mut buffer[..length]
        }
        None => unreachable!("more than five buffers"),
    })
}
