//! Where a thread is, read from its stack. QEMU may have spoilt that: what cannot
//! be read ends the backtrace, and not the run.
//! Must not know: who asks.

use std::arch::naked_asm;
use std::cell::UnsafeCell;
use std::ffi::c_void;

/// More frames than anybody reads.
const FRAMES: usize = 128;

/// Where `guarded` goes on after a fault.
#[repr(C)]
struct Rescue {
    /// Zero: nobody unwinds.
    sp: usize,
    ip: usize,
}

struct Global(UnsafeCell<Rescue>);
// SAFETY: one OS thread.
unsafe impl Sync for Global {}
static RESCUE: Global = Global(UnsafeCell::new(Rescue { sp: 0, ip: 0 }));

#[repr(C)]
struct Unwind {
    _opaque: [u8; 0],
}

type Each = extern "C" fn(*mut Unwind, *mut c_void) -> i32;

unsafe extern "C" {
    fn _Unwind_Backtrace(each: Each, argument: *mut c_void) -> i32;
    fn _Unwind_GetIPInfo(context: *mut Unwind, exact: *mut i32) -> usize;
}

/// Where the calling thread is, innermost first: an address within the call, or the
/// very instruction that faulted.
pub fn here() -> Vec<usize> {
    extern "C" fn each(context: *mut Unwind, frames: *mut c_void) -> i32 {
        // SAFETY: the pointer is the vector below.
        let frames = unsafe { &mut *frames.cast::<Vec<usize>>() };
        let mut exact = 0;
        // SAFETY: the unwinder's own context.
        let at = unsafe { _Unwind_GetIPInfo(context, &mut exact) };
        // A return address may be the first of the next function.
        frames.push(if exact == 0 { at.wrapping_sub(1) } else { at });
        // _URC_END_OF_STACK: enough.
        if frames.len() < FRAMES { 0 } else { 5 }
    }
    let mut frames: Vec<usize> = Vec::with_capacity(FRAMES);
    // SAFETY: `each` keeps to the protocol. Frames that a fault cuts off belong to
    // the unwinder, which owns nothing.
    unsafe {
        guarded(each, (&raw mut frames).cast(), RESCUE.0.get());
        (*RESCUE.0.get()).sp = 0;
    }
    frames
}

/// After a fault: where to go on, as (instruction, stack), if it was met by a
/// backtrace.
pub fn rescue() -> Option<(usize, usize)> {
    // SAFETY: one OS thread.
    let rescue = unsafe { &*RESCUE.0.get() };
    (rescue.sp != 0).then_some((rescue.ip, rescue.sp))
}

/// `_Unwind_Backtrace(each, argument)`, which comes back here as well when the fault
/// handler goes on at `rescue`.
#[unsafe(naked)]
unsafe extern "C" fn guarded(each: Each, argument: *mut c_void, rescue: *mut Rescue) {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "push rbx",
        ".cfi_offset rbx, -24",
        "push r12",
        ".cfi_offset r12, -32",
        "push r13",
        ".cfi_offset r13, -40",
        "push r14",
        ".cfi_offset r14, -48",
        "push r15",
        ".cfi_offset r15, -56",
        "sub rsp, 8",
        "mov [rdx], rsp",
        "lea rax, [rip + 2f]",
        "mov [rdx + 8], rax",
        "call {unwind}",
        "2:",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
        unwind = sym _Unwind_Backtrace,
    )
}
