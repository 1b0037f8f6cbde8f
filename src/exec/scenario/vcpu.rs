//! vCPUs of a guest that runs: they touch its memory, and its devices.
//! Must not know: how pages come.

use super::board::Board;
use super::story::Story;
use super::task::act;
use crate::exec::kernel::process::MMIO;
use crate::exec::kernel::state::kernel;
use crate::exec::kernel::sync::Op;
use crate::exec::kernel::tasks::choose;
use crate::exec::kernel::uffd;
use std::sync::atomic::Ordering;

/// Pages that a vCPU touches between two accesses to a device.
pub const PAGES_A_ACCESS: usize = 8;

/// Touches every page of the guest, in an order that is picked; `pages` are what
/// they ought to be full of.
pub fn run(nth: usize, pages: &[u8], story: &Board<Story>) {
    story.wait(|story| story.runs.then_some(()));
    let start = choose(pages.len());
    for turn in 0..pages.len() {
        if turn % PAGES_A_ACCESS == 0 {
            mmio(nth);
        }
        let page = (start + turn * 7) % pages.len();
        let address = kernel().faults.largest.0 + page * 4096;
        act(Op::Fault { address });
        let found = uffd::byte(address);
        if found != pages[page] {
            let what = if found == 0 { "zeros" } else { "something else" };
            let wrong = format!("a vCPU read {what} where the source had data");
            story.with(|story| story.wrong.push(wrong));
        }
    }
    story.with(|story| story.vcpus_done += 1);
}

/// Accesses a device, which takes the BQL: on a thread of C, as QEMU keeps who has
/// the BQL in thread-local storage.
pub fn mmio(nth: usize) {
    let body = MMIO.load(Ordering::Relaxed);
    if body == 0 {
        return;
    }
    let tid = act(Op::Spawn { body, argument: 0, detached: false }) as usize;
    let name = kernel().named(format!("CPU {nth}/MMIO"));
    let thread = &mut kernel().threads[tid];
    thread.name = name;
    thread.vcpu = true;
    act(Op::Join(tid));
}
