//! What the machine says when memory is touched that must not be: a page that a
//! snapshot watches, a page that userfaultfd has to bring, or a crash.
//! Must not know: who touched it.

use super::context::Stack;
use super::state::{Ending, kernel};
use super::sync::Op;
use super::{arena, backtrace, interrupt, process, snapshot, tasks, uffd};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The address that the thread in `wait_for_page` faulted at.
static ADDRESS: AtomicUsize = AtomicUsize::new(0);

/// Where a thread that has crashed waits for the end of the execution: its own stack
/// may be what it has spoilt.
static AFTER: AtomicUsize = AtomicUsize::new(0);

/// `si_code` of a fault that the processor gave no address for.
const SI_KERNEL: i32 = 0x80;

/// Lets this process handle its faults.
pub fn install() {
    AFTER.store(Stack::forever().end, Ordering::Relaxed);
    // SAFETY: handlers are set as sigaction(2) says; the stack is never freed.
    unsafe {
        let stack = Stack::forever();
        let stack =
            libc::stack_t { ss_sp: stack.start as *mut _, ss_flags: 0, ss_size: stack.len() };
        libc::sigaltstack(&stack, std::ptr::null_mut());
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP] {
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

unsafe extern "C" fn handler(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the system gives both; `gregs` are the registers to go on with.
    let (address, registers) = unsafe {
        let context = &mut *context.cast::<libc::ucontext_t>();
        ((*info).si_addr() as usize, &mut context.uc_mcontext.gregs)
    };
    if signal == libc::SIGSEGV {
        let state = kernel();
        if uffd::missing(state, address) {
            if uffd::served(state, address) && process::running() {
                ADDRESS.store(address, Ordering::Relaxed);
                // SAFETY: C code of QEMU, on its stack.
                unsafe { interrupt::call(registers, wait_for_page) };
            } else {
                uffd::bring(state, address & !4095, None);
                uffd::touch(state, address);
            }
            return;
        }
        if uffd::touch(state, address) || snapshot::touch(address) {
            return;
        }
    }
    if let Some((instruction, stack)) = backtrace::rescue() {
        registers[libc::REG_RIP as usize] = instruction as i64;
        registers[libc::REG_RSP as usize] = stack as i64;
        return;
    }
    // A bad pointer that an operation was given is QEMU's crash as well.
    let state = kernel();
    let of_qemu = tasks::on() && state.threads.get(state.current).is_some_and(|t| !t.scenario);
    if !process::running() && !of_qemu {
        // Our own: let it crash as it would.
        // SAFETY: the default action.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    }
    let at = registers[libc::REG_RIP as usize] as usize;
    let name = match signal {
        // The processor does not tell the address if it is none that can be.
        // SAFETY: the system's own.
        libc::SIGSEGV if unsafe { (*info).si_code } == SI_KERNEL => {
            "SIGSEGV at no address that can be, like those that fill freed memory".into()
        }
        libc::SIGSEGV if address == at => {
            format!("SIGSEGV: goes to {address:#x}, where no code is")
        }
        libc::SIGSEGV if arena::overflowed(address) => "SIGSEGV: its stack overflows".into(),
        libc::SIGSEGV => format!("SIGSEGV at {address:#x}"),
        libc::SIGBUS => "SIGBUS".into(),
        libc::SIGFPE => "SIGFPE".into(),
        libc::SIGILL => "SIGILL".into(),
        _ => "SIGTRAP".into(),
    };
    let stack = registers[libc::REG_RSP as usize];
    if signal == libc::SIGSEGV && address == at && arena::contains(stack as usize) {
        // No code is there: the unwinder is to begin within the call.
        // SAFETY: all stacks of QEMU are in the arena.
        let caller = unsafe { (stack as *const i64).read_unaligned() };
        registers[libc::REG_RIP as usize] = caller - 1;
        registers[libc::REG_RSP as usize] = stack + 8;
    }
    let mut trace = backtrace::here();
    // What is above the handler's own frames begins at the instruction.
    match trace.iter().position(|frame| *frame == at || frame + 1 == at) {
        Some(begin) => drop(trace.drain(..begin)),
        None => trace.insert(0, at),
    }
    kernel().end(Ending::Crash(name, trace));
    registers[libc::REG_RIP as usize] = process::never as *const () as i64;
    // As at a function's entry; the zero there ends a backtrace.
    registers[libc::REG_RSP as usize] = (AFTER.load(Ordering::Relaxed) - 8) as i64;
}

extern "C" fn wait_for_page() {
    process::call(Op::Fault { address: ADDRESS.load(Ordering::Relaxed) });
}
