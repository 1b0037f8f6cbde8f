//! Threads begin, end, join and signal one another.
//! Must not know: what they run.

use super::context::Context;
use super::process;
use super::state::{Kernel, Key, Misuse, Thread, Tid};

/// A new thread that calls `body`; none if there is no room for its stack.
pub fn spawn(kernel: &mut Kernel, body: usize, argument: usize, detached: bool) -> Option<Tid> {
    let tid = kernel.threads.len();
    let side = kernel.side;
    let ended = |thread: &&mut Thread| {
        thread.side == side
            && thread.returned.is_some()
            && thread.context.is_some_and(|context| context.has_own_stack())
    };
    // The stack of one that has ended, which has handed over for the last time.
    let context = match kernel.threads.iter_mut().find(ended).and_then(|t| t.context.take()) {
        Some(context) => context.again(body, argument, process::returned),
        None => Context::new(false, body, argument, process::returned)?,
    };
    let spawner = kernel.current;
    let past = &mut kernel.threads[spawner].past;
    past.tick(spawner);
    let past = past.clone();
    kernel.threads.push(Thread {
        name: kernel.named(format!("thread {tid}")),
        side: kernel.side,
        past,
        context: Some(context),
        detached,
        ..Thread::default()
    });
    Some(tid)
}

/// The thread has returned `value`.
pub fn end(kernel: &mut Kernel, tid: Tid, value: usize) {
    for address in std::mem::take(&mut kernel.threads[tid].held) {
        kernel.misuses.push((Misuse::HeldAtEnd, tid, address));
    }
    kernel.threads[tid].past.tick(tid);
    kernel.threads[tid].returned = Some(value);
    kernel.threads[tid].pending = 0;
    kernel.wake(Key::Thread(tid));
}

/// Waits for the end of another; gives what it returned.
pub fn join(kernel: &mut Kernel, tid: Tid, other: Tid) -> Option<isize> {
    let Some(thread) = kernel.threads.get_mut(other) else { return Some(0) };
    match thread.returned {
        Some(value) => {
            thread.joined = true;
            let past = thread.past.clone();
            kernel.threads[tid].past.join(&past);
            Some(value as isize)
        }
        None => {
            kernel.wait(tid, Key::Thread(other), None);
            None
        }
    }
}

/// Sends a signal to one thread.
pub fn kill(kernel: &mut Kernel, other: Tid, signal: i32) -> isize {
    let Some(thread) = kernel.threads.get_mut(other) else { return libc::ESRCH as isize };
    if signal > 0 {
        thread.signals |= 1 << signal;
        if thread.waits.contains(&Key::Signal) {
            kernel.wake_thread(other);
        }
    }
    0
}

/// Takes one of the signals in `set` that were sent to the thread.
pub fn sigwait(kernel: &mut Kernel, tid: Tid, set: u64) -> Option<isize> {
    let thread = &mut kernel.threads[tid];
    // A sigset_t begins with signal 1 at bit 0.
    match thread.signals & (set << 1) {
        0 => {
            kernel.wait(tid, Key::Signal, None);
            None
        }
        some => {
            let signal = some.trailing_zeros();
            thread.signals &= !(1 << signal);
            Some(signal as isize)
        }
    }
}
