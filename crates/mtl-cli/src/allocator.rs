//! The program's allocator: mimalloc, told to keep what it has.
//!
//! A training step allocates and frees the same hundreds of megabytes each time. Given back to the system in between, they
//! would be faulted in again page by page and zeroed: measured, a fifth of a step. The price is that memory of a past peak
//! stays with the process.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 2 and 3: milliseconds until freed memory goes back to the system; -1 is never.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// To be called first of all, while there is one thread.
pub fn keep_memory() {
    // SAFETY: sets a number inside the allocator, which other threads read without a lock: `main` calls this before there
    // are any.
    #[allow(unsafe_code)]
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, -1);
    }
}
