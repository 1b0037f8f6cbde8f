//! Names that compilers put in place of others (_FORTIFY_SOURCE), old forms, and
//! what an image does not get: other processes.

use super::super::file::File;
use super::super::state::kernel;
use super::super::sync::Op;
use super::super::{clock, process};
use super::{io, net, result};
use libc::{c_int, c_long, c_ulong, c_void, pollfd, size_t, socklen_t, ssize_t};

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap___read_chk(
    fd: c_int,
    into: *mut c_void,
    length: size_t,
    _: size_t,
) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { io::__wrap_read(fd, into, length) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap___recv_chk(
    fd: c_int,
    into: *mut c_void,
    length: size_t,
    _: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { net::__wrap_recv(fd, into, length, flags) }
}

/// The sender of a stream is who it is connected to: no address is given.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_recvfrom(
    fd: c_int,
    into: *mut c_void,
    length: size_t,
    flags: c_int,
    _: usize,
    size: *mut socklen_t,
) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe {
        if !size.is_null() {
            *size = 0;
        }
        net::__wrap_recv(fd, into, length, flags)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap___recvfrom_chk(
    fd: c_int,
    into: *mut c_void,
    length: size_t,
    _: size_t,
    flags: c_int,
    from: usize,
    size: *mut socklen_t,
) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { __wrap_recvfrom(fd, into, length, flags, from, size) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sendto(
    fd: c_int,
    from: *const c_void,
    length: size_t,
    flags: c_int,
    _: usize,
    _: socklen_t,
) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { net::__wrap_send(fd, from, length, flags) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap___poll_chk(
    fds: *mut pollfd,
    many: c_ulong,
    wait: c_int,
    _: size_t,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { io::__wrap_poll(fds, many, wait) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap___ppoll_chk(
    fds: *mut pollfd,
    many: c_ulong,
    wait: *const libc::timespec,
    mask: usize,
    _: size_t,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { io::__wrap_ppoll(fds, many, wait, mask) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_socketpair(
    _: c_int,
    kind: c_int,
    _: c_int,
    ends: *mut c_int,
) -> c_int {
    let files = &mut kernel().files;
    let (there, back) = (files.pipe(), files.pipe());
    let nonblocking = kind & libc::SOCK_NONBLOCK != 0;
    for (nth, (from, to)) in [(back, there), (there, back)].into_iter().enumerate() {
        let (local, remote) = (String::new(), String::new());
        let end = files.add(File::Stream { from: Some(from), to: Some(to), local, remote });
        // SAFETY: the caller's array of two.
        unsafe { *ends.add(nth) = files.install(end, nonblocking) };
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pause() -> c_int {
    process::call(Op::SigWait { set: u64::MAX });
    result(-libc::EINTR as isize) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sigwaitinfo(set: *const u64, _: usize) -> c_int {
    // SAFETY: the caller's set, whose first word has the signals to 64.
    process::call(Op::SigWait { set: unsafe { *set } }) as c_int
}

/// Numbers whose state is put back with the rest, unlike libc's own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_random() -> c_long {
    let numbers = &mut kernel().numbers;
    // Knuth's MMIX generator; the high bits are the good ones.
    *numbers =
        numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*numbers >> 33) as c_long
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_rand() -> c_int {
    // SAFETY: no argument.
    unsafe { __wrap_random() as c_int }
}

/// Functions that give -1 and an error, whatever they are asked.
macro_rules! refuse {
    ($($(#[$why:meta])* fn $name:ident($($argument:ty),*) = $errno:ident;)*) => {$(
        $(#[$why])*
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($(_: $argument),*) -> c_int {
            result(-libc::$errno as isize) as c_int
        }
    )*};
}

refuse! {
    fn __wrap_dup2(c_int, c_int) = ENOSYS;
    fn __wrap_dup3(c_int, c_int, c_int) = ENOSYS;
    fn __wrap_close_range(u32, u32, c_int) = ENOSYS;
    fn __wrap_daemon(c_int, c_int) = ENOSYS;
    fn __wrap_execv(usize, usize) = ENOSYS;
    fn __wrap_execve(usize, usize, usize) = ENOSYS;
    fn __wrap_execvp(usize, usize) = ENOSYS;
    fn __wrap_waitpid(c_int, usize, c_int) = ECHILD;
    fn __wrap_waitid(c_int, c_int, usize, c_int) = ECHILD;
    /// As where there is no epoll: QEMU goes on with poll.
    fn __wrap_epoll_ctl(c_int, c_int, c_int, usize) = ENOSYS;
    fn __wrap_epoll_wait(c_int, usize, c_int, c_int) = ENOSYS;
    fn __wrap_inotify_init() = ENOSYS;
    fn __wrap_timerfd_create(c_int, c_int) = ENOSYS;
}

/// Gives the error itself, as its manual has it. What it is asked for is no matter.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_posix_spawn() -> c_int {
    libc::ENOSYS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_posix_spawnp() -> c_int {
    libc::ENOSYS
}

/// liburing asks the system past libc. It gives the error below zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_io_uring_queue_init(_: u32, _: usize, _: u32) -> c_int {
    -libc::ENOSYS
}

/// Waits on sets of descriptors; those of the system's never are ready.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_select(
    many: c_int,
    read: *mut libc::fd_set,
    write: *mut libc::fd_set,
    except: *mut libc::fd_set,
    wait: *const libc::timeval,
) -> c_int {
    // SAFETY: the caller's sets, each of which may be null.
    unsafe {
        let asked = |set: *mut libc::fd_set, fd| !set.is_null() && libc::FD_ISSET(fd, set);
        // On the stack: the execution may end in here, and a vector would stay.
        let mut fds = [pollfd { fd: -1, events: 0, revents: 0 }; libc::FD_SETSIZE];
        let mut used = 0;
        for fd in 0..many.min(libc::FD_SETSIZE as c_int) {
            let events = if asked(read, fd) { libc::POLLIN } else { 0 }
                | if asked(write, fd) { libc::POLLOUT } else { 0 };
            if events != 0 {
                fds[used] = pollfd { fd, events, revents: 0 };
                used += 1;
            }
        }
        for set in [read, write, except] {
            if !set.is_null() {
                libc::FD_ZERO(set);
            }
        }
        let wait = wait.as_ref().map(|wait| {
            let (tv_sec, tv_nsec) = (wait.tv_sec, wait.tv_usec * 1000);
            clock::length(&libc::timespec { tv_sec, tv_nsec })
        });
        let ready = io::poll(fds.as_mut_ptr(), used, wait);
        if ready <= 0 {
            return ready;
        }
        let mut bits = 0;
        for poll in &fds[..used] {
            let failed = libc::POLLERR | libc::POLLHUP;
            for (set, events) in [(read, libc::POLLIN | failed), (write, libc::POLLOUT | failed)] {
                if !set.is_null() && poll.revents & events != 0 {
                    libc::FD_SET(poll.fd, set);
                    bits += 1;
                }
            }
        }
        bits
    }
}
