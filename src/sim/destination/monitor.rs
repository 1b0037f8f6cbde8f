//! The monitor's IOThread: out-of-band commands, which never take the BQL, and
//! by QEMU's design the accept of the connection that recovers.
//! Must not know: when management recovers.

use crate::lock::at;
use crate::runtime::{Act, Op, Runtime};
use crate::sim::cast::Cast;
use crate::sim::message::{MainEvent, SourceEvent};
use crate::sim::plan::RecoverAccept;
use crate::sim::state::Side;
use crate::sim::status::Status;
use std::sync::Arc;

/// The IOThread, with management at the other end of its QMP session: when both
/// sides have paused, it recovers, as often as it takes.
pub async fn monitor_iothread<R: Runtime>(cx: R, c: Arc<Cast>) {
    cx.started().await;
    loop {
        cx.canon("iothread_run", ());
        cx.sem_wait(c.dst_paused, at("management", "MIGRATION postcopy-paused")).await;
        if c.threads.migration.is_some() {
            cx.sem_wait(c.src_paused, at("management", "MIGRATION postcopy-paused")).await;
        }
        c.qmp_migrate_recover(&cx).await;
    }
}

impl Cast {
    /// `qmp_migrate_recover()`, out of band: a new listener, on this thread's own
    /// context; then management has the source connect to it.
    async fn qmp_migrate_recover<R: Runtime>(&self, cx: &R) {
        let f = "qmp_migrate_recover";
        let status = self.status(cx, Side::Destination, at(f, "mis->state")).await;
        assert_eq!(status, Status::PostcopyPaused, "management recovers only what is paused");
        let here = self.plan.recover_accept == RecoverAccept::Iothread;
        if self.threads.migration.is_some() {
            let site = at("management", "migrate resume=true (source)");
            cx.send(self.src_main_queue, SourceEvent::MigrateResume, site)
                .await
                .expect("never shut");
            if here {
                let site = at("iothread_run", "accept");
                cx.recv(self.monitor_queue, site).await.expect("never shut");
            }
        } else if !here {
            // The scripted peer connects at once.
            let site = at("qio_net_listener_channel_func", "accept");
            cx.send(self.main_queue, MainEvent::Accept, site).await.expect("never shut");
        }
        if here {
            postcopy_try_recover(cx, self).await;
        }
    }
}

/// `postcopy_try_recover()`, in the accept callback, wherever that runs.
pub async fn postcopy_try_recover<R: Runtime>(cx: &R, c: &Cast) {
    let f = "postcopy_try_recover";
    if c.status(cx, Side::Destination, at(f, "mis->state")).await != Status::PostcopyPaused {
        return;
    }
    let link = cx.with(&c.incoming, |mis| {
        mis.from_src_file += 1;
        mis.from_src_file
    });
    let site = at(f, "qemu_file_get_return_path");
    cx.op(Op::Store(link as u64 + 1), c.to_src_file, site).await;
    let (old, new) = (Status::PostcopyPaused, Status::PostcopyRecover);
    c.migrate_set_state(cx, Side::Destination, old, new, at(f, "migrate_set_state")).await;
    cx.act(Act::Post, c.postcopy_pause_sem_dst, at(f, "qemu_sem_post"));
}
