//! Worker threads: their number, and calls from one of them.
//!
//! A program that trains gains from three settings; `mtl` makes all of them, a program of your own should too:
//!
//! * [`on_worker`] around all work: up to a quarter of a small step's time, and a bounded number of threads.
//! * `CANDLE_NUM_THREADS=1` in the environment before the first thread starts: candle's own threads wait by spinning,
//!   which took a quarter of a GAN step of 32 images of 32x32. Setting it is `unsafe` in a running program, so this crate leaves
//!   it to the program or the shell.
//! * An allocator that keeps freed memory (mimalloc with `purge_delay = -1`): a step frees and allocates the same hundreds of
//!   megabytes, and page faults took a fifth of it.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::debug;

/// Number of threads that compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Threads to start: `RAYON_NUM_THREADS`, or one per processor where that is unset, 0 or not a number.
    pub threads: usize,
    /// The number in `RAYON_NUM_THREADS`, where it was more than are started.
    pub lowered_from: Option<usize>,
}

/// Most threads of a pool on any machine of up to 16 processors; larger machines start up to four per processor.
pub const MOST_THREADS: usize = 64;

/// The plan for this process, from `RAYON_NUM_THREADS` and the processors it may use.
pub fn plan() -> Plan {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    planned(std::env::var("RAYON_NUM_THREADS").ok().as_deref(), processors)
}

fn planned(setting: Option<&str>, processors: usize) -> Plan {
    let most = MOST_THREADS.max(4 * processors);
    match setting.and_then(|number| number.trim().parse::<usize>().ok()) {
        None | Some(0) => Plan { threads: processors, lowered_from: None },
        Some(requested) if requested > most => Plan { threads: most, lowered_from: Some(requested) },
        Some(requested) => Plan { threads: requested, lowered_from: None },
    }
}

/// Stack of a thread that computes, as much as a main thread usually has: candle walks through its own ops by recursion.
const STACK: usize = 8 << 20;

/// Runs `body` on one of the threads that compute, and starts them according to [`plan`] if no pool runs yet. From any other
/// thread, each parallel loop is handed over and waited for: a fifth of a GAN step, a quarter of a small network's step on one
/// image.
///
/// With one such thread, `body` must not wait for work that needs it. Where the pool was started by other means, or the system
/// refuses threads, `body` runs on the calling thread.
///
/// ```
/// let sum: f32 = mtl_tensor::threads::on_worker(|| {
///     let x = mtl_tensor::Tensor::new(&[1f32, 2.0], &mtl_tensor::Device::Cpu)?;
///     mtl_tensor::ops::relu(&x)?.sum_all()?.to_scalar()
/// })?;
/// assert_eq!(sum, 3.0);
/// # mtl_tensor::Result::Ok(())
/// ```
pub fn on_worker<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    let plan = plan();
    let pool = rayon::ThreadPoolBuilder::new().stack_size(STACK).num_threads(plan.threads).build_global();
    match pool {
        Ok(()) => {
            debug!(threads = plan.threads, lowered_from = plan.lowered_from, "worker threads started");
            STARTED.store(true, Ordering::Release);
        }
        // The pool runs already, or the system refuses threads.
        Err(_) if STARTED.load(Ordering::Acquire) || rayon::current_thread_index().is_some() => {}
        Err(_) => return body(),
    }
    rayon::scope(|_| body())
}

/// Whether [`on_worker`] has started the pool.
static STARTED: AtomicBool = AtomicBool::new(false);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_threads() {
        let plan = |threads, lowered_from| Plan { threads, lowered_from };
        for (setting, processors, expected) in [
            (None, 2, plan(2, None)),
            (Some("0"), 2, plan(2, None)),
            (Some("many"), 2, plan(2, None)),
            (Some("7"), 2, plan(7, None)),
            (Some("64"), 2, plan(64, None)),
            (Some("100000"), 2, plan(64, Some(100_000))),
            (Some("100000"), 96, plan(384, Some(100_000))),
            (Some("1"), 96, plan(1, None)),
        ] {
            assert_eq!(planned(setting, processors), expected, "{setting:?} on {processors}");
        }
    }
}
