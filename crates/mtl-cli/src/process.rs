//! What the process is told before anything runs: to keep the memory it has, and to leave the threads to rayon.
//!
//! A training step allocates and frees the same hundreds of megabytes each time. Given back to the system in between, they
//! would be faulted in again page by page and zeroed: measured, a fifth of a step. The price is that memory of a past peak
//! stays with the process.
//!
//! candle adds large tensors in threads of its own, which wait by spinning beside ours, and asks the system for the number
//! of processors anew at every matrix product: measured, a quarter of a GAN step of 32 images of 32x32.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 2 and 3: milliseconds until freed memory goes back to the system; -1 is never.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// What a main thread usually has; a graph is dropped and walked through by recursion.
const STACK: usize = 8 << 20;

/// Runs `body` on one of the threads that compute. From any other thread, each parallel loop is first handed over and then
/// waited for, which small steps feel: a fifth of a GAN step, a quarter of the tutorial's step on one image.
///
/// With one such thread, whoever `body` waits for must not need it: the loader's threads are its own.
pub fn on_a_worker<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    match rayon::ThreadPoolBuilder::new().stack_size(STACK).build_global() {
        Ok(()) => rayon::scope(|_| body()),
        // No threads to be had: what needs none still works.
        Err(_) => body(),
    }
}

/// To be called first of all, while there is one thread. What the user has set stays.
pub fn prepare() {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).to_string();
    // SAFETY: sets a number inside the allocator and variables of the environment, which other threads read without a lock:
    // `main` calls this before there are any.
    #[allow(unsafe_code)]
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, -1);
        for (name, value) in [("CANDLE_NUM_THREADS", "1"), ("RAYON_NUM_THREADS", threads.as_str())] {
            if std::env::var_os(name).is_none() {
                std::env::set_var(name, value);
            }
        }
    }
}
