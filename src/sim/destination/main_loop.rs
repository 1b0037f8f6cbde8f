//! The destination's main thread: the incoming coroutine first, then the main
//! loop, which polls without the BQL and dispatches with it.
//! Must not know: what the migration stream means.

use crate::lock::at;
use crate::runtime::{Act, Runtime};
use crate::sim::cast::Cast;
use crate::sim::destination::monitor::postcopy_try_recover;
use crate::sim::destination::teardown::postcopy_listen_thread_bh;
use crate::sim::message::MainEvent;
use crate::sim::state::Side;
use crate::sim::status::Status;
use std::sync::Arc;

/// `qemu_main_loop()`.
pub async fn qemu_main_loop<R: Runtime>(cx: R, c: Arc<Cast>) {
    cx.started().await;
    cx.lock(c.bql, at("qemu_init_main_loop", "bql_lock")).await;
    c.process_incoming_migration_co(&cx).await;
    loop {
        cx.canon("main_loop_wait", ());
        cx.unlock(c.bql, at("os_host_main_loop_wait", "bql_unlock"));
        let event = cx.recv(c.main_queue, at("os_host_main_loop_wait", "qemu_poll_ns")).await;
        cx.lock(c.bql, at("os_host_main_loop_wait", "bql_lock")).await;
        match event.expect("the main loop's queue is never shut") {
            MainEvent::RunBh => loadvm_postcopy_handle_run_bh(&cx, &c).await,
            MainEvent::IncomingBh => process_incoming_migration_bh(&cx, &c).await,
            MainEvent::ListenThreadBh => postcopy_listen_thread_bh(&cx, &c).await,
            MainEvent::Accept => postcopy_try_recover(&cx, &c).await,
        }
    }
}

/// `loadvm_postcopy_handle_run_bh()`: starts the guest.
async fn loadvm_postcopy_handle_run_bh<R: Runtime>(cx: &R, c: &Cast) {
    if c.has_dirty_bitmap() {
        let site = at("dirty_bitmap_mig_before_vm_start", "DBMLoadState.lock");
        cx.lock(c.dbm_load_lock, site).await;
        cx.unlock(c.dbm_load_lock, site);
    }
    // Counted for the report: QEMU does not look here.
    let missing = c.received.peek(|received| received.iter().filter(|r| !**r).count());
    cx.fact("pages_missing_at_vm_start", missing as u64);
    let site = at("loadvm_postcopy_handle_run_bh", "vm_start");
    cx.with(&c.cpus, |cpus| cpus.running = true);
    for halt_cond in &c.halt_cond {
        cx.act(Act::Broadcast, *halt_cond, site);
    }
}

/// `process_incoming_migration_bh()`: starts the guest, which has all of its pages.
async fn process_incoming_migration_bh<R: Runtime>(cx: &R, c: &Cast) {
    let f = "process_incoming_migration_bh";
    for page in &c.pages {
        cx.act(Act::Set, *page, at(f, "vm_start"));
    }
    loadvm_postcopy_handle_run_bh(cx, c).await;
    let (old, new, site) = (Status::Active, Status::Completed, at(f, "migrate_set_state"));
    c.migrate_set_state(cx, Side::Destination, old, new, site).await;
    c.migration_incoming_state_destroy(cx).await;
}
