//! The way from QEMU's C code into the kernel and back, and the ends of a
//! process: exit, abort, a failed assertion.
//! Must not know: what is asked for.

use super::state::{Ending, Tid, kernel};
use super::sync::Op;
use super::{backtrace, cleanup, spin, tasks, trail};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A function of C that accesses a device, as a vCPU (`glue/qemu/mmio.c`); zero: the
/// image has none.
pub static MMIO: AtomicUsize = AtomicUsize::new(0);

static RUNNING: AtomicBool = AtomicBool::new(false);

/// Whether C code of QEMU goes on now.
pub fn set_running(running: bool) {
    spin::not_yet();
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
    spin::operation(&mut state.threads[tid]);
    if state.recording.is_some() {
        state.threads[tid].frames = backtrace::here();
    }
    go_on(&mut op)
}

/// Does an operation of a thread whose callers are known.
pub fn go_on(op: &mut Op) -> isize {
    let tid = kernel().current;
    set_running(false);
    trail::look();
    match tasks::perform(tid, op) {
        Some(result) => {
            set_running(true);
            result
        }
        None => tasks::leave(tid),
    }
}

/// Another thread may go on before an access to memory.
pub fn point() {
    let state = kernel();
    let tid = state.current;
    spin::access(&mut state.threads[tid]);
    set_running(false);
    if !tasks::point(tid) {
        tasks::leave(tid);
    }
    set_running(true);
}

/// The execution ended: this thread does not go on.
pub extern "C" fn never() -> ! {
    loop {
        call(Op::Never);
    }
}

/// A thread's function has returned.
pub extern "C" fn returned(value: usize) -> ! {
    cleanup::destroy();
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
    let state = kernel();
    if state.recording.is_some() {
        state.threads[state.current].frames = backtrace::here();
    }
    state.end(Ending::Exit(code));
    never()
}

/// QEMU gives up: `abort` or a failed assertion.
pub fn crash(what: String) -> ! {
    let trace = backtrace::here();
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

/// Where the image was loaded.
pub fn image_base() -> usize {
    unsafe extern "C" fn first(
        info: *mut libc::dl_phdr_info,
        _: usize,
        base: *mut libc::c_void,
    ) -> i32 {
        // SAFETY: the dynamic linker's own data; the first object is the image.
        unsafe { *base.cast::<usize>() = (*info).dlpi_addr as usize };
        1
    }
    let mut base = 0;
    // SAFETY: `first` keeps to the protocol.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut base).cast()) };
    base
}

/// Ends this process at once.
pub fn leave(code: i32) -> ! {
    // SAFETY: nothing is left to be done.
    unsafe { libc::_exit(code) }
}

/// Where `address` lies in the block that the pointer at `pointer` points to, if it
/// does.
pub fn within(pointer: usize, address: usize) -> Option<usize> {
    // SAFETY: a variable of the image, of the size of a pointer; the arena checks
    // what it points to.
    let block = unsafe { (pointer as *const usize).read_unaligned() };
    let bytes = unsafe { super::arena::requested(block as *mut u8) }?;
    address.checked_sub(block).filter(|within| *within < bytes)
}

/// The block that the pointer at `pointer` points to, if there is one in the arena.
pub fn pointed(pointer: usize) -> Option<usize> {
    // SAFETY: as in `within`.
    let block = unsafe { (pointer as *const usize).read_unaligned() };
    let there = unsafe { super::arena::requested(block as *mut u8) };
    there.filter(|bytes| *bytes >= size_of::<usize>()).map(|_| block)
}

/// `frames` as offsets in the image; others are left out.
pub fn offsets(frames: &[usize]) -> Vec<u64> {
    let base = image_base();
    let offset = |frame: &usize| frame.checked_sub(base).filter(|offset| *offset < 1 << 32);
    frames.iter().filter_map(offset).map(|offset| offset as u64).collect()
}
