//! Operations: what a thread asks of the kernel, each a small state machine that
//! is attempted until it is done. A mutex keeps its state in the memory of the
//! `pthread_mutex_t`, where an initialiser has put its kind; who waits is in
//! `Kernel`.
//! Must not know: who schedules, and what the locks are for.

use super::clock::Instant;
use super::state::{Call, Kernel, Key, Misuse, Tid};
use super::{file, locks, nesting, socket, thread, uffd};
use libc::{EAGAIN, EBUSY, EDEADLK, EINVAL, ETIMEDOUT};

/// An operation. It lies on the C stack of the thread that asked.
#[derive(Debug)]
pub enum Op {
    Lock(usize),
    /// Until a time.
    TimedLock(usize, Instant),
    TryLock(usize),
    Unlock(usize),
    Wait(Wait),
    Signal(usize),
    Broadcast(usize),
    FutexWait {
        word: usize,
        value: u32,
        deadline: Option<Instant>,
        asleep: bool,
    },
    FutexWake {
        word: usize,
        most: usize,
    },
    Spawn {
        body: usize,
        argument: usize,
        detached: bool,
    },
    Join(Tid),
    End(usize),
    Kill {
        tid: Tid,
        signal: i32,
    },
    SigWait {
        set: u64,
    },
    Sleep {
        until: Instant,
        asleep: bool,
    },
    /// The same for a thread that has not asked for it (`spin`).
    Spin {
        until: Instant,
        asleep: bool,
    },
    /// Nothing but a place to switch.
    Yield,
    /// On one of the rarer locks.
    Rare(locks::Call),
    File(file::Call),
    Socket(socket::Call),
    Fault {
        address: usize,
    },
    /// A handler of a device of ours is called.
    Handler(Call),
    Uffd(uffd::Call),
    /// A scenario's task waits until its board is changed.
    Park {
        key: usize,
        version: u64,
    },
    /// The execution ends here.
    Never,
}

/// A wait on a condition variable.
#[derive(Debug)]
pub struct Wait {
    pub cond: usize,
    pub mutex: usize,
    pub deadline: Option<Instant>,
    pub phase: Phase,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Begin,
    Asleep,
    /// Takes the mutex again; then it gives this result.
    Again(i32),
}

/// A `pthread_mutex_t`, as far as it is used: glibc's places for the same.
#[repr(C)]
struct Mutex {
    /// The owner's number plus one; zero: free.
    owner: u32,
    count: u32,
    /// Somebody has tried to lock it without waiting.
    tried: u32,
    _unused: u32,
    kind: i32,
}

fn mutex(address: usize) -> &'static mut Mutex {
    // SAFETY: QEMU gave the address of a pthread_mutex_t.
    unsafe { &mut *(address as *mut Mutex) }
}

/// The thread that holds the mutex at `address`.
pub fn owner(address: usize) -> Option<Tid> {
    (mutex(address).owner as usize).checked_sub(1)
}

/// Whether somebody has tried to lock it without waiting.
pub fn tried(address: usize) -> bool {
    mutex(address).tried != 0
}

/// A fresh mutex of a kind (`PTHREAD_MUTEX_…`).
pub fn initialise(kernel: &mut Kernel, address: usize, kind: i32) {
    nesting::fresh(kernel, address);
    *mutex(address) = Mutex { owner: 0, count: 0, tried: 0, _unused: 0, kind };
}

/// The mutex at `address` is not used any more.
pub fn destroy(kernel: &mut Kernel, address: usize) {
    if mutex(address).owner != 0 {
        kernel.misuses.push((Misuse::DestroyedHeld, kernel.current, address));
    }
}

/// One attempt; `None`: it waits.
fn lock(
    kernel: &mut Kernel,
    tid: Tid,
    address: usize,
    may_wait: bool,
    deadline: Option<Instant>,
) -> Option<isize> {
    let mutex = mutex(address);
    let me = tid as u32 + 1;
    let nests = !kernel.threads[tid].held.is_empty() && mutex.owner != me;
    if nests && may_wait && deadline.is_none() {
        nesting::take(kernel, tid, address);
    }
    if mutex.owner == 0 {
        (mutex.owner, mutex.count) = (me, 1);
        kernel.threads[tid].held.push(address);
        return Some(0);
    }
    if mutex.owner == me && mutex.kind == libc::PTHREAD_MUTEX_RECURSIVE {
        mutex.count += 1;
        return Some(0);
    }
    if !may_wait {
        return Some(EBUSY as isize);
    }
    if mutex.owner == me {
        kernel.misuses.push((Misuse::Twice, tid, address));
    }
    if mutex.owner == me && mutex.kind == libc::PTHREAD_MUTEX_ERRORCHECK {
        return Some(EDEADLK as isize);
    }
    if deadline.is_some_and(|at| at <= kernel.now) {
        return Some(ETIMEDOUT as isize);
    }
    kernel.wait(tid, Key::Mutex(address), deadline);
    None
}

fn unlock(kernel: &mut Kernel, tid: Tid, address: usize) -> isize {
    let mutex = mutex(address);
    if mutex.owner != tid as u32 + 1 {
        kernel.misuses.push((Misuse::NotHeld, tid, address));
        return libc::EPERM as isize;
    }
    mutex.count -= 1;
    if mutex.count == 0 {
        mutex.owner = 0;
        kernel.threads[tid].unlocked = address;
        kernel.threads[tid].held.retain(|held| *held != address);
        if address == kernel.bql {
            kernel.stall = None;
        }
        kernel.wake(Key::Mutex(address));
    }
    0
}

impl Op {
    /// Its name, and the address of what it is done to, if it has one.
    pub fn name(&self) -> (&'static str, usize) {
        match self {
            Op::Lock(address) => ("lock", *address),
            Op::TimedLock(address, _) => ("timedlock", *address),
            Op::TryLock(address) => ("trylock", *address),
            Op::Rare(call) => call.name(),
            Op::Unlock(address) => ("unlock", *address),
            Op::Wait(wait) => ("cond_wait", wait.cond),
            Op::Signal(cond) => ("cond_signal", *cond),
            Op::Broadcast(cond) => ("cond_broadcast", *cond),
            Op::FutexWait { word, .. } => ("futex_wait", *word),
            Op::FutexWake { word, .. } => ("futex_wake", *word),
            Op::Spawn { .. } => ("create", 0),
            Op::Join(_) => ("join", 0),
            Op::End(_) => ("end", 0),
            Op::Kill { .. } => ("kill", 0),
            Op::SigWait { .. } => ("sigwait", 0),
            Op::Sleep { .. } => ("sleep", 0),
            Op::Spin { .. } => ("spin", 0),
            Op::Yield => ("yield", 0),
            Op::File(file::Call::Read { .. }) => ("read", 0),
            Op::File(file::Call::Write { .. }) => ("write", 0),
            Op::File(file::Call::Poll { .. }) => ("poll", 0),
            Op::File(file::Call::Close { .. }) => ("close", 0),
            Op::Socket(socket::Call::Accept { .. }) => ("accept", 0),
            Op::Socket(socket::Call::Receive { .. }) => ("recv", 0),
            Op::Socket(socket::Call::Send { .. }) => ("send", 0),
            Op::Socket(socket::Call::Shutdown { .. }) => ("shutdown", 0),
            Op::Fault { .. } => ("fault", 0),
            Op::Handler(call) => (call.field, 0),
            Op::Uffd(_) => ("ioctl", 0),
            Op::Park { .. } => ("park", 0),
            Op::Never => ("never", 0),
        }
    }

    /// Tries to do it; gives the result, or none if the thread has to wait.
    pub fn attempt(&mut self, kernel: &mut Kernel, tid: Tid) -> Option<isize> {
        Some(match self {
            Op::Lock(address) => return lock(kernel, tid, *address, true, None),
            Op::TimedLock(address, until) => {
                return lock(kernel, tid, *address, true, Some(*until));
            }
            Op::TryLock(address) => {
                mutex(*address).tried = 1;
                return lock(kernel, tid, *address, false, None);
            }
            Op::Unlock(address) => unlock(kernel, tid, *address),
            Op::Wait(wait) => return wait.attempt(kernel, tid),
            Op::Signal(cond) => {
                let first = sleepers(kernel, *cond).first().copied();
                if let Some(first) = first {
                    kernel.wake_thread(first);
                }
                0
            }
            Op::Broadcast(cond) => {
                kernel.wake(Key::Cond(*cond));
                0
            }
            Op::FutexWait { word, value, deadline, asleep } => {
                if *asleep {
                    return Some(if kernel.expired(tid) { -ETIMEDOUT as isize } else { 0 });
                }
                // SAFETY: QEMU gave the address of a futex word.
                if unsafe { *(*word as *const u32) } != *value {
                    return Some(-EAGAIN as isize);
                }
                *asleep = true;
                kernel.wait(tid, Key::Futex(*word), *deadline);
                return None;
            }
            Op::FutexWake { word, most } => {
                let key = Key::Futex(*word);
                let side = kernel.side;
                let waits = |kernel: &Kernel, tid: &Tid| {
                    let thread = &kernel.threads[*tid];
                    thread.side == side && thread.waits.contains(&key)
                };
                let all: Vec<Tid> = (0..kernel.threads.len())
                    .filter(|tid| waits(kernel, tid))
                    .take(*most)
                    .collect();
                all.iter().for_each(|tid| kernel.wake_thread(*tid));
                all.len() as isize
            }
            Op::Spawn { body, argument, detached } => {
                let spawned = thread::spawn(kernel, *body, *argument, *detached);
                spawned.map_or(-EAGAIN as isize, |tid| tid as isize)
            }
            Op::Join(other) => return thread::join(kernel, tid, *other),
            Op::End(value) => {
                thread::end(kernel, tid, *value);
                return None;
            }
            Op::Kill { tid: other, signal } => thread::kill(kernel, *other, *signal),
            Op::SigWait { set } => return thread::sigwait(kernel, tid, *set),
            Op::Sleep { until, asleep } | Op::Spin { until, asleep } => {
                if *asleep {
                    kernel.expired(tid);
                    return Some(0);
                }
                *asleep = true;
                kernel.wait(tid, Key::Clock, Some(*until));
                return None;
            }
            Op::Yield => 0,
            Op::Rare(call) => return call.attempt(kernel, tid),
            Op::File(call) => return call.attempt(kernel, tid),
            Op::Socket(call) => return call.attempt(kernel, tid),
            Op::Fault { address } => return uffd::fault(kernel, tid, *address),
            Op::Handler(call) => {
                kernel.calls.push(*call);
                0
            }
            Op::Uffd(call) => return call.attempt(kernel, tid),
            Op::Park { key, version } => {
                if kernel.boards[*key] == *version {
                    kernel.wait(tid, Key::Scenario(*key), None);
                    return None;
                }
                0
            }
            Op::Never => return None,
        })
    }
}

/// Who sleeps on a condition variable, in the order in which they are numbered.
fn sleepers(kernel: &Kernel, cond: usize) -> Vec<Tid> {
    let sleeps = |tid: &Tid| {
        let thread = &kernel.threads[*tid];
        thread.side == kernel.side && thread.waits.contains(&Key::Cond(cond))
    };
    (0..kernel.threads.len()).filter(sleeps).collect()
}

impl Wait {
    fn attempt(&mut self, kernel: &mut Kernel, tid: Tid) -> Option<isize> {
        if self.phase == Phase::Begin {
            if owner(self.mutex) != Some(tid) {
                return Some(EINVAL as isize);
            }
            // A wait gives a recursive mutex up once, as glibc does.
            unlock(kernel, tid, self.mutex);
            self.phase = Phase::Asleep;
            kernel.wait(tid, Key::Cond(self.cond), self.deadline);
            return None;
        }
        if self.phase == Phase::Asleep {
            let result = if kernel.expired(tid) { ETIMEDOUT } else { 0 };
            self.phase = Phase::Again(result);
        }
        let Phase::Again(result) = self.phase else { unreachable!("the phases are in order") };
        lock(kernel, tid, self.mutex, true, None).map(|_| result as isize)
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::Thread;
    use super::*;

    /// What a thread does to a mutex.
    type Act = (Tid, fn(usize) -> Op);

    /// Two threads, and what `ops` of them make of one mutex.
    fn misuses(ops: &[Act]) -> Vec<Misuse> {
        let mutex = Box::new(Mutex { owner: 0, count: 0, tried: 0, _unused: 0, kind: 0 });
        let address = &raw const *mutex as usize;
        let mut kernel = Kernel { threads: vec![Thread::default(); 2], ..Kernel::default() };
        for (tid, op) in ops {
            kernel.current = *tid;
            op(address).attempt(&mut kernel, *tid);
        }
        destroy(&mut kernel, address);
        kernel.misuses.iter().map(|(misuse, ..)| *misuse).collect()
    }

    const END: fn(usize) -> Op = |_| Op::End(0);

    #[test]
    fn a_mutex_is_used_as_it_has_to_be() {
        let (lock, unlock) = (Op::Lock, Op::Unlock);
        assert_eq!(misuses(&[(0, lock), (0, unlock), (0, lock), (0, unlock), (0, END)]), []);
        assert_eq!(misuses(&[(0, lock), (1, Op::TryLock), (0, unlock)]), []);
    }

    #[test]
    fn each_misuse_of_a_mutex_is_seen() {
        let (lock, unlock) = (Op::Lock, Op::Unlock);
        assert_eq!(misuses(&[(0, lock), (0, lock), (0, unlock)]), [Misuse::Twice]);
        assert_eq!(misuses(&[(0, unlock)]), [Misuse::NotHeld]);
        assert_eq!(misuses(&[(0, lock), (1, unlock), (0, unlock)]), [Misuse::NotHeld]);
        assert_eq!(misuses(&[(0, lock)]), [Misuse::DestroyedHeld]);
        let both = [Misuse::HeldAtEnd, Misuse::DestroyedHeld];
        assert_eq!(misuses(&[(0, lock), (0, END)]), both);
    }
}
