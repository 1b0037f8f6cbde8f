//! The monitor's IOThread: out-of-band commands, which never take the BQL, and
//! by QEMU's design the accept of the connection that recovers.
//! Must not know: when management recovers.

use crate::lock::at;
use crate::runtime::{Act, Op, Runtime};
use crate::sim::cast::Cast;
use crate::sim::plan::RecoverAccept;
use crate::sim::state::Side;
use crate::sim::status::Status;
use crate::sim::stream::{MainEvent, MonitorEvent};
use std::sync::Arc;

/// The IOThread's loop, where management talks to it over QMP.
pub async fn monitor_iothread<R: Runtime>(cx: R, c: Arc<Cast>) {
    cx.started().await;
    loop {
        cx.canon("iothread_run", ());
        let event = cx.recv(c.monitor_queue, at("iothread_run", "g_main_loop_run")).await;
        match event.expect("the monitor's queue is never shut") {
            MonitorEvent::MigrateRecover => qmp_migrate_recover(&cx, &c).await,
            MonitorEvent::Accept => postcopy_try_recover(&cx, &c).await,
        }
    }
}

/// The same thread without a source: it stands for management too, and the
/// scripted peer connects at once.
pub async fn monitor_and_management<R: Runtime>(cx: R, c: Arc<Cast>) {
    cx.started().await;
    loop {
        cx.canon("management", ());
        cx.sem_wait(c.management, at("management", "MIGRATION event")).await;
        if c.status(&cx, Side::Destination, at("qmp_migrate_recover", "mis->state")).await
            != Status::PostcopyPaused
        {
            continue;
        }
        match c.plan.recover_accept {
            RecoverAccept::Iothread => postcopy_try_recover(&cx, &c).await,
            RecoverAccept::MainLoop => {
                let site = at("qmp_migrate_recover", "qio_net_listener_set_client_func");
                cx.send(c.main_queue, MainEvent::Accept, site).await.expect("never shut");
            }
        }
    }
}

/// `qmp_migrate_recover()`: a new listener, on this thread's own context.
async fn qmp_migrate_recover<R: Runtime>(cx: &R, c: &Cast) {
    let site = at("qmp_migrate_recover", "mis->state");
    let status = c.status(cx, Side::Destination, site).await;
    assert_eq!(status, Status::PostcopyPaused, "management asks for recovery only when paused");
    cx.act(Act::Post, c.recover_reply, at("qmp_migrate_recover", "QMP reply"));
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
