//! QEMU's memory: one range at a fixed address, in which `malloc` and `mmap` of
//! the image live, and the stacks of its threads. The allocator's own state lies at its start, so that putting
//! the range back puts the allocator back.
//! Must not know: who allocates.

use super::freed;
use std::ops::Range;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where it is: an address that nothing else takes, so that runs are alike.
pub const BASE: usize = 0x2000_0000_0000;
/// Bytes for blocks.
const HEAP: usize = 256 << 20;
/// Bytes for pages.
const MAPS: usize = 768 << 20;
/// Where the stacks are.
const STACKS: usize = BASE + HEAP + MAPS;
/// Bytes of a stack, with those below it that nothing may touch; pages that are not
/// touched cost nothing.
const SLOT: usize = 512 << 10;
/// The main thread's.
const MAIN_SLOT: usize = 4 * SLOT;
/// Bytes below a stack that nothing may touch.
const GUARD: usize = 16 * PAGE;
/// Threads that have a stack at once, without the main thread.
const THREADS: usize = 512;
/// Where all ends.
const END: usize = STACKS + MAIN_SLOT + THREADS * SLOT;
/// A page.
pub const PAGE: usize = 4096;
/// Classes of block sizes: 16, 32 … 512, then powers of two.
const CLASSES: usize = 64;
const LIVE: u32 = 0x6c69_7665;
const FREED: u32 = 0x6672_6565;

/// Bytes before each block.
#[repr(C)]
struct Header {
    /// Bytes from the header's end to the block (alignment).
    shift: u32,
    class: u32,
    requested: u64,
    state: u32,
    /// Of a freed block: the header of the one freed before, in units of 16 bytes from
    /// the arena's start; zero: none.
    next: u32,
    /// Where it was freed.
    freed_at: usize,
}
const HEADER: usize = size_of::<Header>();

impl Header {
    fn next(&self) -> usize {
        if self.next == 0 { 0 } else { BASE + self.next as usize * 16 }
    }

    /// Of a freed block: it may have been written to.
    fn look(&self) {
        let block = (&raw const *self).wrapping_add(1).cast();
        // SAFETY: it was filled when it was freed.
        unsafe { freed::look(block, self.requested as usize, self.freed_at) };
    }
}

/// The blocks that are free now will be taken for those of the snapshot.
pub fn settle() {
    let state = state();
    state.old = state.free;
}

/// Looks at all blocks that were freed since the snapshot.
pub fn look() {
    let state = state();
    for (freed, old) in state.free.into_iter().zip(state.old) {
        let mut at = freed;
        while at != old {
            // SAFETY: a header that `release` has put into the list.
            let header = unsafe { &*(at as *const Header) };
            header.look();
            at = header.next();
        }
    }
}

/// At the arena's start.
#[repr(C)]
struct State {
    heap: usize,
    maps: usize,
    /// Slots in use, without the main thread's.
    stacks: usize,
    /// Freed blocks by class: the header of the one freed last. Their links are not in
    /// the blocks, which are filled to the first byte.
    free: [usize; CLASSES],
    /// How far down those lists are as they were at the snapshot: what is above was
    /// freed since.
    old: [usize; CLASSES],
    /// Freed ranges of pages, newest first: (start, bytes).
    ranges: [(usize, usize); 64],
}

static READY: AtomicBool = AtomicBool::new(false);

fn state() -> &'static mut State {
    if !READY.load(Ordering::Relaxed) {
        reserve();
    }
    // SAFETY: the range is mapped and zero is a valid state; one OS thread.
    unsafe { &mut *(BASE as *mut State) }
}

/// Maps the range; done on the first use, which is in a constructor.
fn reserve() {
    // SAFETY: a fresh anonymous mapping that replaces nothing.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let got = libc::mmap(
            BASE as *mut _,
            END - BASE,
            libc::PROT_READ | libc::PROT_WRITE,
            flags | libc::MAP_FIXED_NOREPLACE,
            -1,
            0,
        );
        assert!(got as usize == BASE, "the address range of the arena is taken");
        let state = &mut *(BASE as *mut State);
        state.heap = BASE + size_of::<State>().next_multiple_of(PAGE);
        state.maps = BASE + HEAP;
    }
    // Which of its pages are there is asked of the system, a page at a time.
    // SAFETY: the range above.
    unsafe { libc::madvise(BASE as *mut _, END - BASE, libc::MADV_NOHUGEPAGE) };
    for nth in 0..=THREADS {
        // SAFETY: as above.
        unsafe { libc::mprotect(slot(nth).start as *mut _, GUARD, libc::PROT_NONE) };
    }
    READY.store(true, Ordering::Relaxed);
}

/// The parts in use: (start, bytes).
pub fn used() -> [(usize, usize); 2] {
    let state = state();
    let page = |end: usize| end.next_multiple_of(PAGE);
    [(BASE, page(state.heap) - BASE), (BASE + HEAP, page(state.maps) - (BASE + HEAP))]
}

/// Whether `address` lies in the arena.
pub fn contains(address: usize) -> bool {
    (BASE..END).contains(&address)
}

/// The first is the main thread's.
fn slot(nth: usize) -> Range<usize> {
    let end = STACKS + MAIN_SLOT + nth * SLOT;
    end - if nth == 0 { MAIN_SLOT } else { SLOT }..end
}

/// The stack of the main thread, from and to.
pub fn main_stack() -> Range<usize> {
    state();
    slot(0).start + GUARD..slot(0).end
}

/// A stack that no thread had, from and to; none if there are too many. Not zeroed.
pub fn stack() -> Option<Range<usize>> {
    let state = state();
    if state.stacks == THREADS {
        return None;
    }
    state.stacks += 1;
    let stack = slot(state.stacks).start + GUARD..slot(state.stacks).end;
    super::race::fresh(stack.start, stack.len());
    Some(stack)
}

/// The stacks in use, from and to.
pub fn stacks() -> impl Iterator<Item = Range<usize>> {
    (0..=state().stacks).map(|nth| slot(nth).start + GUARD..slot(nth).end)
}

/// Whether a stack that ends above `address` has overflowed into it.
pub fn overflowed(address: usize) -> bool {
    (0..=THREADS).any(|nth| (slot(nth).start..slot(nth).start + GUARD).contains(&address))
}

/// The class of a block of `bytes`, and the class's bytes.
fn class(bytes: usize) -> (usize, usize) {
    if bytes <= 512 {
        let class = bytes.max(1).div_ceil(16) - 1;
        return (class, (class + 1) * 16);
    }
    let bits = (bytes - 1).ilog2() as usize + 1;
    (32 + bits - 10, 1 << bits)
}

/// A block of `bytes`, aligned; null if the arena is full. Not zeroed.
pub unsafe fn allocate(bytes: usize, align: usize) -> *mut u8 {
    let align = align.max(16);
    let slack = if align > 16 { align } else { 0 };
    let Some(total) = bytes.checked_add(slack).filter(|total| *total < HEAP) else {
        return null_mut();
    };
    let (class, room) = class(total);
    let state = state();
    // SAFETY: free blocks were laid out here; fresh ones lie in the range.
    unsafe {
        let start = match state.free[class] {
            0 => {
                let start = state.heap;
                if start + HEADER + room > BASE + HEAP {
                    return null_mut();
                }
                state.heap += HEADER + room;
                start
            }
            freed => {
                let header = freed as *const Header;
                state.free[class] = (*header).next();
                if state.old[class] == freed {
                    state.old[class] = state.free[class];
                }
                (*header).look();
                freed - (*header).shift as usize
            }
        };
        let block = (start + HEADER).next_multiple_of(align);
        let shift = block - start - HEADER;
        let header = Header {
            shift: shift as u32,
            class: class as u32,
            requested: bytes as u64,
            state: LIVE,
            next: 0,
            freed_at: 0,
        };
        // The header lies right before the block, wherever that is.
        ((block - HEADER) as *mut Header).write(header);
        super::race::fresh(block, bytes);
        block as *mut u8
    }
}

/// What is wrong with a block that is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadFree {
    /// It is free already.
    Twice,
    /// It is no block.
    Unknown,
}

unsafe fn header(block: *mut u8) -> Result<*mut Header, BadFree> {
    let address = block as usize;
    if !(BASE..BASE + HEAP).contains(&address) || !address.is_multiple_of(16) {
        return Err(BadFree::Unknown);
    }
    // SAFETY: within the arena.
    let header = (address - HEADER) as *mut Header;
    match unsafe { (*header).state } {
        LIVE => Ok(header),
        FREED => Err(BadFree::Twice),
        _ => Err(BadFree::Unknown),
    }
}

/// Frees a block, and fills it so that whoever uses it still is seen; `place` is that
/// of the call.
pub unsafe fn release(block: *mut u8, place: usize) -> Option<BadFree> {
    if block.is_null() {
        return None;
    }
    // SAFETY: the header was found good.
    unsafe {
        let header = match header(block) {
            Ok(header) => header,
            Err(bad) => return Some(bad),
        };
        let class = (*header).class as usize;
        freed::fill(block, (*header).requested as usize);
        (*header).state = FREED;
        (*header).freed_at = place;
        let state = state();
        (*header).next = (state.free[class].saturating_sub(BASE) / 16) as u32;
        state.free[class] = header as usize;
    }
    None
}

/// The bytes that were asked for.
pub unsafe fn requested(block: *mut u8) -> Option<usize> {
    // SAFETY: the header was found good.
    unsafe { header(block).ok().map(|header| (*header).requested as usize) }
}

/// Pages, `bytes` of them, zeroed if that matters; `None` if the arena is full.
pub fn map(bytes: usize, zeroed: bool) -> Option<usize> {
    let bytes = bytes.next_multiple_of(PAGE);
    let state = state();
    let start = match state.ranges.iter().position(|(_, size)| *size == bytes) {
        Some(nth) => {
            let start = state.ranges[nth].0;
            state.ranges.copy_within(nth + 1.., nth);
            state.ranges[63] = (0, 0);
            if zeroed {
                zero(start, bytes);
            }
            start
        }
        // Pages that nobody had are zero: `give_back` sees to it.
        None => {
            let start = state.maps;
            if bytes > BASE + HEAP + MAPS - start {
                return None;
            }
            state.maps += bytes;
            start
        }
    };
    super::race::fresh(start, bytes);
    Some(start)
}

/// The pages from `end` on, that no snapshot has, are fresh again.
pub fn give_back(end: usize) {
    let used = state().maps;
    if used > end {
        // SAFETY: whole pages of the arena, which nobody has any more.
        unsafe { libc::madvise(end as *mut _, used - end, libc::MADV_DONTNEED) };
    }
}

/// Gives pages back.
pub fn unmap(start: usize, bytes: usize) {
    let state = state();
    state.ranges.copy_within(..63, 1);
    state.ranges[0] = (start, bytes.next_multiple_of(PAGE));
}

/// Makes pages zero; large ranges by giving them back to the system, as long as no
/// snapshot watches who writes.
pub fn zero(start: usize, bytes: usize) {
    // SAFETY: whole pages of the arena.
    unsafe {
        if bytes > 64 * PAGE && !super::snapshot::taken() {
            libc::madvise(start as *mut _, bytes, libc::MADV_DONTNEED);
        } else {
            std::ptr::write_bytes(start as *mut u8, 0, bytes);
        }
    }
}
