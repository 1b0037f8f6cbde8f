//! The rarer locks: read-write locks, semaphores, spin locks and what is to be done
//! once. Each keeps its state in the memory of its own type, all zero at first as
//! the static initialisers have it.
//! Must not know: what the locks are for.

use super::clock::Instant;
use super::state::{Kernel, Key, Tid};
use libc::{EAGAIN, EBUSY, EDEADLK, EPERM, ETIMEDOUT};

/// A call on one of them, by address.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    Read {
        lock: usize,
        wait: bool,
    },
    Write {
        lock: usize,
        wait: bool,
    },
    /// Gives up either.
    Unlock {
        lock: usize,
    },
    Post {
        semaphore: usize,
    },
    Take {
        semaphore: usize,
        wait: bool,
        deadline: Option<Instant>,
    },
    /// A spin lock; who would spin waits.
    Spin {
        lock: usize,
        wait: bool,
    },
    Unspin {
        lock: usize,
    },
    /// One, if the caller is to do it; zero, if it is done.
    Once {
        control: usize,
    },
    Done {
        control: usize,
    },
}

/// `pthread_rwlock_t`, as far as it is used.
#[repr(C)]
struct Rwlock {
    readers: u32,
    /// The writer's number plus one.
    writer: u32,
}

/// Of `Once`: nobody has begun, one is at it, it is done. Done is what glibc has.
const BEGUN: u32 = 1;
const DONE: u32 = 2;

fn rwlock(address: usize) -> &'static mut Rwlock {
    // SAFETY: QEMU gave the address of a pthread_rwlock_t.
    unsafe { &mut *(address as *mut Rwlock) }
}

/// Whether a writer has the read-write lock at `address`.
pub fn written(address: usize) -> bool {
    rwlock(address).writer != 0
}

fn word(address: usize) -> &'static mut u32 {
    // SAFETY: QEMU gave the address of a sem_t, a spin lock or a once control, each
    // of which begins with such a word.
    unsafe { &mut *(address as *mut u32) }
}

impl Call {
    /// Its name, and the address of what it is done to.
    pub fn name(self) -> (&'static str, usize) {
        match self {
            Call::Read { lock, .. } => ("rdlock", lock),
            Call::Write { lock, .. } => ("wrlock", lock),
            Call::Unlock { lock } | Call::Unspin { lock } => ("unlock", lock),
            Call::Post { semaphore } => ("sem_post", semaphore),
            Call::Take { semaphore, .. } => ("sem_wait", semaphore),
            Call::Spin { lock, .. } => ("spin_lock", lock),
            Call::Once { control } | Call::Done { control } => ("once", control),
        }
    }

    /// One attempt; `None`: it waits.
    pub fn attempt(self, kernel: &mut Kernel, tid: Tid) -> Option<isize> {
        let me = tid as u32 + 1;
        let mut sleep = |address, deadline| {
            kernel.wait(tid, Key::Lock(address), deadline);
            None
        };
        Some(match self {
            Call::Read { lock, wait } => match rwlock(lock) {
                lock if lock.writer == 0 => {
                    lock.readers += 1;
                    0
                }
                lock if lock.writer == me && wait => EDEADLK as isize,
                _ if wait => return sleep(lock, None),
                _ => EBUSY as isize,
            },
            Call::Write { lock, wait } => match rwlock(lock) {
                lock if lock.writer == 0 && lock.readers == 0 => {
                    lock.writer = me;
                    0
                }
                lock if lock.writer == me && wait => EDEADLK as isize,
                _ if wait => return sleep(lock, None),
                _ => EBUSY as isize,
            },
            Call::Unlock { lock } => {
                let state = rwlock(lock);
                if state.writer == me {
                    state.writer = 0;
                } else if state.readers > 0 {
                    state.readers -= 1;
                } else {
                    return Some(EPERM as isize);
                }
                kernel.wake(Key::Lock(lock));
                0
            }
            Call::Post { semaphore } => {
                *word(semaphore) += 1;
                kernel.wake(Key::Lock(semaphore));
                0
            }
            Call::Take { semaphore, wait, deadline } => match word(semaphore) {
                count if *count > 0 => {
                    *count -= 1;
                    0
                }
                _ if !wait => -EAGAIN as isize,
                _ if deadline.is_some_and(|at| at <= kernel.now) => -ETIMEDOUT as isize,
                _ => {
                    kernel.wait(tid, Key::Lock(semaphore), deadline);
                    return None;
                }
            },
            Call::Spin { lock, wait } => match word(lock) {
                owner if *owner == 0 => {
                    *owner = me;
                    0
                }
                _ if wait => return sleep(lock, None),
                _ => EBUSY as isize,
            },
            Call::Unspin { lock } => {
                *word(lock) = 0;
                kernel.wake(Key::Lock(lock));
                0
            }
            Call::Once { control } => match word(control) {
                state if *state == 0 => {
                    *state = BEGUN;
                    1
                }
                state if *state == DONE => 0,
                _ => return sleep(control, None),
            },
            Call::Done { control } => {
                *word(control) = DONE;
                kernel.wake(Key::Lock(control));
                0
            }
        })
    }
}
