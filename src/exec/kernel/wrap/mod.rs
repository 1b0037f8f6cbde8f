//! The names that the linker gives QEMU in place of libc's (`--wrap`), each a
//! thin cover of an operation; models/exec/libc.json lists them.
//! Must not know: anything but C's conventions.

mod io;
mod locks;
mod memory;
mod net;
mod process;
mod pthread;
mod rest;
mod time;

/// A result of the kernel as a C library gives it: -1, and errno.
fn result(result: isize) -> isize {
    if result < 0 {
        set_errno(-result as i32);
        return -1;
    }
    result
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
