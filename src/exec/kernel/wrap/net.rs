//! Sockets: streams with names that only this kernel knows.

use super::super::file::File;
use super::super::state::kernel;
use super::super::sync::Op;
use super::super::{process, socket};
use super::{present_parts, result, text};
use libc::{
    c_char, c_int, c_void, iovec, msghdr, size_t, sockaddr, sockaddr_un, socklen_t, ssize_t,
};

pub fn send(fd: c_int, parts: *const iovec, many: usize, never_wait: bool) -> ssize_t {
    present_parts(parts, many);
    let call = socket::Call::Send { fd, parts: parts as usize, many, never_wait, sent: 0 };
    result(process::call(Op::Socket(call)))
}

pub fn receive(fd: c_int, parts: *const iovec, many: usize, peek: bool, never: bool) -> ssize_t {
    present_parts(parts, many);
    let parts = parts as usize;
    let call = socket::Call::Receive { fd, parts, many, peek, never_wait: never };
    result(process::call(Op::Socket(call)))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_socket(family: c_int, kind: c_int, _: c_int) -> c_int {
    if family != libc::AF_UNIX || kind & 0xf != libc::SOCK_STREAM {
        return result(-libc::EAFNOSUPPORT as isize) as c_int;
    }
    let files = &mut kernel().files;
    let socket = File::Socket { local: String::new(), listens: false, pending: Default::default() };
    let file = files.add(socket);
    files.install(file, kind & libc::SOCK_NONBLOCK != 0)
}

/// The name in an address of family AF_UNIX.
unsafe fn name(address: *const sockaddr) -> String {
    // SAFETY: the caller's address, which QEMU fills with a path that ends.
    unsafe { text((*address.cast::<sockaddr_un>()).sun_path.as_ptr()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_bind(fd: c_int, address: *const sockaddr, _: socklen_t) -> c_int {
    // SAFETY: the caller's address.
    let name = unsafe { name(address) };
    let files = &mut kernel().files;
    let Some(file) = files.file(fd) else { return result(-libc::EBADF as isize) as c_int };
    if let File::Socket { local, .. } = &mut files.all[file] {
        *local = name;
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_listen(fd: c_int, _: c_int) -> c_int {
    let files = &mut kernel().files;
    let Some(file) = files.file(fd) else { return result(-libc::EBADF as isize) as c_int };
    if let File::Socket { listens, .. } = &mut files.all[file] {
        *listens = true;
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_accept4(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    let nonblocking = flags & libc::SOCK_NONBLOCK != 0;
    let fd = process::call(Op::Socket(socket::Call::Accept { fd, nonblocking }));
    if fd >= 0 && !address.is_null() {
        // SAFETY: the caller's address and length.
        unsafe { put_name("", address, length) };
    }
    result(fd) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_accept(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    // SAFETY: the caller's arguments.
    unsafe { __wrap_accept4(fd, address, length, 0) }
}

/// Connects at once, or not at all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_connect(
    fd: c_int,
    address: *const sockaddr,
    _: socklen_t,
) -> c_int {
    process::call(Op::Yield);
    // SAFETY: the caller's address.
    let name = unsafe { name(address) };
    let state = kernel();
    let Some(file) = state.files.file(fd) else { return result(-libc::EBADF as isize) as c_int };
    match socket::connect(state, &name) {
        Ok(end) => {
            // The descriptor now stands for the connection.
            state.files.all.swap(file, end);
            state.files.all[end] = File::Closed;
            0
        }
        Err(errno) => result(-errno as isize) as c_int,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_send(
    fd: c_int,
    from: *const c_void,
    length: size_t,
    flags: c_int,
) -> ssize_t {
    let part = iovec { iov_base: from.cast_mut(), iov_len: length };
    send(fd, &part, 1, flags & libc::MSG_DONTWAIT != 0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sendmsg(
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: the caller's message.
    let (parts, many) = unsafe { ((*message).msg_iov, (*message).msg_iovlen) };
    send(fd, parts, many, flags & libc::MSG_DONTWAIT != 0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_recv(
    fd: c_int,
    into: *mut c_void,
    length: size_t,
    flags: c_int,
) -> ssize_t {
    let part = iovec { iov_base: into, iov_len: length };
    receive(fd, &part, 1, flags & libc::MSG_PEEK != 0, flags & libc::MSG_DONTWAIT != 0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's message; no ancillary data ever comes.
    let (parts, many) = unsafe {
        (*message).msg_controllen = 0;
        (*message).msg_flags = 0;
        ((*message).msg_iov, (*message).msg_iovlen)
    };
    receive(fd, parts, many, flags & libc::MSG_PEEK != 0, flags & libc::MSG_DONTWAIT != 0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_shutdown(fd: c_int, how: c_int) -> c_int {
    result(process::call(Op::Socket(socket::Call::Shutdown { fd, how }))) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_setsockopt(
    _: c_int,
    _: c_int,
    _: c_int,
    _: usize,
    _: u32,
) -> c_int {
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_getsockopt(
    fd: c_int,
    _: c_int,
    option: c_int,
    value: *mut c_int,
    _: *mut socklen_t,
) -> c_int {
    let files = &kernel().files;
    let listens = |file: usize| matches!(files.all[file], File::Socket { listens: true, .. });
    // SAFETY: the caller's pointer.
    unsafe {
        *value = match option {
            libc::SO_TYPE => libc::SOCK_STREAM,
            libc::SO_ACCEPTCONN => c_int::from(files.file(fd).is_some_and(listens)),
            libc::SO_SNDBUF | libc::SO_RCVBUF => 208 << 10,
            _ => 0,
        };
    }
    0
}

unsafe fn put_name(name: &str, address: *mut sockaddr, length: *mut socklen_t) {
    // SAFETY: the caller's address has room for a sockaddr_un or says less.
    unsafe {
        let mut whole: sockaddr_un = std::mem::zeroed();
        whole.sun_family = libc::AF_UNIX as u16;
        for (to, from) in whole.sun_path.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        let bytes = 2 + if name.is_empty() { 0 } else { name.len() + 1 };
        let fits = bytes.min(*length as usize);
        std::ptr::copy_nonoverlapping((&raw const whole).cast::<u8>(), address.cast(), fits);
        *length = bytes as socklen_t;
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_getsockname(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    let files = &kernel().files;
    let name = match files.file(fd).map(|file| &files.all[file]) {
        Some(File::Stream { local, .. } | File::Socket { local, .. }) => local.clone(),
        _ => return result(-libc::ENOTSOCK as isize) as c_int,
    };
    // SAFETY: the caller's address and length.
    unsafe { put_name(&name, address, length) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_getpeername(
    fd: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> c_int {
    let files = &kernel().files;
    let name = match files.file(fd).map(|file| &files.all[file]) {
        Some(File::Stream { remote, .. }) => remote.clone(),
        Some(File::Socket { .. }) => return result(-libc::ENOTCONN as isize) as c_int,
        _ => return result(-libc::ENOTSOCK as isize) as c_int,
    };
    // SAFETY: the caller's address and length.
    unsafe { put_name(&name, address, length) };
    0
}

/// A socket's name is no file: there is none to remove, and no file on disk is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_unlink(_: *const c_char) -> c_int {
    result(-libc::ENOENT as isize) as c_int
}
