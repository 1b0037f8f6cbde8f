//! shuttle: random, PCT and depth-first schedules of any number of threads.
//! The only file that names shuttle.
//! Must not know: what the threads do.

use super::monitor::{Backend, Run};
use super::{Program, World};
use shuttle::rand::Rng;
use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler};
use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

struct Shuttle;

impl Backend for Shuttle {
    type Mutex = shuttle::sync::Mutex<World>;
    type Guard<'a> = shuttle::sync::MutexGuard<'a, World>;
    type Condvar = shuttle::sync::Condvar;

    fn mutex(world: World) -> Self::Mutex {
        shuttle::sync::Mutex::new(world)
    }

    fn condvar() -> Self::Condvar {
        shuttle::sync::Condvar::new()
    }

    fn lock(mutex: &Self::Mutex) -> Self::Guard<'_> {
        mutex.lock().expect("bodies do not panic")
    }

    fn wait<'a>(condvar: &Self::Condvar, guard: Self::Guard<'a>) -> Self::Guard<'a> {
        condvar.wait(guard).expect("bodies do not panic")
    }

    fn notify(condvar: &Self::Condvar) {
        condvar.notify_one();
    }

    fn pick(alternatives: u64) -> u8 {
        let all = alternatives.count_ones();
        let nth = if all > 1 { shuttle::rand::thread_rng().gen_range(0..all) } else { 0 };
        let rest = (0..nth).fold(alternatives, |rest, _| rest & (rest - 1));
        rest.trailing_zeros() as u8
    }
}

/// How shuttle picks its schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Probabilistic concurrency testing, bug depth 3.
    Pct,
    /// A fair coin at every step.
    Random,
    /// Depth first, no reduction; does not choose values.
    Dfs,
}

/// Runs at most `executions` schedules; `each` sees the final world of each one
/// and says whether to go on. Gives how many were run.
pub fn explore<P: Program>(
    program: Arc<P>,
    strategy: Strategy,
    seed: u64,
    executions: usize,
    each: impl Fn(&mut World) -> bool + Send + Sync + 'static,
) -> usize {
    match strategy {
        Strategy::Pct => run(program, PctScheduler::new_from_seed(seed, 3, executions), each),
        Strategy::Random => run(program, RandomScheduler::new_from_seed(seed, executions), each),
        Strategy::Dfs => run(program, DfsScheduler::new(Some(executions), true), each),
    }
}

/// A scheduler that begins no further execution once it is told to stop.
struct Stoppable<S> {
    scheduler: S,
    stop: Arc<AtomicBool>,
}

impl<S: Scheduler> Scheduler for Stoppable<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        if self.stop.load(Ordering::Relaxed) { None } else { self.scheduler.new_execution() }
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        yielding: bool,
    ) -> Option<TaskId> {
        self.scheduler.next_task(runnable, current, yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.scheduler.next_u64()
    }
}

fn run<P: Program>(
    program: Arc<P>,
    scheduler: impl Scheduler + 'static,
    each: impl Fn(&mut World) -> bool + Send + Sync + 'static,
) -> usize {
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::None;
    config.stack_size = 256 * 1024;
    let stop = Arc::new(AtomicBool::new(false));
    let scheduler = Stoppable { scheduler, stop: stop.clone() };
    shuttle::Runner::new(scheduler, config).run(move || {
        let run: Run<Shuttle, P> = Run::new(&program, |_| {});
        let handles: Vec<_> = (1..run.threads())
            .map(|index| {
                let run = run.clone();
                shuttle::thread::spawn(move || run.drive(index))
            })
            .collect();
        run.drive(0);
        handles.into_iter().for_each(|handle| handle.join().expect("bodies do not panic"));
        run.judge();
        if !run.world(|world| each(world)) {
            stop.store(true, Ordering::Relaxed);
        }
    })
}
