//! The end of the source's migration, good or bad.
//! Must not know: how the pages were sent.

use crate::lock::at;
use crate::runtime::{Op, Runtime};
use crate::sim::cast::Cast;
use crate::sim::message::{Message, SourceEvent};
use crate::sim::plan::Version;
use crate::sim::state::Side;
use crate::sim::status::Status;

/// How `migration_completion()` ended; it never pauses.
pub enum Completed {
    Done,
    Failed,
}

impl Cast {
    /// `migration_completion()` in POSTCOPY_ACTIVE.
    pub async fn migration_completion<R: Runtime>(&self, cx: &R) -> Completed {
        let f = "migration_completion";
        // Every page is on its way: the window of "while pages are streamed".
        if self.scenario.breaks == crate::sim::scenario::Break::WhilePagesAreStreamed {
            cx.world(|world| {
                world.breaks = 0;
                world.breaks_over = true;
            });
        }
        // By design the BQL is held across this write: the guest is stopped.
        cx.lock(self.src_bql, at(f, "bql_lock")).await;
        let site = at("qemu_savevm_state_complete_postcopy", "qemu_fflush");
        let sent = self.send_message(cx, Message::Eof, site).await;
        cx.unlock(self.src_bql, at(f, "bql_unlock"));
        let failed = self.close_return_path_on_source(cx, sent.is_err()).await || sent.is_err();
        if failed {
            let state = self.status(cx, Side::Source, at(f, "s->state")).await;
            self.fail_from(cx, state, at(f, "fail")).await;
            return Completed::Failed;
        }
        cx.lock(self.src_bql, at("migration_completion_end", "bql_lock")).await;
        let site = at("migration_completion_end", "migrate_set_state");
        let (old, new) = (Status::PostcopyActive, Status::Completed);
        self.migrate_set_state(cx, Side::Source, old, new, site).await;
        cx.unlock(self.src_bql, at("migration_completion_end", "bql_unlock"));
        Completed::Done
    }

    /// `close_return_path_on_source()`: joins the return-path thread, which ends
    /// at SHUT or at an error. True if there was an error.
    pub async fn close_return_path_on_source<R: Runtime>(&self, cx: &R, failed: bool) -> bool {
        let f = "close_return_path_on_source";
        let link = cx.look(&self.outgoing, |s| s.to_dst_file);
        cx.lock(self.qemu_file_lock, at(f, "qemu_file_lock")).await;
        let error = cx.value(Op::Load, self.src_error, at(f, "migrate_has_error")).await;
        cx.unlock(self.qemu_file_lock, at(f, "qemu_file_lock"));
        if failed || error != 0 {
            cx.op(Op::Shutdown, self.streams[link].id, at(f, "qemu_file_shutdown")).await;
        }
        // 7.2 keeps one return-path thread for all connections.
        let nth = if self.plan.version == Version::V7_2 { 0 } else { link };
        let thread = self.threads.return_path[nth].expect("there is a source");
        cx.join(thread, at(f, "qemu_thread_join")).await;
        cx.with(&self.outgoing, |s| s.rp_thread_created = false);
        cx.value(Op::Load, self.src_error, at(f, "migrate_has_error")).await != 0
    }

    /// `migration_iteration_finish()`: a failed migration starts the guest again
    /// here (7.2 does not, once postcopy was begun).
    pub async fn migration_iteration_finish<R: Runtime>(&self, cx: &R) {
        let f = "migration_iteration_finish";
        cx.lock(self.src_bql, at(f, "bql_lock")).await;
        let state = self.status(cx, Side::Source, at(f, "s->state")).await;
        let failed = matches!(state, Status::Failed | Status::Cancelling);
        if failed && (self.scenario.precopy || self.plan.version != Version::V7_2) {
            cx.with(&self.outgoing, |s| s.guest_runs = true);
            cx.world(|world| world.annotate(|| "vm_start".into()));
        }
        let site = at(f, "migration_bh_schedule");
        cx.send(self.src_main_queue, SourceEvent::CleanupBh, site).await.expect("never shut");
        cx.unlock(self.src_bql, at(f, "bql_unlock"));
    }
}
