//! File descriptors: event counters, pipes and sockets, userfaultfd, and those
//! that never have anything to say. Descriptors below `FIRST` are the system's:
//! files on disk, which boot reads.
//! Must not know: who polls.

use super::clock::Instant;
use super::pipe::Pipe;
pub use super::pipe::{pipe_key, readable_key, writable_key};
use super::state::{Kernel, Key, Tid};
use libc::{EAGAIN, EBADF, EPIPE, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT};
use std::collections::VecDeque;

/// The first descriptor that is ours.
pub const FIRST: i32 = 512;

/// What a descriptor stands for.
#[derive(Clone, Debug)]
pub enum File {
    /// An eventfd.
    Counter { count: u64, semaphore: bool },
    /// A socket, or an end of a pipe: where it reads from and writes to.
    Stream { from: Option<usize>, to: Option<usize>, local: String, remote: String },
    /// A socket that is bound, listens, or is neither yet.
    Socket { local: String, listens: bool, pending: VecDeque<usize> },
    /// A userfaultfd: addresses of faults that were not read yet, and who faulted.
    Faults { events: VecDeque<(usize, Tid)> },
    /// It never has anything to say (signalfd, timerfd, inotify).
    Silent,
    /// No descriptor is left.
    Closed,
}

/// A descriptor.
#[derive(Clone, Copy, Debug)]
struct Open {
    file: usize,
    nonblocking: bool,
    /// The process that has it; none: the scenario.
    side: Option<u8>,
}

/// All files of the process, and those of the peers.
#[derive(Clone, Debug, Default)]
pub struct Files {
    open: Vec<Option<Open>>,
    pub all: Vec<File>,
    pub pipes: Vec<Pipe>,
    /// Bytes that pipes hold which are made from now on, if not the usual: a slow
    /// network is full sooner.
    pub room: Option<usize>,
    /// The process that opens.
    pub side: u8,
}

impl Files {
    /// A new file without a descriptor.
    pub fn add(&mut self, file: File) -> usize {
        self.all.push(file);
        self.all.len() - 1
    }

    /// A new pipe.
    pub fn pipe(&mut self) -> usize {
        self.pipes.push(Pipe::new(self.room));
        self.pipes.len() - 1
    }

    /// What a `Key::File` stands for, in words.
    pub fn what(&self, key: usize) -> &'static str {
        let pipe = key & u32::MAX as usize;
        let end = |file: &&File| match file {
            File::Stream { from, to, .. } => *from == Some(pipe) || *to == Some(pipe),
            _ => false,
        };
        match if key >> 32 != 0 { self.all.iter().find(end) } else { self.all.get(key) } {
            Some(File::Stream { local, remote, .. }) if *local == *remote => "a pipe",
            Some(File::Stream { .. } | File::Socket { .. }) => "the network",
            Some(File::Counter { .. }) => "an eventfd",
            Some(File::Faults { .. }) => "a fault at userfaultfd",
            Some(File::Silent | File::Closed) | None => "a file",
        }
    }

    /// The lowest free descriptor, for `file`.
    pub fn install(&mut self, file: usize, nonblocking: bool) -> i32 {
        let open = Some(Open { file, nonblocking, side: Some(self.side) });
        let nth = match self.open.iter().position(Option::is_none) {
            Some(nth) => nth,
            None => {
                self.open.push(None);
                self.open.len() - 1
            }
        };
        self.open[nth] = open;
        FIRST + nth as i32
    }

    /// The descriptor is the scenario's.
    pub fn keep(&mut self, fd: i32) {
        if let Some(Some(open)) = self.slot(fd) {
            open.side = None;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// A process ends: gives the files that nobody has open any more.
    pub fn leave(&mut self, side: u8) -> Vec<usize> {
        let mut gone = Vec::new();
        for nth in 0..self.open.len() {
            if let Some(open) = self.open[nth].take_if(|open| open.side == Some(side)) {
                gone.push(open.file);
            }
        }
        gone.retain(|file| !self.open.iter().flatten().any(|open| open.file == *file));
        gone.sort_unstable();
        gone.dedup();
        gone
    }

    fn slot(&mut self, fd: i32) -> Option<&mut Option<Open>> {
        self.open.get_mut(usize::try_from(fd - FIRST).ok()?)
    }

    /// The file of a descriptor.
    pub fn file(&self, fd: i32) -> Option<usize> {
        let nth = usize::try_from(fd - FIRST).ok()?;
        self.open.get(nth).copied().flatten().map(|open| open.file)
    }

    pub fn nonblocking(&self, fd: i32) -> bool {
        let nth = usize::try_from(fd - FIRST).ok();
        nth.and_then(|nth| self.open.get(nth).copied().flatten()).is_some_and(|o| o.nonblocking)
    }

    pub fn set_nonblocking(&mut self, fd: i32, nonblocking: bool) {
        if let Some(Some(open)) = self.slot(fd) {
            open.nonblocking = nonblocking;
        }
    }

    /// A second descriptor of the same file.
    pub fn duplicate(&mut self, fd: i32) -> Option<i32> {
        let open = self.slot(fd).copied()??;
        Some(self.install(open.file, open.nonblocking))
    }
}

/// A call on a descriptor.
#[derive(Debug)]
pub enum Call {
    Read { fd: i32, into: usize, length: usize },
    Write { fd: i32, from: usize, length: usize },
    Poll { fds: usize, many: usize, deadline: Option<Instant>, asleep: bool },
    Close { fd: i32 },
}

/// An errno as a result.
pub fn error(errno: i32) -> Option<isize> {
    Some(-(errno as isize))
}

impl Call {
    pub fn attempt(&mut self, kernel: &mut Kernel, tid: Tid) -> Option<isize> {
        match *self {
            Call::Read { fd, into, length } => {
                let Some((file, waits)) = kernel.called(tid, fd) else { return error(EBADF) };
                match read(kernel, file, into, length, false) {
                    Err(EAGAIN) if waits => {
                        kernel.wait_for(tid, file, readable_key(kernel, file));
                        None
                    }
                    Err(errno) => error(errno),
                    Ok(bytes) => Some(bytes as isize),
                }
            }
            Call::Write { fd, from, length } => {
                let Some((file, waits)) = kernel.called(tid, fd) else { return error(EBADF) };
                match write(kernel, file, from, length) {
                    Err(EAGAIN) if waits => {
                        kernel.wait_for(tid, file, writable_key(kernel, file));
                        None
                    }
                    Err(errno) => error(errno),
                    Ok(bytes) => Some(bytes as isize),
                }
            }
            Call::Poll { fds, many, deadline, ref mut asleep } => {
                poll(kernel, tid, (fds, many), deadline, asleep)
            }
            Call::Close { fd } => {
                let Some(file) = kernel.files.file(fd) else { return error(EBADF) };
                *kernel.files.slot(fd).expect("it has a file") = None;
                if !kernel.files.open.iter().flatten().any(|open| open.file == file) {
                    close(kernel, file);
                }
                Some(0)
            }
        }
    }
}

/// Reads what is there; `EAGAIN` if nothing is. A peek leaves it there.
pub fn read(
    kernel: &mut Kernel,
    file: usize,
    into: usize,
    length: usize,
    peek: bool,
) -> Result<usize, i32> {
    match &mut kernel.files.all[file] {
        File::Counter { count: 0, .. } => Err(EAGAIN),
        File::Counter { count, semaphore } => {
            let value = if *semaphore { 1 } else { *count };
            *count -= value;
            // SAFETY: the caller's buffer of at least eight bytes.
            unsafe { (into as *mut u64).write_unaligned(value) };
            kernel.wake(Key::File(file));
            Ok(8)
        }
        File::Stream { from: Some(from), .. } => {
            let from = *from;
            let pipe = &mut kernel.files.pipes[from];
            if pipe.broken {
                return Err(libc::ECONNRESET);
            }
            if pipe.there() == 0 {
                let ended = pipe.bytes.is_empty() && pipe.ended;
                return if ended || pipe.deaf { Ok(0) } else { Err(EAGAIN) };
            }
            let length = length.min(kernel.limit.unwrap_or(length));
            let bytes = length.min(pipe.there());
            let (front, back) = pipe.bytes.as_slices();
            let (first, into) = (bytes.min(front.len()), into as *mut u8);
            // SAFETY: the caller's buffer has `length` bytes.
            unsafe {
                std::ptr::copy_nonoverlapping(front.as_ptr(), into, first);
                std::ptr::copy_nonoverlapping(back.as_ptr(), into.add(first), bytes - first);
            }
            if !peek {
                pipe.bytes.drain(..bytes);
                pipe.taken(bytes);
                kernel.wake(pipe_key(from));
            }
            Ok(bytes)
        }
        File::Faults { events } => match events.pop_front() {
            None => Err(EAGAIN),
            Some((address, tid)) => {
                super::uffd::message(into, address, tid);
                Ok(super::uffd::MESSAGE)
            }
        },
        File::Silent => Err(EAGAIN),
        // It was closed while the caller waited.
        File::Closed => Ok(0),
        _ => Err(libc::EINVAL),
    }
}

/// Writes what fits; `EAGAIN` if nothing does.
pub fn write(kernel: &mut Kernel, file: usize, from: usize, length: usize) -> Result<usize, i32> {
    match &mut kernel.files.all[file] {
        File::Counter { count, .. } => {
            // SAFETY: the caller's buffer of at least eight bytes.
            *count += unsafe { (from as *const u64).read_unaligned() };
            kernel.wake(Key::File(file));
            Ok(8)
        }
        File::Stream { to: Some(to), .. } => {
            let to = *to;
            let pipe = &mut kernel.files.pipes[to];
            if pipe.deaf || pipe.ended || pipe.broken {
                return Err(EPIPE);
            }
            let room = pipe.room();
            if room == 0 {
                return Err(EAGAIN);
            }
            let length = length.min(kernel.limit.unwrap_or(length));
            let bytes = length.min(room);
            // SAFETY: the caller's buffer has `length` bytes.
            pipe.bytes.extend(unsafe { std::slice::from_raw_parts(from as *const u8, bytes) });
            pipe.total += bytes as u64;
            kernel.wake(pipe_key(to));
            Ok(bytes)
        }
        File::Closed => Err(EPIPE),
        _ => Err(libc::EINVAL),
    }
}

/// The last descriptor of `file` is gone.
pub fn close(kernel: &mut Kernel, file: usize) {
    let gone = std::mem::replace(&mut kernel.files.all[file], File::Closed);
    match gone {
        File::Stream { from, to, .. } => {
            if let Some(from) = from {
                kernel.files.pipes[from].deaf = true;
                kernel.wake(pipe_key(from));
            }
            if let Some(to) = to {
                kernel.files.pipes[to].ended = true;
                kernel.wake(pipe_key(to));
            }
        }
        File::Faults { .. } => super::uffd::closed(kernel, file),
        // Nobody will accept those.
        File::Socket { pending, .. } => pending.into_iter().for_each(|end| close(kernel, end)),
        _ => {}
    }
    kernel.wake(Key::File(file));
}

/// What can be done with `file` now, as `poll` says it.
fn events(kernel: &Kernel, file: usize) -> i16 {
    let files = &kernel.files;
    match &files.all[file] {
        File::Counter { count, .. } => POLLOUT | if *count > 0 { POLLIN } else { 0 },
        File::Stream { from, to, .. } => {
            let mut events = 0;
            if let Some(from) = from.map(|from| &files.pipes[from]) {
                let ended = from.bytes.is_empty() && from.ended;
                if from.there() > 0 || ended || from.deaf || from.broken {
                    events |= POLLIN;
                }
                if from.broken {
                    events |= POLLERR;
                }
                if from.ended && to.is_none_or(|to| files.pipes[to].ended || files.pipes[to].deaf) {
                    events |= POLLHUP;
                }
            }
            if let Some(to) = to.map(|to| &files.pipes[to])
                && (to.room() > 0 || to.deaf || to.broken)
            {
                events |= POLLOUT;
            }
            events
        }
        File::Socket { pending, .. } if !pending.is_empty() => POLLIN,
        File::Faults { events } if !events.is_empty() => POLLIN,
        File::Closed => POLLNVAL,
        _ => 0,
    }
}

fn poll(
    kernel: &mut Kernel,
    tid: Tid,
    (fds, many): (usize, usize),
    deadline: Option<Instant>,
    asleep: &mut bool,
) -> Option<isize> {
    // SAFETY: the caller's array of `many`.
    let fds = unsafe { std::slice::from_raw_parts_mut(fds as *mut libc::pollfd, many) };
    let mut ready = 0;
    for poll in fds.iter_mut() {
        poll.revents = 0;
        if poll.fd < FIRST {
            continue;
        }
        let all = match kernel.files.file(poll.fd) {
            Some(file) => events(kernel, file),
            None => POLLNVAL,
        };
        poll.revents = all & (poll.events | POLLERR | POLLHUP | POLLNVAL);
        ready += isize::from(poll.revents != 0);
    }
    if ready > 0 {
        return Some(ready);
    }
    if deadline.is_some_and(|deadline| deadline <= kernel.now) || (*asleep && kernel.expired(tid)) {
        return Some(0);
    }
    *asleep = true;
    kernel.wait(tid, Key::Clock, deadline);
    for poll in fds.iter().filter(|poll| poll.fd >= FIRST) {
        if let Some(file) = kernel.files.file(poll.fd) {
            let (read, write) = (readable_key(kernel, file), writable_key(kernel, file));
            kernel.threads[tid].waits.push(read);
            if poll.events & POLLOUT != 0 {
                kernel.threads[tid].waits.push(write);
            }
        }
    }
    None
}
