//! Threads take turns: who runs next is picked before each operation, and the
//! thread that ran hands over to it at once. There is one stack a thread and no
//! scheduler between them, so that a step costs a few nanoseconds; shuttle, which
//! is for tasks of Rust, took half of an execution's time here.
//! Must not know: what the operations do.

use super::choices::{self, Choices};
use super::context::{Context, Stack};
use super::pair;
use super::pick::Picker;
pub use super::pick::Strategy;
use super::spin::Busy;
use super::state::{Ending, Key, Step, Thread, Tid, kernel};
use super::sync::{self, Op};
use super::{process, race};
use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// More operations than any execution needs.
const STEPS: u64 = 200_000;

/// A run of executions.
struct Run {
    picker: Picker,
    /// Where `run` left off, and where the other side of a pair did.
    hosts: [Context; 2],
    /// An execution is on.
    on: bool,
    /// Tasks of the scenario that have begun in this execution, and whether each
    /// has ended.
    tasks: Vec<(Tid, Stack, bool)>,
    /// Stacks for others.
    stacks: Vec<Stack>,
    /// What a task panicked with.
    panic: Option<Box<dyn Any + Send>>,
    /// Those that can run; kept for its room.
    ready: Vec<Tid>,
    /// What else may happen; empty without `Choices`.
    extras: Vec<Tid>,
}

struct Global(UnsafeCell<Option<Run>>);
// SAFETY: one OS thread. Not thread-local: the threads of C have blocks of their own.
unsafe impl Sync for Global {}
static RUN: Global = Global(UnsafeCell::new(None));

#[inline]
fn current_run() -> &'static mut Run {
    // SAFETY: one OS thread, and no reference is kept over a switch.
    match unsafe { &mut *RUN.0.get() } {
        Some(run) => run,
        none => first(none),
    }
}

#[cold]
fn first(none: &'static mut Option<Run>) -> &'static mut Run {
    none.insert(Run {
        picker: Picker::new(Strategy::Steady),
        hosts: [Context::host(); 2],
        on: false,
        tasks: Vec::new(),
        stacks: Vec::new(),
        panic: None,
        ready: Vec::new(),
        extras: Vec::new(),
    })
}

/// What was picked in the execution that ended last, where there was a choice:
/// threads, and values of `choose`. `Strategy::Replay` has the execution again.
pub fn picked() -> Vec<Tid> {
    current_run().picker.picked()
}

/// All schedules of the run so far as one number, which is the same for the same
/// seed.
pub fn schedules() -> u64 {
    current_run().picker.hash()
}

/// Runs executions: each begins with `begin`, which puts the state in order; then
/// all threads of the kernel run, then `end` sees what became of it and says
/// whether to go on.
pub fn run(strategy: Strategy, begin: impl Fn() + 'static, end: impl Fn() -> bool + 'static) {
    current_run().picker = Picker::new(strategy);
    while current_run().picker.begin() {
        begin();
        execution();
        if let Some(panic) = current_run().panic.take() {
            resume_unwind(panic);
        }
        if !end() {
            break;
        }
    }
}

/// One execution: the first thread is picked, and threads hand over to each other
/// until it is over. Then the tasks of the scenario are unwound, since they own
/// memory outside of the arena; threads of C are left as they are.
fn execution() {
    current_run().on = true;
    if let Some(first) = pick(0) {
        hand_over(None, Some(first));
    }
    while let Some((tid, ..)) = current_run().tasks.iter().find(|(.., ended)| !ended) {
        hand_over(None, Some(*tid));
    }
    let run = current_run();
    run.stacks.extend(run.tasks.drain(..).map(|(_, stack, _)| stack));
    run.on = false;
    pair::each(super::arena::look);
}

/// Whether an execution is on; in constructors of the image there is none.
pub fn on() -> bool {
    current_run().on
}

/// The thread that goes on; none: the execution is over.
fn pick(current: Tid) -> Option<Tid> {
    let (run, kernel) = (current_run(), kernel());
    run.extras.clear();
    loop {
        if kernel.over.is_some() {
            return None;
        }
        // Without a branch on what no processor can foresee.
        run.ready.resize(kernel.threads.len(), 0);
        let (mut many, mut of_qemu) = (0, false);
        for (tid, thread) in kernel.threads.iter().enumerate() {
            let ready = thread.ready();
            run.ready[many] = tid;
            many += usize::from(ready);
            of_qemu |= ready & !thread.scenario;
        }
        run.ready.truncate(many);
        if kernel.pair.is_some() {
            pair::tick(kernel, &run.ready);
        } else if kernel.bql != 0 && !of_qemu {
            kernel.tick();
        }
        if kernel.choices != Choices::default() {
            choices::extras(kernel, &mut run.extras);
        }
        let picked = match run.ready[..] {
            [] => {
                kernel.quiet();
                continue;
            }
            [only] if run.extras.is_empty() => return Some(only),
            _ => run.picker.thread(&run.ready, &run.extras, current),
        };
        if run.extras.is_empty() || !choices::happens(kernel, picked) {
            return Some(picked);
        }
        run.extras.clear();
    }
}

/// Hands over from one thread to another; none is the host.
pub(super) fn hand_over(from: Option<Tid>, to: Option<Tid>) {
    let to = if kernel().pair.is_some() { pair::turn(to) } else { to };
    let (run, kernel) = (current_run(), kernel());
    let side = usize::from(kernel.side);
    let target = match to {
        None if from.is_none() => return,
        None => run.hosts[side],
        Some(tid) if from == to => {
            kernel.current = tid;
            return process::set_running(!kernel.threads[tid].scenario);
        }
        Some(tid) => match kernel.threads[tid].context {
            Some(context) => context,
            None => begin_task(tid),
        },
    };
    let save = match from {
        None => &raw mut run.hosts[side],
        Some(tid) => kernel.threads[tid].context.as_mut().expect("it runs on a stack"),
    };
    if let Some(tid) = to {
        kernel.current = tid;
        process::set_running(!kernel.threads[tid].scenario);
    }
    // SAFETY: what is saved is of the stack that runs, the target is suspended.
    unsafe { Context::switch(save, target) };
}

/// Stacks that tasks will run on, before others are made.
pub fn keep_stacks(stacks: Vec<Stack>) {
    current_run().stacks = stacks;
}

/// A stack for a task of the scenario, on which it will begin.
fn begin_task(tid: Tid) -> Context {
    let run = current_run();
    let stack = run.stacks.pop().unwrap_or_default();
    let context = Context::on(&stack, task as *const () as usize, tid);
    run.tasks.push((tid, stack, false));
    kernel().threads[tid].context = Some(context);
    context
}

/// The life of a task of the scenario.
extern "C" fn task(tid: usize) -> ! {
    let body = super::boot::scenario_task(tid).expect("it was added");
    match catch_unwind(AssertUnwindSafe(|| body(tid))) {
        Ok(Some(())) => super::thread::end(kernel(), tid, 0),
        Ok(None) => {}
        Err(panic) => {
            current_run().panic = Some(panic);
            kernel().end(Ending::Quiet);
        }
    }
    drop(body);
    let mut tasks = current_run().tasks.iter_mut();
    tasks.find(|task| task.0 == tid).expect("it has begun").2 = true;
    let next = pick(tid);
    hand_over(Some(tid), next);
    unreachable!("a task that has ended is not picked")
}

/// A place to switch; false: the execution is over.
fn switch(tid: Tid) -> bool {
    match pick(tid) {
        Some(next) if next == tid => {}
        next => hand_over(Some(tid), next),
    }
    kernel().over.is_none()
}

/// Does an operation, waiting as long as it takes; none: the execution is over.
/// There is one place to switch before the operation, and one more each time that
/// it has to wait.
///
/// Unlocking has none before it: whoever ran there and wanted the mutex would find
/// it taken and wait, as if it had run later, and whoever did not want it can run
/// at the place before. Only `trylock` tells the two apart, so where one was tried
/// the place stays. It has one after it instead where somebody waits: what the
/// thread does between this and its next operation may come too late for others.
pub fn perform(tid: Tid, op: &mut Op) -> Option<isize> {
    kernel().threads[tid].pending = &raw mut *op as usize;
    if let Op::Unlock(mutex) = *op
        && !sync::tried(mutex)
    {
        let kernel = kernel();
        kernel.steps += 1;
        let side = kernel.side;
        let wants =
            |thread: &Thread| thread.side == side && thread.waits.contains(&Key::Mutex(mutex));
        let contended = kernel.threads.iter().any(wants);
        race::before(kernel, tid, op);
        let result = op.attempt(kernel, tid);
        kernel.threads[tid].pending = 0;
        if kernel.recording.is_some() {
            record(tid, op, false);
        }
        return if contended && !switch(tid) { None } else { result };
    }
    let mut waited = false;
    kernel().threads[tid].file = None;
    loop {
        if !switch(tid) {
            return None;
        }
        let kernel = kernel();
        kernel.steps += 1;
        if kernel.steps > STEPS {
            kernel.end(Ending::Steps);
            return None;
        }
        process::set_running(false);
        let of_qemu = !kernel.threads[tid].scenario;
        if of_qemu {
            choices::shorten(kernel, op);
        }
        race::before(kernel, tid, op);
        let mut result = op.attempt(kernel, tid);
        if of_qemu {
            choices::shortened(kernel, result.is_some());
            result = result.or_else(|| choices::interrupt(kernel, tid, op));
        }
        if let Some(result) = result {
            race::after(kernel, tid, op, result);
            kernel.threads[tid].pending = 0;
            if kernel.recording.is_some() {
                record(tid, op, waited);
            }
            return (kernel.over.is_none()).then_some(result);
        }
        waited = true;
        if !matches!(op, Op::Spin { .. }) {
            kernel.threads[tid].busy = Busy::default();
        }
    }
}

/// A place to switch before an access to memory; false: the execution is over.
pub fn point(tid: Tid) -> bool {
    let kernel = kernel();
    kernel.steps += 1;
    if kernel.steps > STEPS {
        kernel.end(Ending::Steps);
    }
    switch(tid)
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

/// The thread of C does not go on: the execution is over.
pub fn leave(tid: Tid) -> ! {
    loop {
        hand_over(Some(tid), None);
    }
}

/// A value below `many`, picked like a thread.
pub fn choose(many: usize) -> usize {
    current_run().picker.value(many)
}

/// From now on something rare happens at one in so many steps at which it may.
pub fn set_rare(many: usize) {
    current_run().picker.rare = many;
}
