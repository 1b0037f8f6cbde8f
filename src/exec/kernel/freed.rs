//! Memory that is written to after it was freed. A freed block is full of one byte;
//! where it is not any more when it is given out again, or when the execution is
//! over, somebody has written to it in between.
//! Must not know: where blocks come from.

use super::state::kernel;

/// Bytes that freed blocks are filled with.
const POISON: u8 = 0xdd;
/// So many of a block's: larger ones are stacks and buffers, and to fill them all
/// would cost more than what it finds.
const FILLED: usize = 2048;

/// A block that was written to after it was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where it was freed: the place of the call.
    pub freed_at: usize,
    /// Its bytes, and the first that was written to.
    pub bytes: usize,
    pub first: usize,
}

/// Fills a block of `bytes` that is freed.
///
/// # Safety
/// The block is the caller's.
pub unsafe fn fill(block: *mut u8, bytes: usize) {
    // SAFETY: see above.
    unsafe { std::ptr::write_bytes(block, POISON, bytes.min(FILLED)) };
}

/// Looks at a block of `bytes` that was freed at `freed_at`, and notes if it was
/// written to.
///
/// # Safety
/// The block was filled.
pub unsafe fn look(block: *const u8, bytes: usize, freed_at: usize) {
    // SAFETY: so many were filled.
    let filled = unsafe { std::slice::from_raw_parts(block, bytes.min(FILLED)) };
    // Without a way out in the middle it takes many bytes at once.
    let (eights, rest) = filled.as_chunks::<8>();
    let differs = |all: u64, eight: &[u8; 8]| {
        all | u64::from_ne_bytes(*eight) ^ u64::from_ne_bytes([POISON; 8])
    };
    if eights.iter().fold(0, differs) == 0 && rest.iter().all(|byte| *byte == POISON) {
        return;
    }
    let first = filled.iter().position(|byte| *byte != POISON).expect("one differs");
    kernel().written.push(Written { freed_at, bytes, first });
}
