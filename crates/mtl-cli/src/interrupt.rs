//! Ctrl-C and SIGTERM: the first asks the run to save and stop, the second ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::Failure;
use crate::screen::Console;

/// A flag that is set by the first signal, which says so on `console`.
pub fn flag(console: Console) -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .map_err(|error| Failure::other(format!("signals cannot be handled: {error}")))?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if seen.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            console.say("stopping: the run is saved first (once more to quit at once)");
        }
    });
    Ok(stop)
}
