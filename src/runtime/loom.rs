//! loom: every interleaving under a preemption bound, at most five threads.
//! The only file that names loom.
//! Must not know: what the threads do.

use super::monitor::{Backend, Run};
use super::{Program, World};
use std::sync::Arc;
use std::time::Duration;

/// loom's limit, its main thread included; that one runs a body too.
pub const MAX_THREADS: usize = 5;

struct Loom;

impl Backend for Loom {
    type Mutex = loom::sync::Mutex<World>;
    type Guard<'a> = loom::sync::MutexGuard<'a, World>;
    type Condvar = loom::sync::Condvar;

    fn mutex(world: World) -> Self::Mutex {
        loom::sync::Mutex::new(world)
    }

    fn condvar() -> Self::Condvar {
        loom::sync::Condvar::new()
    }

    fn lock(mutex: &Self::Mutex) -> Self::Guard<'_> {
        mutex.lock().expect("loom does not poison")
    }

    fn wait<'a>(condvar: &Self::Condvar, guard: Self::Guard<'a>) -> Self::Guard<'a> {
        condvar.wait(guard).expect("loom does not poison")
    }

    fn notify(condvar: &Self::Condvar) {
        condvar.notify_one();
    }

    /// loom has no choice of values: the first alternative, always.
    fn pick(alternatives: u64) -> u8 {
        alternatives.trailing_zeros() as u8
    }
}

/// What bounds a loom exploration.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub preemptions: usize,
    pub budget: Option<Duration>,
}

/// Explores `program`; `each` sees the final world of every execution. Must run
/// in a process of its own: loom aborts on what it takes for a deadlock.
pub fn explore<P: Program>(
    program: Arc<P>,
    bounds: Bounds,
    each: impl Fn(&mut World) + Send + Sync + 'static,
) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bounds.preemptions);
    builder.max_duration = bounds.budget;
    builder.max_branches = 100_000;
    builder.max_threads = MAX_THREADS;
    // loom looks at the clock only this often, in executions.
    builder.checkpoint_interval = 100;
    builder.log = false;
    builder.check(move || {
        let run: Run<Loom, P> = Run::new(&program, |_| {});
        let handles: Vec<_> = (1..run.threads())
            .map(|index| {
                let run = run.clone();
                loom::thread::spawn(move || run.drive(index))
            })
            .collect();
        run.drive(0);
        handles.into_iter().for_each(|handle| handle.join().expect("bodies do not panic"));
        run.judge();
        run.world(|world| each(world));
    });
}
