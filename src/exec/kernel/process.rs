//! The way from QEMU's C code into the kernel and back, and the ends of a
//! process: exit, abort, a failed assertion.
//! Must not know: what is asked for.

use super::state::{Ending, Tid, kernel};
use super::sync::Op;
use super::tasks;
use std::sync::atomic::{AtomicBool, Ordering};

static RUNNING: AtomicBool = AtomicBool::new(false);

/// Whether C code of QEMU goes on now.
pub fn set_running(running: bool) {
    RUNNING.store(running, Ordering::Relaxed);
}

/// Whether C code of QEMU runs, and not an operation that it asked for.
pub fn running() -> bool {
    RUNNING.load(Ordering::Relaxed)
}

/// Asks the kernel for an operation, from the C stack.
pub fn call(mut op: Op) -> isize {
    let state = kernel();
    let tid = state.current;
    if !tasks::on() {
        // Constructors of the image: one thread, and nothing to wait for.
        return op.attempt(state, tid).expect("a constructor does not wait");
    }
    set_running(false);
    match tasks::perform(tid, &mut op) {
        Some(result) => {
            set_running(true);
            result
        }
        None => tasks::leave(tid),
    }
}

/// The execution ended: this thread does not go on.
pub extern "C" fn never() -> ! {
    loop {
        call(Op::Never);
    }
}

/// A thread's function has returned: what it keeps by key is destroyed, until
/// nothing is left or it was tried often enough (PTHREAD_DESTRUCTOR_ITERATIONS).
pub extern "C" fn returned(value: usize) -> ! {
    for _ in 0..4 {
        let mut any = false;
        for key in 0..kernel().keys.len() {
            let state = kernel();
            let kept = state.threads[state.current].specific.get_mut(key).map(std::mem::take);
            let destructor = state.keys[key].filter(|destructor| *destructor != 0);
            if let (Some(kept), Some(destructor)) = (kept.filter(|kept| *kept != 0), destructor) {
                any = true;
                // SAFETY: what pthread_key_create was given.
                let destructor: extern "C" fn(usize) = unsafe { std::mem::transmute(destructor) };
                destructor(kept);
            }
        }
        if !any {
            break;
        }
    }
    call(Op::End(value));
    never()
}

/// QEMU ends with a status.
pub fn exit(code: i32) -> ! {
    if !running() {
        eprintln!("QEMU called exit({code}) before main()");
        // SAFETY: the process ends.
        unsafe { libc::_exit(101) };
    }
    // What others do in the meantime may be seen.
    call(Op::Yield);
    kernel().end(Ending::Exit(code));
    never()
}

/// QEMU gives up: `abort` or a failed assertion.
pub fn crash(what: String) -> ! {
    let trace = backtrace();
    if !running() {
        eprintln!("{what} before main()");
        // SAFETY: the process ends.
        unsafe { libc::_exit(101) };
    }
    kernel().end(Ending::Crash(what, trace));
    never()
}

/// What `gettid` says of a thread.
pub fn task_id(tid: Tid) -> i32 {
    1000 + tid as i32
}

#[repr(C)]
struct Unwind {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn _Unwind_Backtrace(
        each: extern "C" fn(*mut Unwind, *mut libc::c_void) -> i32,
        argument: *mut libc::c_void,
    ) -> i32;
    fn _Unwind_GetIPInfo(context: *mut Unwind, exact: *mut i32) -> usize;
}

/// Where the calling thread is, innermost first: an address within the call, or the
/// very instruction that faulted.
pub fn backtrace() -> Vec<usize> {
    extern "C" fn each(context: *mut Unwind, frames: *mut libc::c_void) -> i32 {
        // SAFETY: the pointer is the vector below.
        let frames = unsafe { &mut *frames.cast::<Vec<usize>>() };
        let mut exact = 0;
        // SAFETY: the unwinder's own context.
        let at = unsafe { _Unwind_GetIPInfo(context, &mut exact) };
        // A return address may be the first of the next function.
        frames.push(if exact == 0 { at.wrapping_sub(1) } else { at });
        // _URC_END_OF_STACK: enough.
        if frames.len() < 128 { 0 } else { 5 }
    }
    let mut frames: Vec<usize> = Vec::with_capacity(128);
    // SAFETY: `each` keeps to the protocol.
    unsafe { _Unwind_Backtrace(each, (&raw mut frames).cast()) };
    frames
}

/// Begins again without address space randomisation, so that runs are alike.
pub fn same_addresses() {
    // SAFETY: the flags of this process, and its own executable.
    unsafe {
        let now = libc::personality(0xffff_ffff);
        if now & libc::ADDR_NO_RANDOMIZE == 0
            && libc::personality((now | libc::ADDR_NO_RANDOMIZE) as u64) >= 0
        {
            let _ = std::os::unix::process::CommandExt::exec(
                std::process::Command::new("/proc/self/exe").args(std::env::args_os().skip(1)),
            );
        }
    }
}
