//! pthreads. A `pthread_t` is the thread's number plus one, as its process counts.

use super::super::state::{Tid, kernel};
use super::super::sync::{Op, Phase, Wait, destroy, initialise};
use super::super::{cleanup, clock, process};
use super::text;
use libc::{c_char, c_int, c_ulong, c_void, sigset_t, timespec};

fn tid(thread: c_ulong) -> Tid {
    (thread as usize).wrapping_sub(1).wrapping_add(kernel().first())
}

/// What C calls a thread.
fn handle(tid: Tid) -> c_ulong {
    (tid - kernel().first()) as c_ulong + 1
}

unsafe extern "C" {
    fn pthread_attr_getdetachstate(attributes: *const c_void, state: *mut c_int) -> c_int;
}

fn detached(attributes: *const c_void) -> bool {
    let mut state = 0;
    if !attributes.is_null() {
        // SAFETY: the caller's pthread_attr_t.
        unsafe { pthread_attr_getdetachstate(attributes, &mut state) };
    }
    state == libc::PTHREAD_CREATE_DETACHED
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_create(
    thread: *mut c_ulong,
    attributes: *const c_void,
    body: usize,
    argument: usize,
) -> c_int {
    let detached = detached(attributes);
    let new = process::call(Op::Spawn { body, argument, detached });
    if new < 0 {
        return -new as c_int;
    }
    // SAFETY: the caller's pointer.
    unsafe { *thread = handle(new as Tid) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_join(thread: c_ulong, value: *mut usize) -> c_int {
    let returned = process::call(Op::Join(tid(thread)));
    if !value.is_null() {
        // SAFETY: the caller's pointer.
        unsafe { *value = returned as usize };
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_detach(thread: c_ulong) -> c_int {
    if let Some(thread) = kernel().threads.get_mut(tid(thread)) {
        thread.detached = true;
    }
    0
}

/// Ends the thread, whose frames may have something to clean up.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __wrap_pthread_exit(value: usize) -> ! {
    cleanup::exit(value)
}

/// `pthread_cleanup_push`, a macro, has made a jump buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap___pthread_register_cancel(buffer: usize) {
    cleanup::push(buffer);
}

/// `pthread_cleanup_pop`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap___pthread_unregister_cancel(buffer: usize) {
    cleanup::pop(buffer);
}

/// A handler that `pthread_exit` has jumped to has returned.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __wrap___pthread_unwind_next(_: usize) -> ! {
    cleanup::go_on()
}

/// A thread-local object of C++.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap___cxa_thread_atexit_impl(
    destructor: usize,
    object: usize,
    _: usize,
) -> c_int {
    cleanup::object(destructor, object);
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_self() -> c_ulong {
    handle(kernel().current)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_kill(thread: c_ulong, signal: c_int) -> c_int {
    process::call(Op::Kill { tid: tid(thread), signal }) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_setname_np(thread: c_ulong, name: *const c_char) -> c_int {
    // SAFETY: the caller's string.
    let name = kernel().named(unsafe { text(name) });
    if let Some(thread) = kernel().threads.get_mut(tid(thread)) {
        thread.name = name;
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_sigmask(
    _: c_int,
    _: *const sigset_t,
    old: *mut sigset_t,
) -> c_int {
    if !old.is_null() {
        // SAFETY: the caller's set.
        unsafe { libc::sigemptyset(old) };
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_mutex_init(mutex: usize, attributes: *const i32) -> c_int {
    // glibc keeps the kind in the low bits of the attributes' only word.
    // SAFETY: the caller's attributes.
    let kind = if attributes.is_null() { 0 } else { unsafe { *attributes & 3 } };
    initialise(kernel(), mutex, kind);
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_mutex_destroy(mutex: usize) -> c_int {
    destroy(kernel(), mutex);
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_mutex_lock(mutex: usize) -> c_int {
    process::call(Op::Lock(mutex)) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_mutex_trylock(mutex: usize) -> c_int {
    process::call(Op::TryLock(mutex)) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_mutex_timedlock(
    mutex: usize,
    at: *const timespec,
) -> c_int {
    // SAFETY: the caller's time.
    let until = unsafe { clock::instant(libc::CLOCK_REALTIME, &*at) };
    process::call(Op::TimedLock(mutex, until)) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_mutex_unlock(mutex: usize) -> c_int {
    process::call(Op::Unlock(mutex)) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_cond_init(
    cond: *mut c_int,
    attributes: *const c_int,
) -> c_int {
    // glibc keeps the clock in the attributes' second bit; here it is kept in the
    // first word of the condition.
    // SAFETY: the caller's condition and attributes.
    unsafe { *cond = if attributes.is_null() { 0 } else { *attributes >> 1 & 1 } };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_cond_destroy(_: usize) -> c_int {
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_cond_signal(cond: usize) -> c_int {
    process::call(Op::Signal(cond)) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_cond_broadcast(cond: usize) -> c_int {
    process::call(Op::Broadcast(cond)) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_cond_wait(cond: usize, mutex: usize) -> c_int {
    process::call(Op::Wait(Wait { cond, mutex, deadline: None, phase: Phase::Begin })) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_cond_timedwait(
    cond: usize,
    mutex: usize,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller's condition, whose first word is its clock, and time.
    let deadline = unsafe { clock::instant(*(cond as *const c_int), &*until) };
    let wait = Wait { cond, mutex, deadline: Some(deadline), phase: Phase::Begin };
    process::call(Op::Wait(wait)) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_cond_clockwait(
    cond: usize,
    mutex: usize,
    id: c_int,
    until: *const timespec,
) -> c_int {
    // SAFETY: the caller's time.
    let deadline = Some(unsafe { clock::instant(id, &*until) });
    process::call(Op::Wait(Wait { cond, mutex, deadline, phase: Phase::Begin })) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_key_create(key: *mut u32, destructor: usize) -> c_int {
    let keys = &mut kernel().keys;
    keys.push(Some(destructor));
    // SAFETY: the caller's pointer.
    unsafe { *key = keys.len() as u32 - 1 };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_key_delete(key: u32) -> c_int {
    let keys = &mut kernel().keys;
    keys.get_mut(key as usize).map(|key| *key = None).map_or(libc::EINVAL, |()| 0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_getspecific(key: u32) -> usize {
    let state = kernel();
    state.threads[state.current].specific.get(key as usize).copied().unwrap_or(0)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_setspecific(key: u32, value: usize) -> c_int {
    let state = kernel();
    let specific = &mut state.threads[state.current].specific;
    if specific.len() <= key as usize {
        specific.resize(key as usize + 1, 0);
    }
    specific[key as usize] = value;
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_getaffinity_np(_: c_ulong, _: usize, _: usize) -> c_int {
    libc::ENOSYS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_setaffinity_np(_: c_ulong, _: usize, _: usize) -> c_int {
    libc::ENOSYS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap___register_atfork(_: usize, _: usize, _: usize, _: usize) -> c_int {
    0
}
