//! The return-path thread: reads what the destination asks for and answers.
//! Must not know: how pages are found and sent.

use crate::lock::at;
use crate::runtime::{Act, Op, Runtime};
use crate::sim::cast::Cast;
use crate::sim::message::Reply;
use crate::sim::plan::Version;
use crate::sim::state::Side;
use crate::sim::status::Status;
use std::sync::Arc;

const RP: &str = "source_return_path_thread";

/// `source_return_path_thread()` of connection `link`. Until 8.1 the one thread
/// parks on an error in postcopy and is used again for the next connection.
pub async fn source_return_path_thread<R: Runtime>(cx: R, c: Arc<Cast>, link: usize) {
    cx.started().await;
    let mut link = link;
    loop {
        cx.canon(RP, link);
        let reply = cx.recv(c.return_paths[link], at(RP, "qemu_get_be16")).await;
        match reply {
            Ok(Reply::Shut(error)) => {
                if error {
                    cx.op(Op::Store(1), c.src_error, at(RP, "migrate_set_error")).await;
                }
                break;
            }
            Ok(reply) => c.handle_reply(&cx, reply).await,
            Err(_) if c.plan.version == Version::V7_2 && c.in_postcopy(&cx).await => {
                let site = at("postcopy_pause_return_path_thread", "qemu_sem_wait");
                cx.sem_wait(c.postcopy_pause_rp_sem, site).await;
                link += 1;
            }
            Err(_) => {
                cx.op(Op::Store(1), c.src_error, at(RP, "migrate_set_error")).await;
                break;
            }
        }
    }
    if c.plan.version != Version::V7_2
        && c.status(&cx, Side::Source, at(RP, "ms->state")).await == Status::PostcopyRecover
    {
        cx.act(Act::Post, c.rp_sem, at("migration_rp_kick", "qemu_sem_post"));
    }
}

impl Cast {
    /// `migration_in_postcopy()`.
    async fn in_postcopy<R: Runtime>(&self, cx: &R) -> bool {
        let state = self.status(cx, Side::Source, at("migration_in_postcopy", "s->state")).await;
        matches!(state, Status::PostcopyActive | Status::PostcopyPaused | Status::PostcopyRecover)
    }

    async fn handle_reply<R: Runtime>(&self, cx: &R, reply: Reply) {
        match reply {
            Reply::PongPackagedLoaded => {
                let site = at(RP, "qemu_event_set(&ms->postcopy_package_loaded_event)");
                cx.act(Act::Set, self.postcopy_package_loaded_event, site);
            }
            Reply::ReqPages(page) => {
                let site = at("ram_save_queue_pages", "src_page_req_mutex");
                cx.lock(self.src_page_req_mutex, site).await;
                cx.with(&self.src_page_requests, |queue| queue.push_back(page));
                cx.unlock(self.src_page_req_mutex, site);
            }
            Reply::RecvBitmap(received) => {
                // ram_dirty_bitmap_reload(): the migration thread waits meanwhile.
                cx.with(&self.outgoing, |s| {
                    s.dirty = received.iter().map(|received| !received).collect();
                });
                cx.act(
                    Act::Post,
                    self.rp_sem,
                    at("ram_dirty_bitmap_reload_notify", "qemu_sem_post"),
                );
            }
            Reply::ResumeAck => {
                let f = "migrate_handle_rp_resume_ack";
                let (old, new) = (Status::PostcopyRecover, Status::PostcopyActive);
                self.migrate_set_state(cx, Side::Source, old, new, at(f, "migrate_set_state"))
                    .await;
                cx.act(Act::Post, self.rp_sem, at("migration_rp_kick", "qemu_sem_post"));
            }
            Reply::Shut(_) => unreachable!("ends the thread"),
        }
    }
}
