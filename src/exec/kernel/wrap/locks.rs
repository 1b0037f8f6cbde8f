//! Read-write locks, semaphores, spin locks, `pthread_once`.

use super::super::locks::Call;
use super::super::sync::Op;
use super::super::{clock, process};
use super::result;
use libc::{c_int, c_uint, timespec};

fn call(call: Call) -> c_int {
    process::call(Op::Rare(call)) as c_int
}

fn zero(address: usize, words: usize) -> c_int {
    for nth in 0..words {
        // SAFETY: the caller's lock, which is no smaller.
        unsafe { (address as *mut u32).add(nth).write(0) };
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_rwlock_init(lock: usize, _: usize) -> c_int {
    zero(lock, 2)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_rwlock_destroy(_: usize) -> c_int {
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_rwlock_rdlock(lock: usize) -> c_int {
    call(Call::Read { lock, wait: true })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_rwlock_tryrdlock(lock: usize) -> c_int {
    call(Call::Read { lock, wait: false })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_rwlock_wrlock(lock: usize) -> c_int {
    call(Call::Write { lock, wait: true })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_rwlock_trywrlock(lock: usize) -> c_int {
    call(Call::Write { lock, wait: false })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_rwlock_unlock(lock: usize) -> c_int {
    call(Call::Unlock { lock })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_spin_init(lock: usize, _: c_int) -> c_int {
    zero(lock, 1)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_spin_destroy(_: usize) -> c_int {
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_spin_lock(lock: usize) -> c_int {
    call(Call::Spin { lock, wait: true })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_spin_trylock(lock: usize) -> c_int {
    call(Call::Spin { lock, wait: false })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_spin_unlock(lock: usize) -> c_int {
    call(Call::Unspin { lock })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_pthread_once(control: usize, init: extern "C" fn()) -> c_int {
    if call(Call::Once { control }) == 1 {
        init();
        call(Call::Done { control });
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sem_init(semaphore: usize, _: c_int, count: c_uint) -> c_int {
    // SAFETY: the caller's semaphore, whose first word is its count.
    unsafe { *(semaphore as *mut u32) = count };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sem_destroy(_: usize) -> c_int {
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sem_post(semaphore: usize) -> c_int {
    call(Call::Post { semaphore })
}

fn take(semaphore: usize, wait: bool, deadline: Option<u64>) -> c_int {
    result(process::call(Op::Rare(Call::Take { semaphore, wait, deadline }))) as c_int
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sem_wait(semaphore: usize) -> c_int {
    take(semaphore, true, None)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sem_trywait(semaphore: usize) -> c_int {
    take(semaphore, false, None)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_sem_timedwait(semaphore: usize, at: *const timespec) -> c_int {
    // SAFETY: the caller's time.
    let at = unsafe { clock::instant(libc::CLOCK_REALTIME, &*at) };
    take(semaphore, true, Some(at))
}
