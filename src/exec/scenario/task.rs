//! The life of a scenario's task: it asks the kernel for operations as a thread
//! of QEMU does, and is unwound when the execution ends under it.
//! Must not know: what the task is for.

use crate::exec::kernel::state::{Tid, kernel};
use crate::exec::kernel::sync::Op;
use crate::exec::kernel::{boot, tasks};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// What a task is unwound with.
struct Ended;

/// Adds a task that runs `body` in the execution that begins.
pub fn add(name: &str, body: impl Fn() + Send + Sync + 'static) -> Tid {
    boot::add_task(name, task(body))
}

/// The same on a side of a pair, where the task can touch QEMU's memory.
pub fn add_on(side: u8, name: &str, body: impl Fn() + Send + Sync + 'static) -> Tid {
    let tid = add(name, body);
    kernel().threads[tid].side = side;
    tid
}

/// A body for the kernel.
pub fn task(body: impl Fn() + Send + Sync + 'static) -> boot::Body {
    Arc::new(move |_| match catch_unwind(AssertUnwindSafe(&body)) {
        Ok(()) => Some(()),
        Err(reason) if reason.is::<Ended>() => None,
        Err(reason) => resume_unwind(reason),
    })
}

/// Does an operation as the task that runs; does not return if the execution ends.
pub fn act(mut op: Op) -> isize {
    let tid = kernel().current;
    match tasks::perform(tid, &mut op) {
        Some(result) => result,
        None => resume_unwind(Box::new(Ended)),
    }
}

/// Lets the others go on for up to `most` places to switch, as many as are picked.
pub fn dawdle(most: usize) {
    for _ in 0..tasks::choose(most + 1) {
        act(Op::Yield);
    }
}
