//! Two processes with one kernel: the image forks, and each side has a QEMU of its
//! own at the same addresses, while this library's memory is the same in both
//! (`shared`). One of them runs at a time; it hands over when a thread of the other
//! side is picked. So there is one scheduler, one network and one clock, and all
//! that looks at them looks at both.
//! Must not know: which side is which QEMU.

use super::context::{Context, Stack};
use super::said::Said;
use super::state::{Ending, Kernel, Stall, Thread, Tid, kernel};
use super::uffd::Faults;
use super::{file, process, shared, spin, sync, tasks};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Stacks for tasks, since one that is mapped later is on one side only.
const STACKS: usize = 32;

/// What of the kernel is one side's.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// How its threads are named: `source/`.
    pub prefix: &'static str,
    /// Its main thread; what C calls a thread is counted from there.
    pub first: Tid,
    pub faults: Faults,
    pub bql: usize,
    pub stall: Option<Stall>,
    pub said: Said,
    /// It has called `exit`.
    pub exit: Option<(Tid, i32)>,
}

/// Two sides.
#[derive(Clone, Debug, Default)]
pub struct Pair {
    /// What is the side's that runs; of what is here only `prefix`, `first` and `exit`
    /// are used, the rest is in the kernel itself.
    pub here: Part,
    /// The other side's.
    there: Part,
    /// The threads that the image's constructors have made.
    made: Vec<Thread>,
}

/// Whose turn it is, and for what.
struct Baton {
    turn: AtomicU32,
    /// The thread that goes on, plus one; zero: the host.
    target: AtomicUsize,
    call: UnsafeCell<Option<Box<dyn FnOnce()>>>,
    child: AtomicU32,
}
// SAFETY: only who has the turn looks at `call`.
unsafe impl Sync for Baton {}
static BATON: Baton = Baton {
    turn: AtomicU32::new(0),
    target: AtomicUsize::new(0),
    call: UnsafeCell::new(None),
    child: AtomicU32::new(0),
};

/// Makes two processes of this one, which gives side 0; the other, side 1, then only
/// does what it is handed.
pub fn split(prefixes: [&'static str; 2]) {
    assert!(shared::is_on(), "the heap of this process is its own");
    let state = kernel();
    assert!(state.files.is_empty(), "a constructor of the image has opened a file");
    let [here, there] = prefixes.map(|prefix| Part { prefix, ..Part::default() });
    state.pair = Some(Box::new(Pair { here, there, made: state.threads.clone() }));
    for thread in &mut state.threads {
        thread.name.insert_str(0, prefixes[0]);
    }
    tasks::keep_stacks((0..STACKS).map(|_| Stack::shared()).collect());
    shared::variables();
    one_processor();
    // Not fork(): what QEMU has registered to be called there is for other forks.
    // SAFETY: one thread; the child has copies of all that is not shared.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    assert!(child >= 0, "no second process can be made");
    if child == 0 {
        // SAFETY: no pointer is passed.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        spin::watch();
        follow();
    }
    BATON.child.store(child as u32, Ordering::Relaxed);
}

/// On one processor a handover is a switch, and waits for nobody to wake up.
fn one_processor() {
    // SAFETY: a set of the system's size; where it does not help, it does no harm.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(libc::sched_getcpu().max(0) as usize, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

/// Side 1, until side 0 ends.
fn follow() -> ! {
    let mut target = wait(1);
    loop {
        if target.is_some() {
            tasks::hand_over(None, target);
        }
        // SAFETY: it is this side's turn.
        let call = unsafe { (*BATON.call.get()).take() };
        call.expect("the host of this side is called for that alone")();
        target = pass(0, None);
    }
}

/// The other side goes on, with a thread or its host; gives what then goes on here.
fn pass(to: u32, target: Option<Tid>) -> Option<Tid> {
    kernel().enter(to as u8);
    BATON.target.store(target.map_or(0, |tid| tid + 1), Ordering::Relaxed);
    BATON.turn.store(to, Ordering::Release);
    // SAFETY: a word that both sides have.
    unsafe { libc::syscall(libc::SYS_futex, &raw const BATON.turn, libc::FUTEX_WAKE, 1) };
    wait(1 - to)
}

/// Waits for the turn of side `me`; gives what goes on.
fn wait(me: u32) -> Option<Tid> {
    while BATON.turn.load(Ordering::Acquire) != me {
        let second = libc::timespec { tv_sec: 1, tv_nsec: 0 };
        let (word, other) = (&raw const BATON.turn, 1 - me);
        // SAFETY: as above.
        unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, other, &raw const second) };
        if me == 0 && BATON.turn.load(Ordering::Acquire) != 0 {
            child_lives();
        }
    }
    BATON.target.load(Ordering::Relaxed).checked_sub(1)
}

/// Ends this process if the other has ended: that is a bug of ours, since what QEMU
/// does to itself is caught.
fn child_lives() {
    let (child, mut status) = (BATON.child.load(Ordering::Relaxed) as i32, 0);
    // SAFETY: our own child.
    if unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } == child {
        eprintln!("the process of the other side has ended, with status {status:#x}");
        process::leave(101);
    }
}

/// The thread that goes on is `to`, or the host: if that is on the other side, it is
/// its turn until a thread of this side goes on, or this side's host, which is given.
pub fn turn(to: Option<Tid>) -> Option<Tid> {
    let there = to.map_or(0, |tid| kernel().threads[tid].side);
    if there == kernel().side { to } else { pass(u32::from(there), to) }
}

/// Has the host of `side` do something, by the host of side 0, between executions.
pub fn on<R: Send + 'static>(side: u8, what: impl FnOnce() -> R + Send + 'static) -> R {
    if side == kernel().side {
        return what();
    }
    let result = Arc::new(Mutex::new(None));
    let told = result.clone();
    let call = move || *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(what());
    // SAFETY: it is this side's turn.
    unsafe { *BATON.call.get() = Some(Box::new(call)) };
    let target = pass(u32::from(side), None);
    assert!(target.is_none(), "a call gives back to the host");
    let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
    result.take().expect("it was called")
}

/// Has it done on both sides, if there are two; here last.
pub fn each(what: fn()) {
    if kernel().pair.is_some() {
        on(1, what);
    }
    what();
}

/// Where an address is, for who cannot tell: a bit above all of them.
pub const ELSEWHERE: usize = 1 << 62;

/// The address as one of the side of thread `tid`.
pub fn address(state: &Kernel, tid: Tid, address: usize) -> usize {
    of_side(state.threads[tid].side, address)
}

/// The address as one of a side.
pub fn of_side(side: u8, address: usize) -> usize {
    if address != 0 && side != 0 { address | ELSEWHERE } else { address }
}

/// The thread that holds a mutex of the side of `tid`.
pub fn owner(state: &Kernel, tid: Tid, mutex: usize) -> Option<Tid> {
    if state.pair.is_none() {
        // What is in memory that was freed is nobody's number.
        return sync::owner(mutex).filter(|owner| *owner < state.threads.len());
    }
    let side = state.threads[tid].side;
    let holds = |thread: &Thread| thread.side == side && thread.held.contains(&mutex);
    state.threads.iter().position(holds)
}

/// The BQL of the side of `tid`.
pub fn bql(state: &Kernel, tid: Tid) -> usize {
    match &state.pair {
        Some(pair) if state.threads[tid].side != state.side => pair.there.bql,
        _ => state.bql,
    }
}

impl Kernel {
    /// What is one side's becomes that of `side`.
    pub fn enter(&mut self, side: u8) {
        let Some(pair) = self.pair.as_mut().filter(|_| side != self.side) else { return };
        self.side = side;
        std::mem::swap(&mut pair.here, &mut pair.there);
        // What was in the kernel goes to the side that left.
        let (into, left) = (&mut pair.here, &mut pair.there);
        left.faults = std::mem::replace(&mut self.faults, std::mem::take(&mut into.faults));
        left.bql = std::mem::replace(&mut self.bql, into.bql);
        left.stall = std::mem::replace(&mut self.stall, into.stall.take());
        left.said = std::mem::replace(&mut self.said, std::mem::take(&mut into.said));
        self.files.side = side;
    }

    /// What the side that runs has exited with, if it is one of two.
    pub fn exit(&self) -> Option<i32> {
        self.pair.as_ref().and_then(|pair| pair.here.exit).map(|(_, code)| code)
    }

    /// What C calls the first thread of the side that runs.
    pub fn first(&self) -> Tid {
        self.pair.as_ref().map_or(0, |pair| pair.here.first)
    }

    /// A thread's name with the side that it is on.
    pub fn named(&self, name: String) -> String {
        match &self.pair {
            Some(pair) => format!("{}{name}", pair.here.prefix),
            None => name,
        }
    }

    /// The side that runs is a process that has ended itself: its threads go no
    /// further, its connections are closed. False: it is the only one.
    pub(super) fn side_ends(&mut self, code: i32) -> bool {
        let (side, current) = (self.side, self.current);
        let Some(pair) = &mut self.pair else { return false };
        pair.here.exit = Some((current, code));
        for thread in self.threads.iter_mut().filter(|thread| thread.side == side) {
            if !thread.scenario {
                thread.waits.clear();
                thread.deadline = None;
                thread.returned = thread.returned.or(Some(0));
                thread.joined = true;
                thread.held.clear();
            }
        }
        for file in self.files.leave(side) {
            file::close(self, file);
        }
        true
    }

    /// What each side has exited with, and by which thread.
    pub fn exits(&self) -> [Option<(Tid, i32)>; 2] {
        let Some(pair) = &self.pair else { return [None; 2] };
        let both = [pair.here.exit, pair.there.exit];
        if self.side == 0 { both } else { [both[1], both[0]] }
    }

    /// What was said, by side if there are two.
    pub fn logs(&self) -> Vec<(Option<&'static str>, &str)> {
        let Some(pair) = &self.pair else { return vec![(None, self.said.text())] };
        let mut prefixes = [pair.here.prefix, pair.there.prefix];
        if self.side != 0 {
            prefixes.reverse();
        }
        let names = prefixes.map(|prefix| Some(prefix.trim_end_matches('/')));
        names.into_iter().zip(self.both_said().map(Said::text)).collect()
    }

    /// What each side has said; the same twice if there is one.
    pub fn both_said(&self) -> [&Said; 2] {
        let there = self.pair.as_ref().map_or(&self.said, |pair| &pair.there.said);
        if self.side == 0 { [&self.said, there] } else { [there, &self.said] }
    }
}

/// For each side of which no thread can run, the other is what is outside of it: if
/// meanwhile its BQL is held, that is a stall.
pub fn tick(kernel: &mut Kernel, ready: &[Tid]) {
    let was = kernel.side;
    for side in [was, 1 - was] {
        let of_side = |tid: &Tid| {
            let thread = &kernel.threads[*tid];
            thread.side == side && !thread.scenario
        };
        if !ready.iter().any(of_side) {
            kernel.enter(side);
            if kernel.bql != 0 {
                kernel.tick();
            }
        }
    }
    kernel.enter(was);
}

/// Side 1 gets the threads that constructors have made, and a main thread that will
/// call `body`.
pub fn second(body: usize, end: extern "C" fn(usize) -> !) -> Tid {
    let state = kernel();
    let first = state.threads.len();
    let pair = state.pair.as_mut().expect("there are two");
    pair.there.first = first;
    let prefix = pair.there.prefix;
    let made = std::mem::take(&mut pair.made).into_iter();
    state.threads.extend(made.map(|thread| {
        let name = format!("{prefix}{}", thread.name);
        Thread { name, side: 1, ..thread }
    }));
    on(1, move || kernel().threads[first].context = Context::new(true, body, 0, end));
    first
}

/// Whether it is an exit of one side of two; then the other goes on.
pub fn ends_a_side(kernel: &mut Kernel, ending: &Ending) -> bool {
    matches!(ending, Ending::Exit(code) if kernel.side_ends(*code))
}
