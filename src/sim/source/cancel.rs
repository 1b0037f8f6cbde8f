//! `migrate_cancel`, and the end of a precopy, which it races.
//! Must not know: when the user cancels.

use super::completion::Completed;
use crate::lock::at;
use crate::runtime::{Op, Outcome, Runtime};
use crate::sim::cast::Cast;
use crate::sim::message::Message;
use crate::sim::plan::Version;
use crate::sim::state::Side;
use crate::sim::status::Status;

impl Cast {
    /// `qmp_migrate_cancel()` and `migration_cancel()`, in the main loop.
    pub async fn qmp_migrate_cancel<R: Runtime>(&self, cx: &R) {
        let f = "migration_cancel";
        cx.lock(self.src_bql, at("qmp_migrate_cancel", "bql_lock")).await;
        if !self.refuses_cancel(cx).await {
            self.shut_for_cancel(cx).await;
            loop {
                let old = self.status(cx, Side::Source, at(f, "s->state")).await;
                let over = [Status::Completed, Status::Failed, Status::Cancelled].contains(&old);
                if over || old.is_paused() {
                    break;
                }
                let (new, site) = (Status::Cancelling, at(f, "migrate_set_state"));
                if self.migrate_set_state(cx, Side::Source, old, new, site).await {
                    cx.op(Op::Shutdown, self.streams[0].id, at(f, "qemu_file_shutdown")).await;
                    break;
                }
            }
        }
        cx.unlock(self.src_bql, at("qmp_migrate_cancel", "bql_unlock"));
    }

    /// A postcopy cannot be cancelled (not asked before 9.2).
    async fn refuses_cancel<R: Runtime>(&self, cx: &R) -> bool {
        if self.plan.version == Version::V7_2 {
            return false;
        }
        let site = at("qmp_migrate_cancel", "migration_in_postcopy");
        let state = self.status(cx, Side::Source, site).await;
        matches!(
            state,
            Status::PostcopyActive
                | Status::PostcopyDevice
                | Status::PostcopyPaused
                | Status::PostcopyRecoverSetup
                | Status::PostcopyRecover
        )
    }

    /// The return path is shut first of all: it is the same socket.
    async fn shut_for_cancel<R: Runtime>(&self, cx: &R) {
        let f = "migration_cancel";
        cx.lock(self.qemu_file_lock, at(f, "qemu_file_lock")).await;
        cx.op(Op::Shutdown, self.streams[0].id, at(f, "qemu_file_shutdown (rp)")).await;
        cx.unlock(self.qemu_file_lock, at(f, "qemu_file_lock"));
    }

    /// `migration_completion()` in ACTIVE: the guest stops, its devices are sent.
    pub async fn migration_completion_precopy<R: Runtime>(&self, cx: &R) -> Completed {
        let f = "migration_completion_precopy";
        let old = self.plan.version == Version::V7_2;
        let state = self.status(cx, Side::Source, at("migration_completion", "s->state")).await;
        if state != Status::Active {
            return self.fail_completion(cx).await;
        }
        cx.lock(self.src_bql, at(f, "bql_lock")).await;
        cx.with(&self.outgoing, |s| s.guest_runs = false);
        let mut goes_on = true;
        if !old {
            // migration_switchover_prepare(): the BQL keeps cancel out meanwhile.
            let site = at("migration_switchover_prepare", "migrate_set_state");
            let (active, device) = (Status::Active, Status::Device);
            goes_on = self.migrate_set_state(cx, Side::Source, active, device, site).await;
        }
        let sent = if goes_on { self.send_end_of_precopy(cx).await } else { false };
        cx.unlock(self.src_bql, at(f, "bql_unlock"));
        if !goes_on || !sent || self.close_return_path_on_source(cx, false).await {
            return self.fail_completion(cx).await;
        }
        if self.scenario.cancel && self.is_shut(cx).await {
            return self.fail_completion(cx).await;
        }
        let f = "migration_completion_end";
        cx.lock(self.src_bql, at(f, "bql_lock")).await;
        // 10.0 completes whatever state it is in by now; 7.2 only if it is the same.
        let from = match old {
            true => Status::Active,
            false => self.status(cx, Side::Source, at(f, "s->state")).await,
        };
        let (new, site) = (Status::Completed, at(f, "migrate_set_state"));
        self.migrate_set_state(cx, Side::Source, from, new, site).await;
        cx.unlock(self.src_bql, at(f, "bql_unlock"));
        Completed::Done
    }

    /// What the guest has dirtied meanwhile, then the devices; false if a write failed.
    async fn send_end_of_precopy<R: Runtime>(&self, cx: &R) -> bool {
        let f = "qemu_savevm_state_complete_precopy";
        let pages = cx.with(&self.outgoing, |s| {
            let dirty = s.dirty.iter().enumerate().filter(|(_, dirty)| **dirty);
            dirty.map(|(n, _)| n).collect::<Vec<_>>()
        });
        let pages = pages.into_iter().map(|n| (n as u32, self.guest.after[n].clone())).collect();
        let ram = self.send_message(cx, Message::Ram(pages), at(f, "qemu_fflush (ram)")).await;
        let devices = Message::Devices(self.scenario.devices.clone());
        ram.is_ok() && self.send_message(cx, devices, at(f, "qemu_fflush")).await.is_ok()
    }

    /// `qemu_file_get_error()`: whether cancel has shut the file.
    async fn is_shut<R: Runtime>(&self, cx: &R) -> bool {
        let site = at("migration_completion", "qemu_file_get_error");
        let drained = cx.op(Op::Drain, self.streams[0].id, site).await;
        matches!(drained, Outcome::Broken)
    }

    /// The `fail:` of `migration_completion()`: a cancelled migration has not failed.
    async fn fail_completion<R: Runtime>(&self, cx: &R) -> Completed {
        let site = at("migration_completion", "fail");
        let state = self.status(cx, Side::Source, site).await;
        if state != Status::Cancelling {
            self.fail_from(cx, state, site).await;
        }
        Completed::Failed
    }
}
