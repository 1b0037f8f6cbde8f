//! Stream sockets by name, and connections between QEMU and a scenario's tasks.
//! Must not know: what is said over them.

use super::file::{self, File, error, readable_key, writable_key};
use super::state::{Kernel, Key, Tid};
use libc::{EAGAIN, EBADF, ECONNREFUSED, EINVAL};

/// A call on a socket.
#[derive(Debug)]
pub enum Call {
    Accept {
        fd: i32,
        nonblocking: bool,
    },
    /// Parts of a message, one after the other.
    Receive {
        fd: i32,
        parts: usize,
        many: usize,
        peek: bool,
        never_wait: bool,
    },
    Send {
        fd: i32,
        parts: usize,
        many: usize,
        never_wait: bool,
        sent: usize,
    },
    Shutdown {
        fd: i32,
        how: i32,
    },
}

impl Call {
    pub fn attempt(&mut self, kernel: &mut Kernel, tid: Tid) -> Option<isize> {
        match self {
            Call::Accept { fd, nonblocking } => accept(kernel, tid, *fd, *nonblocking),
            Call::Receive { fd, parts, many, peek, never_wait } => {
                let Some((file, waits)) = kernel.called(tid, *fd) else { return error(EBADF) };
                let wait = waits && !*never_wait;
                let mut bytes = 0;
                for part in iovec(*parts, *many) {
                    match file::read(kernel, file, part.iov_base as usize, part.iov_len, *peek) {
                        Ok(got) => {
                            bytes += got;
                            if got < part.iov_len || *peek {
                                break;
                            }
                        }
                        Err(EAGAIN) if bytes > 0 => break,
                        Err(EAGAIN) if wait => {
                            kernel.wait_for(tid, file, readable_key(kernel, file));
                            return None;
                        }
                        Err(errno) => return error(errno),
                    }
                }
                Some(bytes as isize)
            }
            Call::Send { fd, parts, many, never_wait, sent } => {
                let Some((file, waits)) = kernel.called(tid, *fd) else { return error(EBADF) };
                let wait = waits && !*never_wait;
                let mut before = 0;
                for part in iovec(*parts, *many) {
                    while *sent < before + part.iov_len {
                        let at = *sent - before;
                        let (from, left) = (part.iov_base as usize + at, part.iov_len - at);
                        match file::write(kernel, file, from, left) {
                            Ok(bytes) => {
                                *sent += bytes;
                                if kernel.limit.is_some() && !wait {
                                    return Some(*sent as isize);
                                }
                            }
                            Err(EAGAIN) if wait => {
                                kernel.wait_for(tid, file, writable_key(kernel, file));
                                return None;
                            }
                            Err(_) if *sent > 0 => return Some(*sent as isize),
                            Err(errno) => return error(errno),
                        }
                    }
                    before += part.iov_len;
                }
                Some(*sent as isize)
            }
            Call::Shutdown { fd, how } => {
                let Some(file) = kernel.files.file(*fd) else { return error(EBADF) };
                shutdown(kernel, file, *how)
            }
        }
    }
}

/// The parts of a message.
pub fn iovec(parts: usize, many: usize) -> &'static [libc::iovec] {
    // SAFETY: the caller's array of `many`, which lives as long as the call.
    unsafe { std::slice::from_raw_parts(parts as *const libc::iovec, many) }
}

fn accept(kernel: &mut Kernel, tid: Tid, fd: i32, nonblocking: bool) -> Option<isize> {
    let Some((file, wait)) = kernel.called(tid, fd) else { return error(EBADF) };
    let File::Socket { listens: true, pending, .. } = &mut kernel.files.all[file] else {
        return error(EINVAL);
    };
    match pending.pop_front() {
        Some(end) => {
            let fd = kernel.files.install(end, nonblocking);
            // Others that wait for it have to look again.
            kernel.wake(Key::File(file));
            Some(fd as isize)
        }
        None if wait => {
            kernel.wait_for(tid, file, Key::File(file));
            None
        }
        None => error(EAGAIN),
    }
}

/// `shutdown()`: the other side sees an end, and so does this one.
pub fn shutdown(kernel: &mut Kernel, file: usize, how: i32) -> Option<isize> {
    let File::Stream { from, to, .. } = kernel.files.all[file] else {
        return error(libc::ENOTCONN);
    };
    if how != libc::SHUT_WR
        && let Some(from) = from
    {
        kernel.files.pipes[from].deaf = true;
        kernel.files.pipes[from].bytes.clear();
        kernel.wake(file::pipe_key(from));
    }
    if how != libc::SHUT_RD
        && let Some(to) = to
    {
        kernel.files.pipes[to].ended = true;
        kernel.wake(file::pipe_key(to));
    }
    Some(0)
}

/// Connects to whoever listens on `name`; gives the caller's end, a file.
pub fn connect(kernel: &mut Kernel, name: &str) -> Result<usize, i32> {
    let listens =
        |file: &File| matches!(file, File::Socket { local, listens: true, .. } if local == name);
    let Some(listener) = kernel.files.all.iter().position(listens) else {
        return Err(ECONNREFUSED);
    };
    let (there, back) = (kernel.files.pipe(), kernel.files.pipe());
    let stream = |from, to, local: &str, remote: &str| File::Stream {
        from: Some(from),
        to: Some(to),
        local: local.into(),
        remote: remote.into(),
    };
    let ours = kernel.files.add(stream(back, there, "", name));
    let theirs = kernel.files.add(stream(there, back, name, ""));
    if let File::Socket { pending, .. } = &mut kernel.files.all[listener] {
        pending.push_back(theirs);
    }
    kernel.wake(Key::File(listener));
    Ok(ours)
}

/// Cuts a connection at both ends, as a network that fails does: what was sent
/// before and not read yet is still there if `keep`.
pub fn cut(kernel: &mut Kernel, file: usize, keep: bool) {
    let File::Stream { from, to, .. } = kernel.files.all[file] else { return };
    for pipe in [from, to].into_iter().flatten() {
        if keep {
            kernel.files.pipes[pipe].ended = true;
        } else {
            kernel.files.pipes[pipe].broken = true;
        }
        kernel.wake(file::pipe_key(pipe));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_not_accepted_yet_sees_the_end_of_what_listened() {
        let mut kernel = Kernel::default();
        let (local, pending) = ("there".to_string(), Default::default());
        let listener = kernel.files.add(File::Socket { local, listens: true, pending });
        let file = connect(&mut kernel, "there").expect("it listens");
        let mut byte = 0u8;
        let into = &raw mut byte as usize;
        assert_eq!(file::read(&mut kernel, file, into, 1, false), Err(EAGAIN));
        file::close(&mut kernel, listener);
        assert_eq!(file::read(&mut kernel, file, into, 1, false), Ok(0));
        assert_eq!(connect(&mut kernel, "there"), Err(ECONNREFUSED));
    }
}
