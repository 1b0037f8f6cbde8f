//! The end of an incoming migration: threads joined, hooks called, SHUT sent.
//! Must not know: which thread does it; the plan says that.

use crate::lock::{Rule, Site, at};
use crate::runtime::{Op, Runtime};
use crate::sim::cast::Cast;
use crate::sim::handlers::{Hook, Owner};
use crate::sim::message::{FaultEvent, Reply};
use crate::sim::plan::{Teardown, Version, VfioCleanup};
use crate::sim::scenario::Device;
use crate::sim::state::Side;
use crate::sim::status::Status;

/// `postcopy_listen_thread_bh()` (10.2).
pub async fn postcopy_listen_thread_bh<R: Runtime>(cx: &R, c: &Cast) {
    c.migration_incoming_state_destroy(cx).await;
    let site = at("postcopy_listen_thread_bh", "mis->state");
    if c.status(cx, Side::Destination, site).await == Status::Failed {
        c.exit(cx, at("postcopy_listen_thread_bh", "exit_on_error")).await;
    }
}

impl Cast {
    /// `postcopy_ram_incoming_cleanup()`: the fault thread ends.
    pub async fn postcopy_ram_incoming_cleanup<R: Runtime>(&self, cx: &R) {
        if let Some(fault) = self.threads.fault {
            self.postcopy_fault_thread_notify(cx, FaultEvent::Quit).await;
            cx.join(fault, at("postcopy_ram_incoming_cleanup", "qemu_thread_join")).await;
        }
        self.cleanup_range(cx);
    }

    /// `migration_incoming_state_destroy()`.
    pub async fn migration_incoming_state_destroy<R: Runtime>(&self, cx: &R) {
        let function = "migration_incoming_state_destroy";
        let (listening, failed_early) =
            cx.look(&self.incoming, |mis| (mis.have_listen_thread, !mis.have_listen_thread));
        // A precopy that has not failed has no listen thread either.
        let failed_early = failed_early && !self.scenario.precopy;
        if self.plan.teardown == Teardown::MainBhJoin && listening {
            cx.join(self.threads.listen, at("postcopy_incoming_cleanup", "qemu_thread_join")).await;
            self.postcopy_ram_incoming_cleanup(cx).await;
        }
        if self.plan.version != Version::V7_2 {
            self.assert_bql(cx, at(function, "assert(bql_locked())"));
            self.qemu_loadvm_state_cleanup(cx, at(function, "qemu_loadvm_state_cleanup")).await;
        }
        let failed = failed_early
            || self.status(cx, Side::Destination, at(function, "mis->state")).await
                == Status::Failed;
        let site = at("migrate_send_rp_shut", "qemu_fflush");
        // An error here is of no interest to QEMU either.
        let _ = self.migrate_send_rp_message(cx, Reply::Shut(failed), site).await;
        cx.op(Op::Store(0), self.to_src_file, at(function, "mis->to_src_file = NULL")).await;
        cx.with(&self.incoming, |mis| mis.destroyed = true);
        cx.free(&self.requests, "mis->page_requested");
    }

    /// 10.0 and later assert the BQL; a plan whose hooks go without drops that.
    fn assert_bql<R: Runtime>(&self, cx: &R, site: Site) {
        if self.plan.vfio_cleanup != VfioCleanup::TakesBql && !cx.holds(self.bql) {
            let me = cx.me();
            cx.world(|world| {
                let message =
                    format!("{} is called without the BQL by {}", site.function, world.name(me));
                world.abort(Rule::NeedsBql, me, site, message);
            });
        }
    }

    /// `qemu_loadvm_state_cleanup()`: the `load_cleanup` hooks.
    pub async fn qemu_loadvm_state_cleanup<R: Runtime>(&self, cx: &R, site: Site) {
        for owner in self.owners().filter(|owner| owner.has(Hook::LoadCleanup)) {
            self.enter(cx, owner, Hook::LoadCleanup, site);
            if owner == Owner::Device(Device::Vfio) {
                self.vfio_load_cleanup(cx).await;
            }
        }
        cx.with(&self.incoming, |mis| mis.cleaned = true);
    }
}
