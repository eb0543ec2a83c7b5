//! Ctrl-C and SIGTERM: the first signal saves a checkpoint and stops the run, the second ends the program immediately.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::{Failure, INTERRUPTED};
use crate::screen::Console;

/// A flag that the first signal sets, with a message on `console`.
///
/// # Errors
/// The system accepts no signal handler.
pub fn flag(console: Console) -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .map_err(|error| Failure::other(format!("signal handlers cannot be installed: {error}")))?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            tracing::info!(signal, "signal received");
            if seen.swap(true, Ordering::SeqCst) {
                std::process::exit(i32::from(INTERRUPTED));
            }
            console.say("Interrupted: saving a checkpoint; press Ctrl-C again to quit now.");
        }
    });
    Ok(stop)
}
