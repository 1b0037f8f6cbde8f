//! Work on all cores, in the order of the input. The only file that names rayon.
//! Must not know: what the work is.

use rayon::prelude::*;

/// `work` on each of `items`; the results are in the items' order.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
    items.par_iter().map(work).collect()
}

/// The same, each in a thread of its own: for work that waits for other work that
/// is done here, which the pool's own threads must not.
pub fn apart<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = items.iter().map(|item| scope.spawn(|| work(item))).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.map(|r| r.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}
