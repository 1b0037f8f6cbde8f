//! A call that a thread of C makes between two of its instructions, since a signal
//! handler says so: it may wait there, and others go on.
//! Must not know: what is called, and why.

use std::arch::naked_asm;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What `entry` calls.
static WHAT: AtomicUsize = AtomicUsize::new(0);

/// The registers that a signal handler lets its thread go on with, as if the next
/// instruction was to call `what`, below the red zone.
///
/// # Safety
/// They are of C code of QEMU, which runs on a stack with room.
pub unsafe fn call(registers: &mut [libc::greg_t], what: extern "C" fn()) {
    WHAT.store(what as usize, Ordering::Relaxed);
    let rsp = registers[libc::REG_RSP as usize] as usize - 128 - 8;
    // SAFETY: see above.
    unsafe { (rsp as *mut i64).write(registers[libc::REG_RIP as usize]) };
    registers[libc::REG_RSP as usize] = rsp as i64;
    registers[libc::REG_RIP as usize] = entry as *const () as i64;
}

extern "C" fn called() {
    // SAFETY: `call` has put it there.
    let what: extern "C" fn() = unsafe { std::mem::transmute(WHAT.load(Ordering::Relaxed)) };
    what();
}

/// Keeps every register, calls what `call` was told to, and goes on.
#[unsafe(naked)]
unsafe extern "C" fn entry() {
    naked_asm!(
        "pushfq",
        "push rax",
        "push rcx",
        "push rdx",
        "push rbx",
        "push rbp",
        "push rsi",
        "push rdi",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov rbp, rsp",
        // x87, SSE, AVX and AVX-512: 2,696 bytes at most.
        "sub rsp, 2816",
        "and rsp, -64",
        // The header's first words must be zero.
        "xor eax, eax",
        "lea rdi, [rsp + 512]",
        "mov ecx, 8",
        "cld",
        "rep stosq",
        "mov eax, 0xe7",
        "xor edx, edx",
        "xsave64 [rsp]",
        "call {call}",
        "mov eax, 0xe7",
        "xor edx, edx",
        "xrstor64 [rsp]",
        "mov rsp, rbp",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rdi",
        "pop rsi",
        "pop rbp",
        "pop rbx",
        "pop rdx",
        "pop rcx",
        "pop rax",
        "popfq",
        "ret 128",
        call = sym called,
    )
}
