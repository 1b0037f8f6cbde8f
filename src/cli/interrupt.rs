//! Ctrl-C, SIGTERM, SIGHUP: once, stop and say what is known; twice, go. The only
//! file that names ctrlc.
//! Must not know: what is stopped.

use super::exit::Exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// The flag that the first signal sets; the second ends the process. There is one,
/// however often it is asked for.
pub fn watch() -> Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    let flag = FLAG.get_or_init(|| {
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
    });
    flag.clone()
}
