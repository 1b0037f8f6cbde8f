//! A vCPU: halted until the guest starts, then MMIO under the BQL and accesses
//! to guest memory, which fault until the page is placed.
//! Must not know: where pages come from.

use crate::lock::{Rule, Site, at};
use crate::runtime::{Act, Op, Runtime};
use crate::sim::cast::Cast;
use crate::sim::message::FaultEvent;
use crate::sim::ram::written;
use std::sync::Arc;

/// `kvm_vcpu_thread_fn()`: `index` is `cpu->cpu_index`.
pub async fn vcpu_thread<R: Runtime>(cx: R, c: Arc<Cast>, index: usize) {
    cx.started().await;
    // With -incoming it has been asleep here since long before the migration.
    let site = at("qemu_wait_io_event", "halt_cond");
    cx.op(Op::CondBlock, c.halt_cond[index], site).await;
    cx.lock(c.bql, site).await;
    qemu_wait_io_event(&cx, &c, index).await;
    cx.unlock(c.bql, at("kvm_cpu_exec", "bql_unlock"));
    let touched = c.guest.touched[index].clone();
    if c.scenario.mmio {
        cx.lock(c.bql, at("prepare_mmio_access", "bql_lock")).await;
        if let (true, Some(page)) = (c.scenario.dma, touched.first()) {
            fault_in(&cx, &c, *page, at("address_space_read", "guest memory")).await;
        }
        cx.unlock(c.bql, at("flatview_write_continue", "bql_unlock"));
    }
    for (done, page) in touched.into_iter().enumerate() {
        cx.canon("kvm_cpu_exec", (index, done));
        fault_in(&cx, &c, page, at("kvm_cpu_exec", "guest memory")).await;
        write(&cx, &c, page);
    }
}

/// `qemu_wait_io_event()`: sleeps in `halt_cond`, which releases the BQL; runs
/// work that `run_on_cpu` queued.
async fn qemu_wait_io_event<R: Runtime>(cx: &R, c: &Cast, index: usize) {
    let function = "qemu_wait_io_event";
    loop {
        cx.canon(function, index);
        let (running, work) =
            cx.with(&c.cpus, |cpus| (cpus.running, index == 0 && cpus.work_queued));
        if work {
            cx.with(&c.cpus, |cpus| {
                cpus.work_queued = false;
                cpus.work_done = true;
            });
            let site = at("process_queued_cpu_work", "qemu_cond_broadcast");
            cx.act(Act::Broadcast, c.qemu_work_cond, site);
        } else if running {
            return;
        } else {
            cx.cond_wait(c.halt_cond[index], c.bql, at(function, "halt_cond")).await;
        }
    }
}

/// An access to `page`: if it is missing, the kernel tells userfaultfd and the
/// thread sleeps until the page is placed.
async fn fault_in<R: Runtime>(cx: &R, c: &Cast, page: u32, site: Site) {
    let object = c.pages[page as usize];
    if cx.value(Op::EventIsSet, object, site).await == 0 {
        if c.guest.break_after.is_some() {
            cx.world(|world| *world.facts.entry("page_faults").or_default() += 1);
        }
        let fault = at("handle_userfault", "userfault_fd");
        cx.send(c.userfault_fd, FaultEvent::Pagefault(page), fault).await.expect("never shut");
        cx.event_wait(object, at("handle_userfault", "page missing")).await;
    }
}

/// The guest reads `page`, which must be what it left on the source and what it
/// wrote since, and writes it.
fn write<R: Runtime>(cx: &R, c: &Cast, page: u32) {
    let n = page as usize;
    let expected = c.guest.after[n].clone();
    let stale = cx.with(&c.memory[n], |memory| {
        let stale = !memory.written && memory.content.as_ref() != Some(&expected);
        memory.content = memory.content.as_ref().map(written);
        memory.written = true;
        stale
    });
    if stale {
        let message = format!("the guest reads page {page} and finds other bytes than it wrote");
        cx.violate(Rule::GuestLost, at("kvm_cpu_exec", "guest memory"), message);
    }
}
