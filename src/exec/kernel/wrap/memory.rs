//! malloc and mmap: the arena.

use super::super::state::{Ending, kernel};
use super::super::{arena, backtrace, process, race, trail, uffd};
use super::set_errno;
use libc::{c_int, c_void, off_t, size_t};
use std::arch::naked_asm;

/// The allocator's verdict on a bad `free`: the end of the execution.
fn bad(what: &str, block: *mut c_void) -> ! {
    process::crash(format!("{what} of {block:p}"))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_malloc(bytes: size_t) -> *mut c_void {
    aligned(16, bytes)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_calloc(many: size_t, bytes: size_t) -> *mut c_void {
    let Some(bytes) = many.checked_mul(bytes) else { return std::ptr::null_mut() };
    // SAFETY: a fresh block of that size.
    unsafe {
        let block = __wrap_malloc(bytes);
        if !block.is_null() {
            std::ptr::write_bytes(block.cast::<u8>(), 0, bytes);
        }
        block
    }
}

/// Who calls stands on top of the stack. Where `g_free` does, and was compiled to
/// jump here, that is who called it.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn __wrap_free(block: *mut c_void) {
    naked_asm!("mov rsi, [rsp]", "jmp {}", sym free)
}

unsafe extern "C" fn free(block: *mut c_void, caller: usize) {
    let errno = std::io::Error::last_os_error().raw_os_error();
    // What libc itself allocated (getline, getaddrinfo) is not ours to free.
    if !block.is_null() && !arena::contains(block as usize) {
        return;
    }
    if race::on()
        // SAFETY: the arena checks the block.
        && let Some(bytes) = unsafe { arena::requested(block.cast()) }
    {
        race::freed(block as usize, bytes, caller.wrapping_sub(1));
    }
    // SAFETY: the arena checks the block.
    match unsafe { arena::release(block.cast(), caller.wrapping_sub(1)) } {
        None => set_errno(errno.unwrap_or(0)),
        Some(arena::BadFree::Twice) => bad("double free", block),
        Some(arena::BadFree::Unknown) => bad("free of no block, that", block),
    }
}

#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn __wrap_realloc(block: *mut c_void, bytes: size_t) -> *mut c_void {
    naked_asm!("mov rdx, [rsp]", "jmp {}", sym realloc)
}

unsafe extern "C" fn realloc(block: *mut c_void, bytes: size_t, caller: usize) -> *mut c_void {
    // SAFETY: both blocks are the arena's, and as large as they say.
    unsafe {
        let before = if block.is_null() { 0 } else { size(block) };
        let fresh = __wrap_malloc(bytes);
        if !fresh.is_null() && !block.is_null() {
            std::ptr::copy_nonoverlapping(
                block.cast::<u8>(),
                fresh.cast::<u8>(),
                before.min(bytes),
            );
            free(block, caller);
        }
        fresh
    }
}

unsafe fn size(block: *mut c_void) -> usize {
    // SAFETY: the arena checks the block.
    match unsafe { arena::requested(block.cast()) } {
        Some(bytes) => bytes,
        None => bad("realloc of a freed or unknown block, that", block),
    }
}

#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn __wrap_reallocarray(
    block: *mut c_void,
    many: size_t,
    bytes: size_t,
) -> *mut c_void {
    naked_asm!("mov rcx, [rsp]", "jmp {}", sym reallocarray)
}

unsafe extern "C" fn reallocarray(
    block: *mut c_void,
    many: size_t,
    bytes: size_t,
    caller: usize,
) -> *mut c_void {
    match many.checked_mul(bytes) {
        // SAFETY: as the caller's.
        Some(bytes) => unsafe { realloc(block, bytes, caller) },
        None => std::ptr::null_mut(),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_malloc_usable_size(block: *mut c_void) -> size_t {
    // SAFETY: as the caller's.
    if block.is_null() { 0 } else { unsafe { size(block) } }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_aligned_alloc(align: size_t, bytes: size_t) -> *mut c_void {
    aligned(align, bytes)
}

fn aligned(align: size_t, bytes: size_t) -> *mut c_void {
    // SAFETY: the arena gives a block or null.
    let block = unsafe { arena::allocate(bytes, align) };
    if block.is_null() {
        set_errno(libc::ENOMEM);
    }
    block.cast()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_memalign(align: size_t, bytes: size_t) -> *mut c_void {
    aligned(align, bytes)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_valloc(bytes: size_t) -> *mut c_void {
    aligned(arena::PAGE, bytes)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_posix_memalign(
    into: *mut *mut c_void,
    align: size_t,
    bytes: size_t,
) -> c_int {
    // SAFETY: the caller's pointer.
    unsafe {
        *into = aligned(align, bytes);
        if (*into).is_null() { libc::ENOMEM } else { 0 }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_mmap(
    at: *mut c_void,
    bytes: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: off_t,
) -> *mut c_void {
    if flags & libc::MAP_ANONYMOUS == 0 {
        // A file on disk, which boot reads.
        // SAFETY: the caller's arguments.
        return unsafe { libc::mmap(at, bytes, protection, flags, fd, offset) };
    }
    if flags & libc::MAP_FIXED != 0 {
        uffd::forget(kernel(), at as usize, bytes);
        race::fresh(at as usize, bytes);
        arena::zero(at as usize, bytes);
        return at;
    }
    match arena::map(bytes, flags & libc::MAP_STACK == 0) {
        Some(start) => {
            uffd::forget(kernel(), start, bytes);
            start as *mut c_void
        }
        None => {
            set_errno(libc::ENOMEM);
            libc::MAP_FAILED
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_mmap64(
    at: *mut c_void,
    bytes: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: off_t,
) -> *mut c_void {
    // SAFETY: the caller's arguments; off_t has 64 bits here.
    unsafe { __wrap_mmap(at, bytes, protection, flags, fd, offset) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_munmap(at: *mut c_void, bytes: size_t) -> c_int {
    if !arena::contains(at as usize) {
        // SAFETY: the caller's mapping.
        return unsafe { libc::munmap(at, bytes) };
    }
    uffd::forget(kernel(), at as usize, bytes);
    arena::unmap(at as usize, bytes);
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_mremap(
    _: *mut c_void,
    _: size_t,
    _: size_t,
    _: c_int,
    _: *mut c_void,
) -> *mut c_void {
    set_errno(libc::ENOMEM);
    libc::MAP_FAILED
}

/// Protection is not followed: guard pages are for bugs that end elsewhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_mprotect(at: *mut c_void, bytes: size_t, p: c_int) -> c_int {
    if arena::contains(at as usize) {
        return 0;
    }
    // SAFETY: the caller's mapping.
    unsafe { libc::mprotect(at, bytes, p) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_madvise(at: *mut c_void, bytes: size_t, advice: c_int) -> c_int {
    trail::look();
    if advice == libc::MADV_DONTNEED && arena::contains(at as usize) {
        uffd::discard(kernel(), at as usize, bytes);
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_posix_madvise(_: *mut c_void, _: size_t, _: c_int) -> c_int {
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_mlockall(_: c_int) -> c_int {
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap_munlockall() -> c_int {
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn __wrap___stack_chk_fail() -> ! {
    kernel().end(Ending::Crash("stack smashed".into(), backtrace::here()));
    process::never()
}
