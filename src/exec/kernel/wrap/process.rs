//! The process: its end, signals, what it says, random numbers, `syscall`.

use super::super::state::kernel;
use super::super::sync::Op;
use super::super::{clock, file, process};
use super::{result, set_errno, text};
use libc::{c_char, c_int, c_long, c_uint, c_void, size_t, timespec};

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_exit(code: c_int) -> ! {
    process::exit(code)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap__exit(code: c_int) -> ! {
    process::exit(code)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_abort() -> ! {
    process::crash("abort()".into())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap___assert_fail(
    what: *const c_char,
    file: *const c_char,
    line: c_uint,
    function: *const c_char,
) -> ! {
    let said = || {
        // SAFETY: the compiler's strings.
        let (what, file, function) = unsafe { (text(what), text(file), text(function)) };
        let file = file.trim_start_matches("../");
        format!("{file}:{line}: {function}: assertion `{what}' failed")
    };
    // It does not come back: nothing may be left here that has to be dropped.
    process::crash(said())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_message(_: c_int, said: *const u8, length: size_t) {
    // SAFETY: the caller's text.
    let said = unsafe { std::slice::from_raw_parts(said, length) };
    let state = kernel();
    state.said.push(state.current, &String::from_utf8_lossy(said));
}

const FUTEX_WAIT: c_long = 0;
const FUTEX_WAKE: c_long = 1;
const FUTEX_WAIT_BITSET: c_long = 9;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    match number {
        libc::SYS_futex => {
            let (word, value) = (a as usize, c as u32);
            result(match b & 0x7f {
                command @ (FUTEX_WAIT | FUTEX_WAIT_BITSET) => {
                    let time = d as *const timespec;
                    let now = kernel().now;
                    // A relative time for one, an absolute one for the other.
                    // SAFETY: the caller's pointer.
                    let deadline = unsafe { time.as_ref() }.map(|time| match command {
                        FUTEX_WAIT => now.saturating_add(clock::length(time)),
                        _ => clock::instant(libc::CLOCK_MONOTONIC, time),
                    });
                    process::call(Op::FutexWait { word, value, deadline, asleep: false })
                }
                FUTEX_WAKE => process::call(Op::FutexWake { word, most: value as usize }),
                _ => -libc::ENOSYS as isize,
            }) as c_long
        }
        libc::SYS_gettid => c_long::from(process::task_id(kernel().current)),
        libc::SYS_userfaultfd => {
            let file = kernel().files.add(file::File::Faults { events: Default::default() });
            c_long::from(kernel().files.install(file, a & c_long::from(libc::O_NONBLOCK) != 0))
        }
        libc::SYS_signalfd | libc::SYS_signalfd4 => {
            let file = kernel().files.add(file::File::Silent);
            c_long::from(kernel().files.install(file, true))
        }
        // Fences are for other processors; here there is one.
        libc::SYS_membarrier => 0,
        libc::SYS_io_uring_setup => result(-libc::ENOSYS as isize) as _,
        // SAFETY: a call that concerns no thread, lock or descriptor of ours.
        _ => unsafe { libc::syscall(number, a, b, c, d, e, f) },
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_prctl(
    _: c_int,
    _: c_long,
    _: c_long,
    _: c_long,
    _: c_long,
) -> c_int {
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_gettid() -> c_int {
    process::task_id(kernel().current)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_getpid() -> c_int {
    process::task_id(kernel().first())
}

/// Numbers that look random and are the same in each run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_getrandom(into: *mut u8, length: size_t, _: c_uint) -> isize {
    for nth in 0..length {
        // SAFETY: the caller's buffer.
        unsafe { into.add(nth).write((nth as u8).wrapping_mul(0x9d).wrapping_add(0x5b)) };
    }
    length as isize
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sigaction(_: c_int, _: usize, old: *mut libc::sigaction) -> c_int {
    if !old.is_null() {
        // SAFETY: the caller's pointer; all zero is the default action.
        unsafe { *old = std::mem::zeroed() };
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_signal(_: c_int, _: usize) -> usize {
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sigprocmask(_: c_int, _: usize, _: usize) -> c_int {
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sigwait(set: *const u64, signal: *mut c_int) -> c_int {
    // SAFETY: the caller's set, whose first word has the signals to 64.
    unsafe { *signal = process::call(Op::SigWait { set: *set }) as c_int };
    0
}

/// Takes what is pending, without waiting.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sigtimedwait(set: *const u64, _: usize, _: usize) -> c_int {
    let state = kernel();
    let thread = &mut state.threads[state.current];
    // SAFETY: the caller's set.
    match thread.signals & unsafe { *set << 1 } {
        0 => {
            set_errno(libc::EAGAIN);
            -1
        }
        some => {
            let signal = some.trailing_zeros();
            thread.signals &= !(1 << signal);
            signal as c_int
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sigpending(set: *mut u64) -> c_int {
    let state = kernel();
    // SAFETY: the caller's set.
    unsafe { *set = state.threads[state.current].signals >> 1 };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_raise(signal: c_int) -> c_int {
    process::crash(format!("raise({signal})"))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_kill(_: c_int, _: c_int) -> c_int {
    result(-libc::EPERM as isize) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_fork() -> c_int {
    result(-libc::ENOSYS as isize) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_clone(_: *mut c_void) -> c_int {
    result(-libc::ENOSYS as isize) as c_int
}
