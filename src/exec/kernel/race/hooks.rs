//! What `glue/race.c` calls: before a plain access, before and after an atomic one,
//! at a fence. It has the address of the instruction, which only C can have.
//! Must not know: how the compiler calls C.

use super::detector::{Action, Order};
use super::shadow::Touch;
use super::{Kind, LINKED, here, is_place, kept, name_new, on, races};
use crate::exec::kernel::process;
use crate::exec::kernel::state::kernel;
use std::os::raw::c_int;
use std::sync::atomic::Ordering::Relaxed;

/// The image has hooks; called by a constructor of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_race_linked() {
    LINKED.store(true, Relaxed);
}

/// A place to switch before an atomic access.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_race_point() {
    if on() {
        process::point();
    }
}

/// A plain access that is about to be done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_race_plain(
    address: usize,
    bytes: usize,
    writes: c_int,
    after: usize,
) {
    if !on() || bytes == 0 {
        return;
    }
    let (tid, address) = here(address);
    let (kind, site) = (if writes != 0 { Kind::Write } else { Kind::Read }, after - 1);
    if is_place(tid, address, bytes, site) {
        process::point();
    }
    let stack = kept(site);
    races().detector.touch((address, bytes), Touch { tid, kind, site, stack });
    name_new();
}

/// An atomic access that was just done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_race_atomic(
    address: usize,
    bytes: usize,
    action: c_int,
    order: c_int,
    after: usize,
) {
    if !on() {
        return;
    }
    let action = match action {
        0 => Action::Load,
        1 => Action::Store,
        _ => Action::Modify,
    };
    let ((tid, address), site) = (here(address), after - 1);
    let stack = kept(site);
    races().detector.atomic((address, bytes), (action, Order::of(order)), (tid, site, stack));
    name_new();
}

/// A fence.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_race_fence(order: c_int) {
    if on() {
        let tid = kernel().current;
        races().detector.fence(tid, Order::of(order));
    }
}
