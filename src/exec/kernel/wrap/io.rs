//! Descriptors: those of the kernel's files; the system's own pass through.

use super::super::arena::PAGE;
use super::super::file::{Call, FIRST, File};
use super::super::state::kernel;
use super::super::sync::Op;
use super::super::{clock, process, snapshot, uffd};
use super::{present, result, set_errno, text};
use libc::{c_char, c_int, c_long, c_uint, c_ulong, c_void, mode_t, pollfd, size_t, ssize_t};

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // userfaultfd is had by the system call instead.
    // SAFETY: the caller's string.
    if unsafe { text(path) } == "/dev/userfaultfd" {
        set_errno(libc::ENOENT);
        return -1;
    }
    // SAFETY: the caller's arguments.
    unsafe { libc::open(path, flags, c_uint::from(mode)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_read(fd: c_int, into: *mut c_void, length: size_t) -> ssize_t {
    if fd < FIRST {
        // The system does not ask our handler before it writes.
        present(into as usize, length);
        (0..length.div_ceil(PAGE) + 1).for_each(|nth| {
            let address = into as usize + (nth * PAGE).min(length.saturating_sub(1));
            let _ = uffd::touch(kernel(), address) || snapshot::touch(address);
        });
        // SAFETY: the caller's arguments.
        return unsafe { libc::read(fd, into, length) };
    }
    present(into as usize, length);
    result(process::call(Op::File(Call::Read { fd, into: into as usize, length })))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_write(fd: c_int, from: *const c_void, length: size_t) -> ssize_t {
    if fd < FIRST {
        // SAFETY: the caller's arguments.
        return unsafe { libc::write(fd, from, length) };
    }
    present(from as usize, length);
    result(process::call(Op::File(Call::Write { fd, from: from as usize, length })))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_close(fd: c_int) -> c_int {
    if fd < FIRST {
        // SAFETY: the caller's descriptor.
        return unsafe { libc::close(fd) };
    }
    result(process::call(Op::File(Call::Close { fd }))) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_dup(fd: c_int) -> c_int {
    if fd < FIRST {
        // SAFETY: the caller's descriptor.
        return unsafe { libc::dup(fd) };
    }
    result(kernel().files.duplicate(fd).map_or(-libc::EBADF as isize, |fd| fd as isize)) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_fcntl(fd: c_int, command: c_int, argument: c_long) -> c_int {
    if fd < FIRST {
        // SAFETY: the caller's arguments.
        return unsafe { libc::fcntl(fd, command, argument) };
    }
    let files = &mut kernel().files;
    match command {
        libc::F_GETFL if files.nonblocking(fd) => libc::O_RDWR | libc::O_NONBLOCK,
        libc::F_GETFL => libc::O_RDWR,
        libc::F_SETFL => {
            files.set_nonblocking(fd, argument & c_long::from(libc::O_NONBLOCK) != 0);
            0
        }
        libc::F_GETFD => libc::FD_CLOEXEC,
        libc::F_SETFD => 0,
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => files.duplicate(fd).unwrap_or(-1),
        _ => result(-libc::EINVAL as isize) as c_int,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_ioctl(
    fd: c_int,
    request: c_ulong,
    argument: *mut c_void,
) -> c_int {
    if fd < FIRST {
        // SAFETY: the caller's arguments.
        return unsafe { libc::ioctl(fd, request, argument) };
    }
    let call = uffd::Call { fd, request, argument: argument as usize };
    result(process::call(Op::Uffd(call))) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_eventfd(count: c_uint, flags: c_int) -> c_int {
    let files = &mut kernel().files;
    let semaphore = flags & libc::EFD_SEMAPHORE != 0;
    let file = files.add(File::Counter { count: u64::from(count), semaphore });
    files.install(file, flags & libc::EFD_NONBLOCK != 0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_eventfd_read(fd: c_int, value: *mut u64) -> c_int {
    // SAFETY: the caller's pointer.
    if unsafe { __wrap_read(fd, value.cast(), 8) } == 8 { 0 } else { -1 }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_eventfd_write(fd: c_int, value: u64) -> c_int {
    // SAFETY: the value above.
    if unsafe { __wrap_write(fd, (&raw const value).cast(), 8) } == 8 { 0 } else { -1 }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pipe2(ends: *mut c_int, flags: c_int) -> c_int {
    let files = &mut kernel().files;
    let pipe = files.pipe();
    let nonblocking = flags & libc::O_NONBLOCK != 0;
    let end = |from, to| File::Stream { from, to, local: String::new(), remote: String::new() };
    let (reader, writer) = (files.add(end(Some(pipe), None)), files.add(end(None, Some(pipe))));
    // SAFETY: the caller's array of two.
    unsafe {
        *ends = files.install(reader, nonblocking);
        *ends.add(1) = files.install(writer, nonblocking);
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pipe(ends: *mut c_int) -> c_int {
    // SAFETY: the caller's array of two.
    unsafe { __wrap_pipe2(ends, 0) }
}

pub fn poll(fds: *mut pollfd, many: usize, wait: Option<u64>) -> c_int {
    let deadline = wait.map(|wait| kernel().now.saturating_add(wait));
    let call = Call::Poll { fds: fds as usize, many, deadline, asleep: false };
    result(process::call(Op::File(call))) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_poll(fds: *mut pollfd, many: c_ulong, wait: c_int) -> c_int {
    poll(fds, many as usize, u64::try_from(wait).ok().map(|wait| wait * 1_000_000))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_ppoll(
    fds: *mut pollfd,
    many: c_ulong,
    wait: *const libc::timespec,
    _: usize,
) -> c_int {
    // SAFETY: the caller's pointer.
    poll(fds, many as usize, unsafe { wait.as_ref() }.map(clock::length))
}

/// One that is never ready: QEMU polls until it has many descriptors, and goes on
/// with poll where epoll fails then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_epoll_create1(_: c_int) -> c_int {
    silent()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_inotify_init1(_: c_int) -> c_int {
    result(-libc::ENOSYS as isize) as c_int
}

fn silent() -> c_int {
    let files = &mut kernel().files;
    let file = files.add(File::Silent);
    files.install(file, true)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_signalfd(_: c_int, _: usize, _: c_int) -> c_int {
    silent()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_writev(
    fd: c_int,
    parts: *const libc::iovec,
    many: c_int,
) -> ssize_t {
    if fd < FIRST {
        // SAFETY: the caller's arguments.
        return unsafe { libc::writev(fd, parts, many) };
    }
    super::net::send(fd, parts, many as usize, false)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_readv(
    fd: c_int,
    parts: *const libc::iovec,
    many: c_int,
) -> ssize_t {
    if fd < FIRST {
        // SAFETY: the caller's arguments.
        return unsafe { libc::readv(fd, parts, many) };
    }
    super::net::receive(fd, parts, many as usize, false, false)
}
