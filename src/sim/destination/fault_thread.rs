//! The fault thread: takes page faults from userfaultfd and asks the source for
//! the pages; never takes the BQL.
//! Must not know: who faults.

use crate::lock::at;
use crate::runtime::{Act, Op, Runtime};
use crate::sim::cast::Cast;
use crate::sim::message::FaultEvent;
use std::sync::Arc;

/// `postcopy_ram_fault_thread()`.
pub async fn postcopy_ram_fault_thread<R: Runtime>(cx: R, c: Arc<Cast>) {
    cx.started().await;
    let f = "postcopy_ram_fault_thread";
    cx.act(Act::Post, c.thread_sync_sem, at(f, "qemu_sem_post"));
    loop {
        cx.canon(f, ());
        let event = cx.recv(c.userfault_fd, at(f, "poll")).await.expect("never shut");
        if cx.value(Op::Load, c.to_src_file, at(f, "!mis->to_src_file")).await == 0 {
            c.postcopy_pause_fault_thread(&cx).await;
        }
        match event {
            FaultEvent::Notify => {}
            FaultEvent::Quit => break,
            // The quit flag is not looked at between retries.
            FaultEvent::Pagefault(page) => {
                while c.migrate_send_rp_req_pages(&cx, page).await.is_err() {
                    c.postcopy_pause_fault_thread(&cx).await;
                }
            }
        }
    }
}

impl Cast {
    async fn postcopy_pause_fault_thread<R: Runtime>(&self, cx: &R) {
        let site = at("postcopy_pause_fault_thread", "qemu_sem_wait");
        cx.sem_wait(self.postcopy_pause_sem_fault, site).await;
    }

    /// `postcopy_fault_thread_notify()`.
    pub async fn postcopy_fault_thread_notify<R: Runtime>(&self, cx: &R, event: FaultEvent) {
        if self.threads.fault.is_some() {
            let site = at("postcopy_fault_thread_notify", "write(userfault_event_fd)");
            cx.send(self.userfault_fd, event, site).await.expect("never shut");
        }
    }
}
