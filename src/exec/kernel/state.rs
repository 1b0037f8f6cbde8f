//! The kernel's state, one for the process: threads and what each waits for,
//! files, the clock, how the execution ended. It is cloned at the snapshot, and
//! put back before each execution.
//! Must not know: who schedules.

use super::choices::Choices;
use super::cleanup::Cleanup;
use super::clock::Instant;
use super::context::Context;
use super::file::Files;
use super::freed::Written;
pub use super::key::{Key, Waits};
use super::nesting::Nesting;
use super::pair::{self, Pair};
use super::said::Said;
use super::spin::Busy;
use super::sync::Op;
use super::trail::Trail;
use super::uffd::Faults;
use super::vector_clock::Clock;
use std::cell::UnsafeCell;

/// A thread's number; the main thread is 0.
pub type Tid = usize;

/// One thread: of QEMU, or of the scenario.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    /// As QEMU names it, or the scenario.
    pub name: String,
    /// Where it is; none for a scenario's task that has not begun.
    pub context: Option<Context>,
    /// It is a task of the scenario.
    pub scenario: bool,
    /// The process that it is of, where there are two.
    pub side: u8,
    /// The operation that it asked for and that is not done yet.
    pub pending: usize,
    /// What it waits for; nothing: it is ready.
    pub waits: Waits,
    /// The file that it waits for in a call on a descriptor.
    pub file: Option<usize>,
    /// When it stops waiting.
    pub deadline: Option<Instant>,
    /// It stopped waiting, since time was up.
    pub expired: bool,
    /// What it did since it last waited.
    pub busy: Busy,
    /// The mutex that it unlocked last.
    pub unlocked: usize,
    /// Who called its operation, while that is recorded.
    pub frames: Vec<usize>,
    /// What it keeps by key (`pthread_setspecific`).
    pub specific: Vec<usize>,
    /// Signals sent to it, by number.
    pub signals: u64,
    /// What its function returned, once it has.
    pub returned: Option<usize>,
    pub detached: bool,
    /// The mutexes that it holds, by address.
    pub held: Vec<usize>,
    /// What of other threads was over before it began, or since it joined them.
    pub past: Clock,
    /// It stands for a vCPU.
    pub vcpu: bool,
    /// It was there after boot: it serves for ever.
    pub idle: bool,
    /// Somebody has joined it.
    pub joined: bool,
    /// What is left to be done when it ends.
    pub cleanup: Cleanup,
}

impl Thread {
    /// Whether it can run.
    #[inline]
    pub fn ready(&self) -> bool {
        self.waits.is_empty() & self.returned.is_none()
    }
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing can run and no time-out is pending.
    Quiet,
    /// The scenario has seen enough.
    Done,
    /// QEMU called `exit`.
    Exit(i32),
    /// QEMU crashed: what it did, where (`backtrace::here`).
    Crash(String, Vec<usize>),
    /// A thread goes on without end: where it is, and whether it asks for something.
    Spins { frames: Vec<usize>, asks: bool },
    /// More operations than the bound.
    Steps,
}

/// The BQL is held by a thread that waits for what is outside of QEMU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    pub holder: Tid,
    pub wait: Key,
    /// What that is, if a file.
    pub file: Option<&'static str>,
    /// Steps of the environment for which the BQL was held, without being released.
    pub ticks: u64,
    /// Of these, those for which a vCPU waited.
    pub vcpu_ticks: u64,
    /// Where that was, if steps are recorded.
    pub at: Option<Place>,
}

/// A place in a recording: a thread's calls, and how many steps there were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub tid: Tid,
    pub frames: Vec<usize>,
    pub steps: usize,
}

/// A mutex used as none may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// Its owner takes it again.
    Twice,
    /// Somebody who does not hold it lets it go.
    NotHeld,
    /// Its owner's function has returned.
    HeldAtEnd,
    /// It is destroyed while it is held.
    DestroyedHeld,
}

/// A handler of a device of ours was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub tid: Tid,
    /// As `SaveVMHandlers`.
    pub of: &'static str,
    /// As `load_state`.
    pub field: &'static str,
    /// With the BQL, as QEMU itself says.
    pub held: bool,
}

/// An operation that was done, for a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub tid: Tid,
    /// `lock`, `read` …
    pub what: &'static str,
    /// The object, where it has an address.
    pub object: usize,
    /// Return addresses, innermost first; none for a scenario's task.
    pub frames: Vec<usize>,
    /// It had to wait first.
    pub waited: bool,
}

/// All of it.
#[derive(Clone, Default)]
pub struct Kernel {
    pub threads: Vec<Thread>,
    /// Destructors by key, zero for a key without; none: the key was deleted.
    pub keys: Vec<Option<usize>>,
    pub files: Files,
    pub faults: Faults,
    pub now: Instant,
    /// The thread that runs.
    pub current: Tid,
    pub over: Option<Ending>,
    /// The thread that ran when it ended.
    pub ended_by: Tid,
    /// Operations so far.
    pub steps: u64,
    /// What QEMU said on standard output and error.
    pub said: Said,
    /// What may happen out of turn.
    pub choices: Choices,
    /// Bytes that the operation at hand is about at most.
    pub limit: Option<usize>,
    /// The state of `random()`.
    pub numbers: u64,
    /// The Big QEMU Lock; zero: not known.
    pub bql: usize,
    /// The stall that lasts, the longest that there was, and the longest for a vCPU.
    pub stall: Option<Stall>,
    pub worst_stall: Option<Stall>,
    pub worst_for_vcpu: Option<Stall>,
    /// Which of our devices the image has, as `glue/qemu/device.c` numbers them.
    pub devices: u32,
    /// Calls of their handlers.
    pub calls: Vec<Call>,
    /// Mutexes that were misused: how, by whom, where they are.
    pub misuses: Vec<(Misuse, Tid, usize)>,
    /// In which order mutexes were taken.
    pub nesting: Nesting,
    /// The states that the migration has gone through.
    pub trail: Trail,
    /// Memory that was written to after it was freed.
    pub written: Vec<Written>,
    /// What was found on the way.
    pub noted: Vec<crate::exec::judge::Breach>,
    /// Operations with their callers, if they are to be kept.
    pub recording: Option<Vec<Step>>,
    /// How often each of the scenario's boards was changed.
    pub boards: Vec<u64>,
    /// The execution ends when nothing can run, without waiting for time-outs.
    pub ends_idle: bool,
    /// Once this thread has ended, the execution ends when nothing can run, without
    /// waiting for time-outs.
    pub ends_idle_after: Option<Tid>,
    /// The side that runs, and both, if this is the kernel of two processes.
    pub side: u8,
    pub pair: Option<Box<Pair>>,
}

struct Global(UnsafeCell<Option<Kernel>>);
// SAFETY: one OS thread runs the image and this kernel.
unsafe impl Sync for Global {}
static KERNEL: Global = Global(UnsafeCell::new(None));

/// The kernel. Do not keep the reference over a switch of tasks.
#[inline]
pub fn kernel() -> &'static mut Kernel {
    // SAFETY: one OS thread, and no reference is kept over a switch.
    match unsafe { &mut *KERNEL.0.get() } {
        Some(kernel) => kernel,
        none => first(none),
    }
}

#[cold]
fn first(none: &'static mut Option<Kernel>) -> &'static mut Kernel {
    let main = Thread { name: "main".into(), ..Thread::default() };
    none.insert(Kernel { threads: vec![main], ..Kernel::default() })
}

impl Kernel {
    /// Whoever waits for `key` may go on.
    pub fn wake(&mut self, key: Key) {
        let (bit, side) = (key.bit(), self.side);
        for thread in &mut self.threads {
            if thread.waits.bits & bit != 0
                && thread.waits.contains(&key)
                && (thread.side == side || !key.is_memory())
            {
                thread.waits.clear();
                thread.deadline = None;
            }
        }
    }

    /// One thread goes on, whatever it waits for.
    pub fn wake_thread(&mut self, tid: Tid) {
        self.threads[tid].waits.clear();
        self.threads[tid].deadline = None;
    }

    /// Puts a thread to sleep until `key` is woken, or until `deadline`.
    pub fn wait(&mut self, tid: Tid, key: Key, deadline: Option<Instant>) {
        let thread = &mut self.threads[tid];
        thread.waits.push(key);
        thread.deadline = deadline;
        thread.expired = false;
    }

    /// The file of a descriptor, for a call of a thread, and whether it may wait for it.
    /// A call that has waited already goes on with the file that it began with, though
    /// others have closed the descriptor, or it is another file's by now.
    pub fn called(&mut self, tid: Tid, fd: i32) -> Option<(usize, bool)> {
        if let Some(file) = self.threads[tid].file.take() {
            return Some((file, true));
        }
        self.files.file(fd).map(|file| (file, !self.files.nonblocking(fd)))
    }

    /// The call waits for `key` of its file.
    pub fn wait_for(&mut self, tid: Tid, file: usize, key: Key) {
        self.wait(tid, key, None);
        self.threads[tid].file = Some(file);
    }

    /// The execution ends; the first reason counts.
    pub fn end(&mut self, ending: Ending) {
        if self.over.is_none() && !pair::ends_a_side(self, &ending) {
            self.over = Some(ending);
            self.ended_by = self.current;
        }
    }

    /// No thread of QEMU can run, so the environment will: if meanwhile the BQL is
    /// held, that is a stall. A vCPU that holds it while it waits for a page cannot
    /// be helped.
    pub fn tick(&mut self) {
        let lock = Key::Mutex(self.bql);
        let holds = |thread: &Thread| thread.side == self.side && thread.held.contains(&self.bql);
        let holder = if self.bql == 0 { None } else { self.threads.iter().position(holds) };
        let wait = holder.and_then(|holder| self.threads[holder].waits.first().copied());
        let (Some(holder), Some(wait)) = (holder, wait) else {
            self.stall = None;
            return;
        };
        if matches!(wait, Key::Page(_)) && self.threads[holder].vcpu {
            return;
        }
        let side = self.side;
        let waits = |thread: &Thread| thread.vcpu && thread.side == side;
        let waits = |thread: &Thread| waits(thread) && thread.waits.contains(&lock);
        let vcpu_waits = self.threads.iter().any(waits);
        let mut stall = match self.stall.take() {
            Some(stall) if stall.holder == holder => stall,
            _ => Stall { holder, wait, file: None, ticks: 0, vcpu_ticks: 0, at: None },
        };
        stall.wait = wait;
        stall.file = match wait {
            Key::File(file) => Some(self.files.what(file)),
            _ => None,
        };
        stall.at = self.recording.as_ref().map(|steps| {
            let frames = self.threads[holder].frames.clone();
            Place { tid: holder, frames, steps: steps.len() }
        });
        stall.ticks += 1;
        stall.vcpu_ticks += u64::from(vcpu_waits);
        if self.worst_stall.as_ref().is_none_or(|worst| worst.ticks < stall.ticks) {
            self.worst_stall = Some(stall.clone());
        }
        let worst = self.worst_for_vcpu.as_ref().map_or(0, |worst| worst.vcpu_ticks);
        if worst < stall.vcpu_ticks {
            self.worst_for_vcpu = Some(stall.clone());
        }
        self.stall = Some(stall);
    }

    /// Nothing can run: time goes on to the next time-out, or the execution ends.
    pub fn quiet(&mut self) {
        let ended = |tid: Tid| self.threads[tid].returned.is_some();
        let idle = self.ends_idle || self.ends_idle_after.is_some_and(ended);
        // Who spins is not idle.
        let counts = |thread: &&Thread| !idle || thread.busy.spins();
        let next = self.threads.iter().filter(counts).filter_map(|thread| thread.deadline).min();
        let Some(next) = next else { return self.end(Ending::Quiet) };
        let due = self.threads.iter().position(|thread| thread.deadline == Some(next));
        self.time_out(due.expect("the one with the least"));
    }

    /// Time goes on to the deadline of a thread, which stops waiting.
    pub fn time_out(&mut self, tid: Tid) {
        let thread = &mut self.threads[tid];
        self.now = self.now.max(thread.deadline.take().unwrap_or(0));
        thread.waits.clear();
        thread.expired = true;
    }

    /// Whether the wait of `tid` ran out of time; asked once.
    pub fn expired(&mut self, tid: Tid) -> bool {
        std::mem::take(&mut self.threads[tid].expired)
    }

    /// The operation that a thread asked for and that is not done yet.
    ///
    /// # Safety
    /// The thread is suspended: its operation lies on its stack.
    pub unsafe fn pending(&self, tid: Tid) -> Option<&'static mut Op> {
        let address = self.threads[tid].pending;
        // SAFETY: see above.
        (address != 0).then(|| unsafe { &mut *(address as *mut Op) })
    }
}
