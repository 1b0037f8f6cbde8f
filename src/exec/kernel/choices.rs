//! What the system may do to a program and rarely does: a time-out that comes while
//! others could run, a call that a signal interrupts, a short read or write, a
//! condition that wakes somebody for nothing. Each is picked like a thread and
//! written down with the schedule, and a job says how often it may happen.
//! Must not know: who picks.

use super::state::{Kernel, Key, Step, Tid};
use super::sync::Op;
use super::{file, locks, socket, tasks};

/// How often each may still happen in this execution; not at all by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Time-outs that come early: before those who could run have.
    pub timeouts: u32,
    /// Calls that would wait and give EINTR instead.
    pub eintr: u32,
    /// Reads and writes of fewer bytes than there are or fit.
    pub short: u32,
    /// Waits on a condition that end without a signal.
    pub spurious: u32,
    /// One in so many calls that may be short or interrupted, is; zero: of eight.
    pub rate: usize,
}

/// Begins an execution in which so much may happen. How rare it is, is picked: what
/// happens early in one execution happens late in another.
pub fn begin(timeouts: u32, eintr: u32, short: u32, spurious: u32) {
    let nth = tasks::choose(RARE.len());
    tasks::set_rare(RARE[nth]);
    super::state::kernel().choices = Choices { timeouts, eintr, short, spurious, rate: RATES[nth] };
}

/// Above any thread's number: what is picked in place of one.
const TIMEOUT: Tid = 1 << 24;
const SPURIOUS: Tid = 1 << 25;
/// One in so many calls that may, does.
const RATE: usize = 8;
/// The same where that is picked; of steps of all threads, and of calls.
const RARE: [usize; 3] = [32, 128, 512];
const RATES: [usize; 3] = [4, 16, 64];

impl Choices {
    fn rate(self) -> usize {
        if self.rate == 0 { RATE } else { self.rate }
    }
}

/// Writes it down for a witness.
fn tell(kernel: &mut Kernel, tid: Tid, what: &'static str) {
    if let Some(steps) = &mut kernel.recording {
        steps.push(Step { tid, what, object: 0, frames: Vec::new(), waited: false });
    }
}

/// What else than the threads that can run may be picked now.
pub fn extras(kernel: &Kernel, extras: &mut Vec<Tid>) {
    extras.clear();
    let threads = || kernel.threads.iter().enumerate();
    if kernel.choices.timeouts > 0 {
        // A scenario's tasks sleep until all is at rest: that is not for us to end.
        let of_qemu = threads().filter(|(_, thread)| !thread.scenario);
        let waits = of_qemu.filter_map(|(tid, thread)| Some((thread.deadline?, tid)));
        extras.extend(waits.min().map(|(_, tid)| tid | TIMEOUT));
    }
    if kernel.choices.spurious > 0 {
        let on_condition = |key: &Key| matches!(key, Key::Cond(_));
        let sleeps = threads().filter(|(_, thread)| thread.waits.iter().any(on_condition));
        extras.extend(sleeps.map(|(tid, _)| tid | SPURIOUS));
    }
}

/// Does what was picked; false if that is a thread.
pub fn happens(kernel: &mut Kernel, picked: Tid) -> bool {
    if picked & TIMEOUT != 0 {
        kernel.choices.timeouts -= 1;
        tell(kernel, picked & !TIMEOUT, "time-out");
        kernel.time_out(picked & !TIMEOUT);
    } else if picked & SPURIOUS != 0 {
        kernel.choices.spurious -= 1;
        tell(kernel, picked & !SPURIOUS, "spurious");
        kernel.wake_thread(picked & !SPURIOUS);
    } else {
        return false;
    }
    true
}

/// Before a thread of QEMU attempts an operation: it may be about fewer bytes.
pub fn shorten(kernel: &mut Kernel, op: &Op) {
    if kernel.choices.short == 0 {
        return;
    }
    let length = match op {
        Op::File(file::Call::Read { fd, length, .. } | file::Call::Write { fd, length, .. }) => {
            stream(kernel, *fd).then_some(*length)
        }
        Op::Socket(
            socket::Call::Receive { fd, parts, many, .. }
            | socket::Call::Send { fd, parts, many, .. },
        ) => stream(kernel, *fd)
            .then(|| socket::iovec(*parts, *many).iter().map(|part| part.iov_len).sum()),
        _ => None,
    };
    if let Some(length) = length.filter(|length| *length > 1)
        && tasks::choose(kernel.choices.rate()) == 1
    {
        kernel.limit = Some(if tasks::choose(2) == 0 { 1 } else { length / 2 });
    }
}

fn stream(kernel: &Kernel, fd: i32) -> bool {
    let file = kernel.files.file(fd);
    file.is_some_and(|file| matches!(kernel.files.all[file], file::File::Stream { .. }))
}

/// After the attempt.
pub fn shortened(kernel: &mut Kernel, done: bool) {
    if kernel.limit.take().is_some() && done {
        kernel.choices.short -= 1;
        let tid = kernel.current;
        tell(kernel, tid, "short");
    }
}

/// An operation of a thread of QEMU has to wait: it may be interrupted instead.
pub fn interrupt(kernel: &mut Kernel, tid: Tid, op: &Op) -> Option<isize> {
    if kernel.choices.eintr == 0 || kernel.threads[tid].waits.is_empty() {
        return None;
    }
    let may = match op {
        Op::FutexWait { .. } | Op::Rare(locks::Call::Take { .. }) | Op::File(_) => true,
        // What was sent is told first.
        Op::Socket(socket::Call::Send { sent, .. }) => *sent == 0,
        Op::Socket(_) => true,
        _ => false,
    };
    if !may || tasks::choose(kernel.choices.rate()) != 1 {
        return None;
    }
    kernel.choices.eintr -= 1;
    tell(kernel, tid, "EINTR");
    kernel.wake_thread(tid);
    Some(-libc::EINTR as isize)
}
