//! Clocks and sleeps: virtual time.

use super::super::state::kernel;
use super::super::sync::Op;
use super::super::{clock, process};
use libc::{c_int, c_uint, time_t, timespec, timeval};

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_clock_gettime(id: c_int, time: *mut timespec) -> c_int {
    // SAFETY: the caller's pointer.
    unsafe { *time = clock::read(id, kernel().now) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_gettimeofday(time: *mut timeval, _: usize) -> c_int {
    let now = clock::read(libc::CLOCK_REALTIME, kernel().now);
    // SAFETY: the caller's pointer.
    unsafe { *time = timeval { tv_sec: now.tv_sec, tv_usec: now.tv_nsec / 1000 } };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_time(into: *mut time_t) -> time_t {
    let now = clock::read(libc::CLOCK_REALTIME, kernel().now).tv_sec;
    if !into.is_null() {
        // SAFETY: the caller's pointer.
        unsafe { *into = now };
    }
    now
}

fn sleep(nanoseconds: u64) {
    let until = kernel().now.saturating_add(nanoseconds);
    process::call(Op::Sleep { until, asleep: false });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_nanosleep(span: *const timespec, _: usize) -> c_int {
    // SAFETY: the caller's pointer.
    sleep(clock::length(unsafe { &*span }));
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_clock_nanosleep(
    id: c_int,
    flags: c_int,
    time: *const timespec,
    _: usize,
) -> c_int {
    // SAFETY: the caller's pointer.
    let time = unsafe { &*time };
    match flags & libc::TIMER_ABSTIME {
        0 => sleep(clock::length(time)),
        _ => sleep(clock::instant(id, time).saturating_sub(kernel().now)),
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_usleep(microseconds: c_uint) -> c_int {
    sleep(u64::from(microseconds) * 1000);
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sleep(seconds: c_uint) -> c_uint {
    sleep(u64::from(seconds) * 1_000_000_000);
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sched_yield() -> c_int {
    process::call(Op::Yield);
    0
}
