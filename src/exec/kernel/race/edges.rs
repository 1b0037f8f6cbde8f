//! What an operation of the kernel orders: an unlock and the lock after it, a write
//! to a file and the read of it, and so on. A signal of a condition orders nothing by
//! itself: the mutex about it does. Of two processes each has objects of its own at
//! an address, and what goes through a socket orders the threads of both.
//! Must not know: how races are found.

use super::detector::{Detector, Sync};
use super::{on, races};
use crate::exec::kernel::arena::PAGE;
use crate::exec::kernel::file::{self, readable_key, writable_key};
use crate::exec::kernel::state::{Kernel, Key, Tid};
use crate::exec::kernel::sync::{Op, Phase};
use crate::exec::kernel::{locks, pair, socket, uffd};

/// Before each attempt: what it leaves for others, as far as that does not depend on
/// its success. A thread that waits in between leaves nothing new.
#[inline]
pub fn before(kernel: &Kernel, tid: Tid, op: &Op) {
    if on() {
        leave(kernel, tid, op, &mut races().detector);
    }
}

/// After an operation that was done, with its result.
#[inline]
pub fn after(kernel: &Kernel, tid: Tid, op: &Op, result: isize) {
    if on() {
        take(kernel, tid, op, result, &mut races().detector);
    }
}

/// The key of the pipe or file that `fd` reads from or writes to.
fn file_of(kernel: &Kernel, fd: i32, of: fn(&Kernel, usize) -> Key) -> Option<Sync> {
    match of(kernel, kernel.files.file(fd)?) {
        Key::File(nth) => Some(Sync::File(nth)),
        _ => None,
    }
}

/// The pages that a call is about to bring, or whose waiters it wakes: start, bytes.
fn pages(call: &uffd::Call) -> (usize, usize) {
    // SAFETY: each request's argument begins with at least this many words.
    let word = |nth: usize| unsafe { *(call.argument as *const u64).add(nth) as usize };
    match call.request {
        uffd::UFFDIO_COPY => (word(0), word(2)),
        uffd::UFFDIO_ZEROPAGE | uffd::UFFDIO_WAKE | uffd::UFFDIO_UNREGISTER => (word(0), word(1)),
        _ => (0, 0),
    }
}

fn leave(kernel: &Kernel, tid: Tid, op: &Op, detector: &mut Detector) {
    let written = |fd: i32| file_of(kernel, fd, writable_key);
    let at = |address: usize| pair::address(kernel, tid, address);
    match op {
        Op::Unlock(mutex) => detector.release(tid, Sync::Lock(at(*mutex))),
        Op::Wait(wait) if wait.phase == Phase::Begin => {
            detector.release(tid, Sync::Lock(at(wait.mutex)));
        }
        Op::FutexWake { word, .. } => detector.release(tid, Sync::Futex(at(*word))),
        Op::Kill { tid: other, .. } => detector.release(tid, Sync::Signal(*other)),
        Op::Rare(call) => match *call {
            locks::Call::Unlock { lock } => {
                let (writer, lock) = (locks::written(lock), at(lock));
                detector.release(tid, if writer { Sync::Lock(lock) } else { Sync::Readers(lock) });
            }
            locks::Call::Post { semaphore: lock }
            | locks::Call::Unspin { lock }
            | locks::Call::Done { control: lock } => detector.release(tid, Sync::Lock(at(lock))),
            _ => {}
        },
        Op::File(file::Call::Write { fd, .. } | file::Call::Close { fd })
        | Op::Socket(socket::Call::Send { fd, .. } | socket::Call::Shutdown { fd, .. }) => {
            if let Some(sync) = written(*fd) {
                detector.release(tid, sync);
            }
        }
        // Whoever reads the userfaultfd is told.
        Op::Fault { address } => {
            if let Some(file) = uffd::told(kernel, *address) {
                detector.release(tid, Sync::File(file));
            }
        }
        Op::Uffd(call) => {
            let (start, bytes) = pages(call);
            for page in (start..start + bytes).step_by(PAGE) {
                detector.release(tid, Sync::Page(at(page)));
            }
        }
        _ => {}
    }
}

fn take(kernel: &Kernel, tid: Tid, op: &Op, result: isize, detector: &mut Detector) {
    let read = |fd: i32| file_of(kernel, fd, readable_key);
    let at = |address: usize| pair::address(kernel, tid, address);
    match op {
        Op::Lock(mutex) | Op::TimedLock(mutex, _) | Op::TryLock(mutex) if result == 0 => {
            detector.acquire(tid, Sync::Lock(at(*mutex)));
        }
        // It has the mutex again, even if time was up.
        Op::Wait(wait) if wait.phase != Phase::Begin => {
            detector.acquire(tid, Sync::Lock(at(wait.mutex)));
        }
        Op::FutexWait { word, .. } => {
            detector.acquire(tid, Sync::Futex(at(*word)));
            detector.looked(tid, at(*word));
        }
        Op::Spawn { .. } if result >= 0 => detector.spawn(tid, result as Tid),
        Op::Join(other) => detector.join(tid, *other),
        Op::SigWait { .. } => detector.acquire(tid, Sync::Signal(tid)),
        Op::Rare(call) if result == 0 => match *call {
            locks::Call::Read { lock, .. } => detector.acquire(tid, Sync::Lock(at(lock))),
            locks::Call::Write { lock, .. } => {
                detector.acquire(tid, Sync::Lock(at(lock)));
                detector.acquire(tid, Sync::Readers(at(lock)));
            }
            locks::Call::Take { semaphore: lock, .. }
            | locks::Call::Spin { lock, .. }
            | locks::Call::Once { control: lock } => detector.acquire(tid, Sync::Lock(at(lock))),
            _ => {}
        },
        Op::File(file::Call::Read { fd, .. }) | Op::Socket(socket::Call::Receive { fd, .. })
            if result >= 0 =>
        {
            if let Some(sync) = read(*fd) {
                detector.acquire(tid, sync);
            }
        }
        Op::Fault { address } => detector.acquire(tid, Sync::Page(at(address & !(PAGE - 1)))),
        _ => {}
    }
}
