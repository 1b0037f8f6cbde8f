//! The source's pause and its recovery.
//! Must not know: who resumes it.

use super::migration_thread::Fatal;
use crate::lock::at;
use crate::runtime::{Act, Op, Runtime};
use crate::sim::cast::Cast;
use crate::sim::message::Message;
use crate::sim::plan::Version;
use crate::sim::state::Side;
use crate::sim::status::Status;

impl Cast {
    /// `postcopy_pause()`: waits to be resumed, as often as it takes.
    pub async fn postcopy_pause<R: Runtime>(&self, cx: &R) -> Result<(), Fatal> {
        let f = "postcopy_pause";
        let old = self.plan.version == Version::V7_2;
        loop {
            cx.canon(f, ());
            if !old {
                self.close_return_path_on_source(cx, true).await;
            }
            cx.lock(self.qemu_file_lock, at(f, "qemu_file_lock")).await;
            let link = cx.look(&self.outgoing, |s| s.to_dst_file);
            cx.unlock(self.qemu_file_lock, at(f, "qemu_file_lock"));
            cx.op(Op::Shutdown, self.streams[link].id, at(f, "qemu_file_shutdown")).await;
            let site = at(f, "migrate_set_state");
            let state = self.status(cx, Side::Source, site).await;
            self.migrate_set_state(cx, Side::Source, state, Status::PostcopyPaused, site).await;
            loop {
                cx.sem_wait(self.postcopy_pause_sem, at(f, "qemu_sem_wait")).await;
                if !self.status(cx, Side::Source, at(f, "s->state")).await.is_paused() {
                    break;
                }
            }
            if old {
                cx.act(Act::Post, self.postcopy_pause_rp_sem, at(f, "qemu_sem_post"));
            }
            if self.postcopy_do_resume(cx).await {
                return Ok(());
            }
        }
    }

    /// `postcopy_do_resume()`: asks for the receivedmap, then shakes hands.
    async fn postcopy_do_resume<R: Runtime>(&self, cx: &R) -> bool {
        let site = at("qemu_savevm_send_recv_bitmap", "qemu_fflush");
        if self.send_message(cx, Message::RecvBitmap, site).await.is_err()
            || !self.migration_rp_wait(cx, "ram_dirty_bitmap_sync_all").await
        {
            return false;
        }
        let site = at("qemu_savevm_send_postcopy_resume", "qemu_fflush");
        if self.send_message(cx, Message::PostcopyResume, site).await.is_err() {
            return false;
        }
        let site = at("postcopy_resume_handshake", "s->state");
        while self.status(cx, Side::Source, site).await == Status::PostcopyRecover {
            if !self.migration_rp_wait(cx, "postcopy_resume_handshake").await {
                return false;
            }
        }
        self.status(cx, Side::Source, site).await == Status::PostcopyActive
    }

    /// `migration_rp_wait()`: false if an error came instead (8.2 and later).
    async fn migration_rp_wait<R: Runtime>(&self, cx: &R, function: &'static str) -> bool {
        cx.sem_wait(self.rp_sem, at(function, "qemu_sem_wait(&s->rp_state.rp_sem)")).await;
        self.plan.version == Version::V7_2
            || cx
                .value(Op::Load, self.src_error, at("migration_rp_wait", "migrate_has_error"))
                .await
                == 0
    }
}
