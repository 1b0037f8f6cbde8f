//! How large the guest's pages are, which the image knows (`glue/qemu/pages.c`).
//! Must not know: who has to be told.

use std::os::raw::c_int;
use std::sync::OnceLock;

static BITS: OnceLock<extern "C" fn(c_int) -> c_int> = OnceLock::new();

#[unsafe(no_mangle)]
extern "C" fn bqlcheck_page_bits(bits: extern "C" fn(c_int) -> c_int) {
    let _ = BITS.set(bits);
}

/// Of a page's size the binary logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageBits {
    /// Of this guest's.
    pub own: u32,
    /// Of that which a migration takes for granted if it does not say it.
    pub legacy: u32,
}

/// After boot; an image that does not tell has none.
pub fn bits() -> Option<PageBits> {
    let bits = BITS.get()?;
    let ask = |which| u32::try_from((bits)(which)).unwrap_or_default();
    Some(PageBits { own: ask(0), legacy: ask(1) })
}
