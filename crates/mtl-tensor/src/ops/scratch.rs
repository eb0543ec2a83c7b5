//! Working memory of a thread that is kept from one call to the next: no allocation, no page fault in the steady state.

use std::cell::RefCell;

thread_local! {
    static BUFFERS: RefCell<[Vec<f32>; 4]> = const { RefCell::new([const { Vec::new() }; 4]) };
}

/// Lends up to four buffers of these lengths; what they hold is left over from other uses. Not to be nested.
pub(super) fn with_scratch<const N: usize, R>(lengths: [usize; N], body: impl FnOnce([&mut [f32]; N]) -> R) -> R {
    BUFFERS.with_borrow_mut(|buffers| {
        let mut lent = buffers.iter_mut();
        body(lengths.map(|length| match lent.next() {
            Some(buffer) => {
                if buffer.len() < length {
                    buffer.resize(length, 0.0);
                }
                &mut buffer[..length]
            }
            None => unreachable!("more than four buffers"),
        }))
    })
}
