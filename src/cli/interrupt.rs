//! Ctrl-C: once, stop and say what is known; twice, go. The only file that
//! names ctrlc.
//! Must not know: what is stopped.

use super::exit::Exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sets the flag that it gives at the first Ctrl-C; the second ends the process.
pub fn watch() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = flag.clone();
    let watching = ctrlc::set_handler(move || {
        if set.swap(true, Ordering::Relaxed) {
            std::process::exit(Exit::Interrupted as i32);
        }
    });
    // Without a handler Ctrl-C ends the process at once: no reason not to run.
    drop(watching);
    flag
}
