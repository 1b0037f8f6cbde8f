//! Threads as tasks of shuttle, which picks who runs at each operation. A thread
//! that waits is runnable to shuttle and left out here, so that a wake-up costs
//! nothing; when none is left, time goes on.
//! Must not know: what the operations do.

use super::context::Context;
use super::process;
use super::state::{Ending, Kernel, Step, Tid, kernel};
use super::sync::Op;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Schedule, Scheduler, Task, TaskId};
use std::cell::RefCell;

/// How the schedules of a run are picked.
#[derive(Clone, Debug)]
pub enum Strategy {
    /// The thread that runs goes on while it can; for boot.
    Steady,
    /// A fair coin at each step.
    Random { seed: u64, executions: usize },
    /// Probabilistic concurrency testing.
    Pct { seed: u64, depth: usize, executions: usize },
    /// These threads where they are given and can run, else steadily.
    Replay(Vec<Option<Tid>>),
}

/// More operations than any execution needs.
const STEPS: u64 = 200_000;
/// A host's stack.
const STACK: usize = 256 << 10;

thread_local! {
    /// The threads picked where there was a choice, of this execution.
    static PICKED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The threads that were picked in the execution that ended last, where there was
/// a choice.
pub fn picked() -> Vec<Tid> {
    PICKED.with_borrow(|picked| picked.iter().map(|tid| *tid as Tid).collect())
}

/// Runs executions: each begins with `begin`, which puts the state in order; then
/// all threads of the kernel run, then `end` sees what became of it and says
/// whether to go on.
pub fn run(
    strategy: Strategy,
    begin: impl Fn() + Send + Sync + 'static,
    end: impl Fn() -> bool + Send + Sync + 'static,
) {
    let picker = match strategy {
        Strategy::Steady => Picker::Replay(Vec::new(), false),
        Strategy::Replay(threads) => Picker::Replay(threads, false),
        Strategy::Random { seed, executions } => {
            Picker::Shuttle(Box::new(RandomScheduler::new_from_seed(seed, executions)))
        }
        Strategy::Pct { seed, depth, executions } => {
            Picker::Shuttle(Box::new(PctScheduler::new_from_seed(seed, depth, executions)))
        }
    };
    let mut config = shuttle::Config::new();
    config.failure_persistence = shuttle::FailurePersistence::None;
    config.stack_size = STACK;
    config.max_steps = shuttle::MaxSteps::None;
    config.silence_warnings = true;
    let scheduler = Ready { picker, end: Box::new(end), running: false };
    shuttle::Runner::new(scheduler, config).run(move || {
        begin();
        PICKED.with_borrow_mut(Vec::clear);
        for tid in 0..kernel().threads.len() {
            spawn_host(tid);
        }
    });
}

/// Called by the kernel for a thread that begins in an execution.
pub fn spawn(tid: Tid) {
    // In constructors there is no execution yet; boot begins with all threads.
    if shuttle::current::try_get_current_task().is_some() {
        spawn_host(tid);
    }
}

fn spawn_host(tid: Tid) {
    let name = format!("{tid}");
    let thread = shuttle::thread::Builder::new().name(name);
    thread.spawn(move || host(tid)).expect("shuttle takes any number of tasks");
}

/// The life of a thread on the host's side: does what its C side asks for.
fn host(tid: Tid) {
    if let Some(body) = super::boot::scenario_task(tid) {
        kernel().current = tid;
        if body(tid).is_some() {
            super::thread::end(kernel(), tid, 0);
        }
        return;
    }
    loop {
        // SAFETY: an operation stays where it is until its thread goes on.
        if let Some(op) = unsafe { kernel().pending(tid) } {
            let Some(result) = perform(tid, op) else { return };
            process::answer(tid, result);
        }
        if kernel().over.is_some() || kernel().threads[tid].returned.is_some() {
            return;
        }
        enter(tid);
    }
}

/// Runs the C side until it asks for something.
fn enter(tid: Tid) {
    kernel().current = tid;
    let mut context: Context = kernel().threads[tid].context.expect("it has a C side");
    let mut host = 0;
    process::set_running(&raw mut context, &raw mut host);
    context.enter(&mut host);
    process::set_running(std::ptr::null_mut(), std::ptr::null_mut());
    kernel().threads[tid].context = Some(context);
}

/// Does an operation, waiting as long as it takes; none: the execution is over,
/// or the thread is.
pub fn perform(tid: Tid, op: &mut Op) -> Option<isize> {
    if kernel().threads[tid].waits.is_empty() {
        switch();
    }
    let mut waited = false;
    loop {
        let kernel = kernel();
        if kernel.over.is_some() {
            return None;
        }
        kernel.current = tid;
        kernel.steps += 1;
        if kernel.steps > STEPS {
            kernel.end(Ending::Steps);
            return None;
        }
        if let Some(result) = op.attempt(kernel, tid) {
            if kernel.recording.is_some() {
                record(tid, op, waited);
            }
            return (kernel.over.is_none()).then_some(result);
        }
        waited = true;
        if kernel.threads[tid].returned.is_some() {
            return None;
        }
        switch();
    }
}

/// Keeps an operation for a witness, with the callers that `process::call` left.
fn record(tid: Tid, op: &Op, waited: bool) {
    let state = kernel();
    let frames = std::mem::take(&mut state.threads[tid].frames);
    let (what, object) = op.name();
    if let Some(steps) = &mut state.recording {
        steps.push(Step { tid, what, object, frames, waited });
    }
}

/// A place where another thread may go on.
fn switch() {
    // shuttle's own sleep is nothing but such a place; its `yield_now` would tell
    // the scheduler to prefer others.
    shuttle::thread::sleep(std::time::Duration::ZERO);
}

/// A value below `many`, picked like a thread.
pub fn choose(many: usize) -> usize {
    use shuttle::rand::Rng;
    shuttle::rand::thread_rng().gen_range(0..many)
}

enum Picker {
    Shuttle(Box<dyn Scheduler + Send>),
    /// The threads to pick, and whether it has begun.
    Replay(Vec<Option<Tid>>, bool),
}

/// A scheduler that leaves out the threads that wait.
struct Ready {
    picker: Picker,
    end: Box<dyn Fn() -> bool + Send>,
    running: bool,
}

/// shuttle's task 0 begins the execution; thread n is task n + 1.
fn tid(task: TaskId) -> Option<Tid> {
    usize::from(task).checked_sub(1)
}

impl Scheduler for Ready {
    fn new_execution(&mut self) -> Option<Schedule> {
        if std::mem::replace(&mut self.running, true) && !(self.end)() {
            return None;
        }
        match &mut self.picker {
            Picker::Shuttle(scheduler) => scheduler.new_execution(),
            Picker::Replay(_, begun) => {
                (!std::mem::replace(begun, true)).then(|| Schedule::new(0))
            }
        }
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        _: bool,
    ) -> Option<TaskId> {
        let state: &mut Kernel = kernel();
        // The first task sets the others up.
        if let Some(first) = runnable.iter().find(|task| tid(task.id()).is_none()) {
            return Some(first.id());
        }
        let ready = |state: &Kernel, task: &&&Task| {
            let thread = tid(task.id()).and_then(|tid| state.threads.get(tid));
            state.over.is_some() || thread.is_none_or(|thread| thread.ready())
        };
        let mut picks: Vec<&Task> = Vec::with_capacity(runnable.len());
        loop {
            picks.extend(runnable.iter().filter(|task| ready(state, task)));
            if !picks.is_empty() {
                break;
            }
            state.quiet();
        }
        let of_qemu = |task: &&Task| {
            tid(task.id()).is_some_and(|tid| {
                state.threads.get(tid).is_none_or(|thread| thread.context.is_some())
            })
        };
        if state.bql != 0 && !picks.iter().any(of_qemu) {
            state.tick();
        }
        if picks.len() == 1 || state.over.is_some() {
            return Some(picks[0].id());
        }
        let pick = match &mut self.picker {
            Picker::Shuttle(scheduler) => scheduler.next_task(&picks, current, false)?,
            Picker::Replay(threads, _) => {
                let nth = PICKED.with_borrow(Vec::len);
                let wanted = threads.get(nth).copied().flatten().map(|tid| TaskId::from(tid + 1));
                let wanted = wanted.filter(|want| picks.iter().any(|task| task.id() == *want));
                let stays = current.filter(|now| picks.iter().any(|task| task.id() == *now));
                wanted.or(stays).unwrap_or(picks[0].id())
            }
        };
        PICKED.with_borrow_mut(|picked| picked.push((usize::from(pick) - 1) as u8));
        Some(pick)
    }

    fn next_u64(&mut self) -> u64 {
        match &mut self.picker {
            Picker::Shuttle(scheduler) => scheduler.next_u64(),
            Picker::Replay(..) => 0,
        }
    }
}
