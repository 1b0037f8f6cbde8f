//! The names that the linker gives QEMU in place of libc's (`--wrap`), each a
//! thin cover of an operation; models/exec/libc.json lists them.
//! Must not know: anything but C's conventions.

mod device;
mod io;
mod locks;
mod memory;
mod net;
mod process;
mod pthread;
mod rest;
mod time;

use super::arena::PAGE;
use super::state::kernel;
use super::sync::Op;
use super::uffd;

/// A result of the kernel as a C library gives it: -1, and errno.
fn result(result: isize) -> isize {
    if result < 0 {
        set_errno(-result as i32);
        return -1;
    }
    result
}

/// The kernel is about to touch the caller's memory: where that is missing, the caller
/// waits for it, as if it had touched it itself.
fn present(at: usize, length: usize) {
    if length == 0 || !uffd::any(kernel()) {
        return;
    }
    for address in (at & !(PAGE - 1)..at + length).step_by(PAGE) {
        if uffd::served(kernel(), address) {
            super::process::call(Op::Fault { address });
        }
    }
}

/// The same for the parts of a message.
fn present_parts(parts: *const libc::iovec, many: usize) {
    for part in super::socket::iovec(parts as usize, many) {
        present(part.iov_base as usize, part.iov_len);
    }
}

fn set_errno(errno: i32) {
    // SAFETY: errno of the thread that calls.
    unsafe { *libc::__errno_location() = errno };
}

/// A C string, as far as it is text.
unsafe fn text(text: *const libc::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's string ends with a zero.
    unsafe { std::ffi::CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
