//! What our devices (`glue/qemu/`) ask and say.

use super::super::process;
use super::super::state::{Call, kernel};
use super::super::sync::Op;
use libc::{c_char, c_uint};
use std::sync::atomic::Ordering;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_devices() -> c_uint {
    kernel().devices
}

/// A handler of one of our devices is called. It is a place to switch, and a step
/// of a witness.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_handler(of: *const c_char, field: *const c_char, held: bool) {
    // SAFETY: the image's own string literals, which are there as long as it is.
    let literal = |text| unsafe { std::ffi::CStr::from_ptr(text) }.to_str().unwrap_or_default();
    let call = Call { tid: kernel().current, of: literal(of), field: literal(field), held };
    process::call(Op::Handler(call));
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_mmio(access: usize) {
    process::MMIO.store(access, Ordering::Relaxed);
}
