//! A thread that goes on and on and never waits: it may want others to do something, or
//! time to pass, or nothing that will ever be. So it has to wait now and then: the others
//! go on as far as they can, then time does. Who then spins still never ends.
//!
//! A loop that asks for nothing leaves no place to switch, so one is made, when this
//! process has computed for a while. That is no part of a schedule: it comes long after
//! any thread that does end has asked for something, and where in the loop it is does
//! not matter. A loop that asks for something is known by how often it did.
//! Must not know: what a thread spins for.

use super::clock::Instant;
use super::state::{Ending, Thread, kernel};
use super::sync::Op;
use super::{arena, backtrace, interrupt, process, snapshot, tasks};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Milliseconds of this process between two looks at it.
const TICK: libc::suseconds_t = 4;
/// So many looks without an operation in between, and it spins. One is not enough: the
/// system may say that much time has passed when it was another's.
const LOOKS: u32 = 5;
/// The same while QEMU boots, when it has more to do.
const LOOKS_AT_BOOT: u32 = 1250;
/// So many operations without a wait, and it spins as well; and so many more, and it
/// still does. An access to memory that is a place to switch counts less.
const OPERATIONS: usize = 2500;
const MORE_OPERATIONS: usize = 500;
const ACCESSES: usize = 8;
/// How often it may have to wait, if its loop asks for nothing, and if it does: then it
/// may get on a little each time, as who sends a page and then waits for leave to send.
const SILENT: usize = 3;
const ASKING: usize = 20;

/// How far time goes on for a thread that spins: not, then for what takes a while, then
/// for what takes long.
fn patience(times: usize) -> Instant {
    [0, 1_000_000_000].get(times).copied().unwrap_or(60_000_000_000)
}

/// Of a thread, since it last waited for something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Busy {
    /// How much it has asked for, in accesses.
    asked: usize,
    /// How often it had to wait since it spins.
    times: usize,
}

impl Busy {
    /// Whether it spins: who spins has a deadline even if all else is idle.
    pub fn spins(&self) -> bool {
        self.times > 0
    }
}

/// Looks since C code of QEMU last went on.
static SEEN: AtomicU32 = AtomicU32::new(0);
/// Where the image's code is, from and to.
static CODE: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// From now on this process is looked at; the image's code lies there.
pub fn install(code: (usize, usize)) {
    CODE[0].store(code.0, Ordering::Relaxed);
    CODE[1].store(code.1, Ordering::Relaxed);
    // SAFETY: a handler is set as sigaction(2) says; it runs on the stack of `fault`.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        libc::sigaction(libc::SIGVTALRM, &action, std::ptr::null_mut());
    }
    watch();
}

/// Looks at the calling process, too: a timer is of one.
pub fn watch() {
    let tick = libc::timeval { tv_sec: 0, tv_usec: TICK * 1000 };
    let every = libc::itimerval { it_interval: tick, it_value: tick };
    // SAFETY: the structure above.
    unsafe { libc::syscall(libc::SYS_setitimer, libc::ITIMER_VIRTUAL, &raw const every, 0) };
}

/// C code of QEMU goes on after an operation.
#[inline]
pub fn not_yet() {
    SEEN.store(0, Ordering::Relaxed);
}

unsafe extern "C" fn handler(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the system gives it; `gregs` are the registers to go on with.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    if !process::running() || !tasks::on() {
        return not_yet();
    }
    let seen = SEEN.fetch_add(1, Ordering::Relaxed) + 1;
    let enough = if snapshot::taken() { LOOKS } else { LOOKS_AT_BOOT };
    let at = registers[libc::REG_RIP as usize] as usize;
    let [first, last] = [0, 1].map(|nth| CODE[nth].load(Ordering::Relaxed));
    // Elsewhere it is a function of libc, which returns, or one of ours.
    let in_qemu = (first..last).contains(&at);
    if seen < enough || !in_qemu || !arena::contains(registers[libc::REG_RSP as usize] as usize) {
        return;
    }
    let state = kernel();
    let mut frames = backtrace::here();
    // What is above the handler's own frames begins at the instruction.
    let begin = frames.iter().position(|frame| *frame == at);
    frames.drain(..begin.unwrap_or(0));
    // On the way to a function of another library there is no way back to be read: the
    // next look is elsewhere in the loop.
    if frames.iter().filter(|frame| (first..last).contains(*frame)).count() < 2 && seen < 4 * enough
    {
        return;
    }
    state.threads[state.current].frames = frames;
    // SAFETY: it was C code of QEMU, on its stack.
    unsafe { interrupt::call(registers, looked_at) };
}

extern "C" fn looked_at() {
    waits(false);
}

/// A thread of QEMU asks for an operation.
#[inline]
pub fn operation(thread: &mut Thread) {
    asks(thread, ACCESSES);
}

/// It accesses memory, and that is a place to switch.
#[inline]
pub fn access(thread: &mut Thread) {
    asks(thread, 1);
}

#[inline]
fn asks(thread: &mut Thread, weight: usize) {
    thread.busy.asked += weight;
    let enough = if thread.busy.spins() { MORE_OPERATIONS } else { OPERATIONS };
    if thread.busy.asked >= enough * ACCESSES {
        thread.busy.asked = 0;
        if !snapshot::taken() {
            // QEMU boots: that takes as long as it takes.
            return;
        }
        thread.frames = backtrace::here();
        waits(true);
    }
}

/// The thread that runs spins: it has to wait, for the last time if that never helps.
/// Its callers are known. It asks for something in its loop, or not.
fn waits(asks: bool) {
    let state = kernel();
    let thread = &mut state.threads[state.current];
    if thread.busy.times == if asks { ASKING } else { SILENT } {
        let frames = std::mem::take(&mut thread.frames);
        state.end(Ending::Spins { frames, asks });
        process::never();
    }
    let until = state.now + patience(thread.busy.times);
    thread.busy.times += 1;
    process::go_on(&mut Op::Spin { until, asleep: false });
}
