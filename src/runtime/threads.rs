//! Real threads: the operating system schedules, over parking_lot. For stress,
//! and for real sizes. The only file that names parking_lot.
//! Must not know: what the threads do.

use super::monitor::{Backend, Run};
use super::{Program, Wait, World};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

struct Native;

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(1) };
}

/// The next number of this thread's xorshift sequence.
fn random() -> u64 {
    SEED.with(|seed| {
        let mut x = seed.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        seed.set(x);
        x
    })
}

impl Backend for Native {
    type Mutex = parking_lot::Mutex<World>;
    type Guard<'a> = parking_lot::MutexGuard<'a, World>;
    type Condvar = parking_lot::Condvar;

    fn mutex(world: World) -> Self::Mutex {
        parking_lot::Mutex::new(world)
    }

    fn condvar() -> Self::Condvar {
        parking_lot::Condvar::new()
    }

    fn lock(mutex: &Self::Mutex) -> Self::Guard<'_> {
        mutex.lock()
    }

    fn wait<'a>(condvar: &Self::Condvar, mut guard: Self::Guard<'a>) -> Self::Guard<'a> {
        condvar.wait(&mut guard);
        guard
    }

    fn notify(condvar: &Self::Condvar) {
        condvar.notify_one();
    }

    fn pick(alternatives: u64) -> u8 {
        let nth = random() % u64::from(alternatives.count_ones());
        let rest = (0..nth).fold(alternatives, |rest, _| rest & (rest - 1));
        rest.trailing_zeros() as u8
    }

    fn pause() {
        if random().is_multiple_of(16) {
            std::thread::yield_now();
        }
    }
}

/// Runs `program` once on real threads; at `limit` a watchdog ends a run that
/// hangs. Gives the final world's answer and, for a hang, who waits for what.
pub fn run<P: Program, A>(
    program: &Arc<P>,
    seed: u64,
    limit: Duration,
    prepare: impl FnOnce(&mut World),
    f: impl FnOnce(&mut World) -> A,
) -> (A, Option<Vec<Wait>>) {
    let run: Run<Native, P> = Run::new(program, prepare);
    let (done, finished) = channel();
    let handles: Vec<_> = (0..run.threads())
        .map(|index| {
            let (run, done) = (run.clone(), done.clone());
            std::thread::spawn(move || {
                SEED.with(|s| {
                    s.set(
                        ((seed << 8) | (u64::from(index) + 1)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
                            | 1,
                    )
                });
                let result = catch_unwind(AssertUnwindSafe(|| run.drive(index)));
                if result.is_err() {
                    run.stop();
                }
                // The watchdog may have given up already: then nobody listens.
                let _ = done.send(());
                result
            })
        })
        .collect();
    let deadline = std::time::Instant::now() + limit;
    let mut hang = None;
    for _ in 0..handles.len() {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        if finished.recv_timeout(left).is_err() {
            hang = Some(run.world(|world| world.unfinished()));
            run.stop();
            break;
        }
    }
    for handle in handles {
        if let Err(panic) = handle.join().expect("panics are caught inside") {
            resume_unwind(panic);
        }
    }
    run.judge();
    (run.world(f), hang)
}
