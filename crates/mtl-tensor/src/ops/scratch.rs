//! Working memory of a thread that is kept from one call to the next: no allocation, no page fault in the steady state.

use std::cell::RefCell;

thread_local! {
    static BUFFERS: RefCell<[Vec<f32>; 3]> = const { RefCell::new([Vec::new(), Vec::new(), Vec::new()]) };
}

/// Lends three buffers of at least these lengths; what they hold is left over from other uses. Not to be nested.
pub(super) fn with_scratch<R>(lengths: [usize; 3], body: impl FnOnce(&mut [f32], &mut [f32], &mut [f32]) -> R) -> R {
    BUFFERS.with_borrow_mut(|buffers| {
        for (buffer, length) in buffers.iter_mut().zip(lengths) {
            if buffer.len() < length {
                buffer.resize(length, 0.0);
            }
        }
        let [a, b, c] = buffers;
        body(&mut a[..lengths[0]], &mut b[..lengths[1]], &mut c[..lengths[2]])
    })
}
