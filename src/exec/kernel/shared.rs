//! Memory of ours that two processes share, so that one kernel can have the threads
//! of both: the heap of this library, its variables, and stacks of tasks. What
//! QEMU's code has stays each process's own.
//! Must not know: what the processes are.

use super::arena::PAGE;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// A process in whose environment this is has its heap in shared memory.
pub const VARIABLE: &str = "BQLCHECK_SHARED_HEAP";
const NAME: &std::ffi::CStr = c"BQLCHECK_SHARED_HEAP";

/// Where that heap is, away from the arena.
const BASE: usize = 0x2100_0000_0000;
const BYTES: usize = 2 << 30;
/// Powers of two.
const CLASSES: usize = 48;

const UNKNOWN: u8 = 0;
/// In an executable of ours.
const FAST: u8 = 1;
/// In an image.
const OWN: u8 = 2;
/// In an image that will be two processes.
const SHARED: u8 = 3;

static MODE: AtomicU8 = AtomicU8::new(UNKNOWN);

/// The heap: mimalloc's in executables of ours, libc's in an image, or the shared one.
/// A package has one for all that is built of it.
struct Heap;

#[cfg(not(fuzzing))]
static QUICK: mimalloc::MiMalloc = mimalloc::MiMalloc;
/// A sanitizer watches libc's.
#[cfg(fuzzing)]
static QUICK: System = System;

#[global_allocator]
static HEAP: Heap = Heap;

/// At the start of the shared heap.
struct State {
    next: AtomicUsize,
    /// Freed blocks by class: the one freed last, whose first word is the one
    /// before.
    free: [AtomicUsize; CLASSES],
}

fn state() -> &'static State {
    // SAFETY: mapped by `choose`, and zero is a valid state.
    unsafe { &*(BASE as *const State) }
}

/// Whether this process has its heap in shared memory.
pub fn is_on() -> bool {
    mode() == SHARED
}

#[inline]
fn mode() -> u8 {
    match MODE.load(Ordering::Relaxed) {
        UNKNOWN => choose(),
        mode => mode,
    }
}

/// Whether this code is a part of the executable, which then has threads of its own,
/// and not of a library that an image is linked with.
fn in_executable() -> bool {
    // SAFETY: the system's own vector, and an address of ours.
    unsafe {
        let mut object: libc::Dl_info = std::mem::zeroed();
        libc::dladdr((&raw const MODE).cast(), &mut object);
        // The headers are on the first page.
        object.dli_fbase as usize == libc::getauxval(libc::AT_PHDR) as usize & !(PAGE - 1)
    }
}

/// Once, before `main()`.
#[cold]
fn choose() -> u8 {
    // SAFETY: the environment is there before any constructor runs.
    let mode = match unsafe { libc::getenv(NAME.as_ptr()) }.is_null() {
        _ if in_executable() => FAST,
        true => OWN,
        false => SHARED,
    };
    if mode == SHARED {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let flags = flags | libc::MAP_FIXED_NOREPLACE;
        let both = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping that replaces nothing.
        let got = unsafe { libc::mmap(BASE as *mut _, BYTES, both, flags, -1, 0) };
        if got as usize != BASE {
            let why = b"no address space for a heap that two processes share\n";
            // SAFETY: plain calls of the system, since there is no heap yet.
            unsafe {
                libc::write(2, why.as_ptr().cast(), why.len());
                libc::_exit(101);
            }
        }
        let first = BASE + size_of::<State>().next_multiple_of(PAGE);
        state().next.store(first, Ordering::Relaxed);
    }
    MODE.store(mode, Ordering::Relaxed);
    mode
}

/// The class of a block, as the power of two that it has room for.
fn class(layout: Layout) -> usize {
    layout.size().max(layout.align()).max(16).next_power_of_two().trailing_zeros() as usize
}

// SAFETY: blocks do not overlap and are as large and as aligned as their class, which
// the layout of a block tells. One thread a process, and one process at a time.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match mode() {
            // SAFETY: the caller's layout.
            FAST => return unsafe { QUICK.alloc(layout) },
            // SAFETY: as above.
            OWN => return unsafe { System.alloc(layout) },
            _ => {}
        }
        let class = class(layout);
        let (bytes, state) = (1 << class, state());
        match state.free[class].load(Ordering::Relaxed) {
            0 => {
                let align = layout.align().max(bytes.min(64));
                let block = state.next.load(Ordering::Relaxed).next_multiple_of(align);
                if block + bytes > BASE + BYTES {
                    return std::ptr::null_mut();
                }
                state.next.store(block + bytes, Ordering::Relaxed);
                block as *mut u8
            }
            block => {
                // SAFETY: `dealloc` wrote it.
                let before = unsafe { *(block as *const usize) };
                state.free[class].store(before, Ordering::Relaxed);
                block as *mut u8
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout; a block of the shared heap may have been used.
        unsafe {
            match mode() {
                FAST => return QUICK.alloc_zeroed(layout),
                OWN => return System.alloc_zeroed(layout),
                _ => {}
            }
            let block = self.alloc(layout);
            if !block.is_null() {
                std::ptr::write_bytes(block, 0, layout.size());
            }
            block
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match mode() {
            // SAFETY: the caller's block.
            FAST => return unsafe { QUICK.dealloc(block, layout) },
            // SAFETY: as above.
            OWN => return unsafe { System.dealloc(block, layout) },
            _ => {}
        }
        let free = &state().free[class(layout)];
        // SAFETY: no block is smaller than a word, and this one is free.
        unsafe { *(block as *mut usize) = free.load(Ordering::Relaxed) };
        free.store(block as usize, Ordering::Relaxed);
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's block, layout and size.
        unsafe {
            match mode() {
                FAST => return QUICK.realloc(block, layout, bytes),
                OWN => return System.realloc(block, layout, bytes),
                _ => {}
            }
            let wanted = Layout::from_size_align_unchecked(bytes, layout.align());
            if class(wanted) == class(layout) {
                return block;
            }
            let fresh = self.alloc(wanted);
            if !fresh.is_null() {
                std::ptr::copy_nonoverlapping(block, fresh, layout.size().min(bytes));
                self.dealloc(block, layout);
            }
            fresh
        }
    }
}

/// Pages that this process shares with those that it will begin.
pub fn map(bytes: usize) -> usize {
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let both = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a fresh mapping.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, both, flags, -1, 0) };
    assert!(at != libc::MAP_FAILED, "no memory to be shared");
    at as usize
}

/// Shares the variables of this library with the processes that this one will begin.
pub fn variables() {
    let (start, end) = own_variables();
    let bytes = end - start;
    let fresh = map(bytes);
    // Whatever is there is copied first and then takes the place of the original in
    // one step: nothing between the two writes a variable.
    // SAFETY: whole pages that are mapped and writable; both have the same content.
    unsafe {
        std::ptr::copy_nonoverlapping(start as *const u8, fresh as *mut u8, bytes);
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let got = libc::mremap(fresh as *mut _, bytes, bytes, flags, start as *mut libc::c_void);
        assert_eq!(got as usize, start, "the variables cannot be shared");
    }
}

/// The pages of this library that are written to, from and to: its writable segment
/// but for what the dynamic linker has made read-only.
fn own_variables() -> (usize, usize) {
    unsafe extern "C" fn look(
        info: *mut libc::dl_phdr_info,
        _: usize,
        found: *mut libc::c_void,
    ) -> i32 {
        // SAFETY: the dynamic linker's own data, and the caller's pair.
        let (info, found) = unsafe { (&*info, &mut *found.cast::<(usize, usize)>()) };
        let (base, many) = (info.dlpi_addr as usize, info.dlpi_phnum as usize);
        // SAFETY: so many headers are there.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, many) };
        let range = |header: &libc::Elf64_Phdr| {
            let start = base + header.p_vaddr as usize;
            (start, start + header.p_memsz as usize)
        };
        let mine = &raw const MODE as usize;
        let of_mine = |header: &&libc::Elf64_Phdr| {
            header.p_type == libc::PT_LOAD && (range(header).0..range(header).1).contains(&mine)
        };
        let Some((mut start, end)) = headers.iter().find(of_mine).map(range) else { return 0 };
        for header in headers.iter().filter(|header| header.p_type == libc::PT_GNU_RELRO) {
            if (start..end).contains(&range(header).0) {
                start = range(header).1;
            }
        }
        // A page that was made read-only in part is not.
        *found = (start & !(PAGE - 1), end.next_multiple_of(PAGE));
        1
    }
    let mut found = (0, 0);
    // SAFETY: `look` keeps to the protocol.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut found).cast()) };
    assert!(found.0 != 0, "this library is one of those that are loaded");
    found
}
