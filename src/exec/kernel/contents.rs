//! Contents of pages that userfaultfd has brought and that nobody has touched since:
//! they are kept here, so that the pages themselves can stay protected.
//! Must not know: which pages.

use super::arena::PAGE;
use super::state::kernel;
use std::cell::UnsafeCell;

/// By side and number; kept from one execution to the next, for their room.
struct Contents(UnsafeCell<[Vec<Box<[u8; PAGE]>>; 2]>);
// SAFETY: one OS thread.
unsafe impl Sync for Contents {}
static CONTENTS: Contents = Contents(UnsafeCell::new([Vec::new(), Vec::new()]));

fn all() -> &'static mut Vec<Box<[u8; PAGE]>> {
    // SAFETY: one OS thread, and no reference is kept.
    unsafe { &mut (&mut *CONTENTS.0.get())[usize::from(kernel().side)] }
}

/// Keeps a copy as number `nth`, of which there were that many.
pub fn keep(nth: usize, page: &[u8; PAGE]) {
    if all().len() == nth {
        all().push(Box::new([0; PAGE]));
    }
    *all()[nth] = *page;
}

/// One that was kept.
pub fn of(nth: usize) -> &'static [u8; PAGE] {
    &all()[nth]
}
