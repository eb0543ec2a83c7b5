//! Settings of the process before anything runs: the allocator keeps freed memory, rayon alone has threads.
//!
//! A training step allocates and frees the same hundreds of megabytes each time. Given back to the system in between, they
//! would be faulted in again page by page and zeroed: measured, a fifth of a step. The price is that memory of a past peak
//! stays with the process.
//!
//! candle adds large tensors in threads of its own, which wait by spinning beside ours, and reads the number of processors
//! from the system at every matrix product: measured, a quarter of a GAN step of 32 images of 32x32.

use std::io::Write;
use std::sync::OnceLock;

use mtl_tensor::threads::{Plan, on_worker, plan};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 2 and 3: milliseconds until freed memory goes back to the system; -1 is never.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Runs `body` on one of the threads that compute: see [`on_worker`]. The loader's threads are its own, so `body` may wait for them.
pub fn on_a_worker<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    if let Some(Plan { threads, lowered_from: Some(requested) }) = PLAN.get() {
        // Standard error may be closed.
        let _ = writeln!(
            std::io::stderr().lock(),
            "warning: RAYON_NUM_THREADS={requested} is more than this program starts; it computes with {threads} threads"
        );
    }
    on_worker(body)
}

/// The number of threads, before the environment was changed.
static PLAN: OnceLock<Plan> = OnceLock::new();

/// Must be the first call of `main`, while there is one thread. What the user has set stays, except a number of threads that is
/// more than [`plan`] allows.
pub fn prepare() {
    let plan = PLAN.get_or_init(plan);
    let threads = plan.threads.to_string();
    let lowered = |name: &str| name == "RAYON_NUM_THREADS" && plan.lowered_from.is_some();
    // SAFETY: sets a number inside the allocator and variables of the environment, which other threads read without a lock:
    // `main` calls this before there are any.
    #[allow(unsafe_code)]
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, -1);
        for (name, value) in [("CANDLE_NUM_THREADS", "1"), ("RAYON_NUM_THREADS", threads.as_str())] {
            if std::env::var_os(name).is_none() || lowered(name) {
                std::env::set_var(name, value);
            }
        }
    }
}
