//! The network, which may break, and the source's main loop, where in-band
//! `migrate` with resume and the cleanup bottom half run.
//! Must not know: how either side pauses.

use super::cast::Cast;
use super::message::{Accept, MainEvent, SourceEvent};
use super::plan::{RecoverAccept, Version};
use super::state::Side;
use super::status::Status;
use crate::lock::at;
use crate::runtime::{Act, Op, Runtime};
use std::sync::Arc;

/// Breaks the network if the scenario says so. After that the thread serves as
/// the source's main loop, unless that is a thread of its own.
pub async fn network<R: Runtime>(cx: R, c: Arc<Cast>) {
    cx.started().await;
    if c.scenario.cancel {
        let site = at("management", "migrate_cancel");
        cx.send(c.src_main_queue, SourceEvent::MigrateCancel, site).await.expect("never shut");
        return;
    }
    if c.guest.break_after.is_some() {
        cx.sem_wait(c.break_point, at("network", "break point")).await;
    }
    cx.op(Op::Break, c.streams[0].id, at("network", "connection reset")).await;
    cx.act(Act::Set, c.break_done, at("network", "connection reset"));
    if c.threads.src_main.is_none() {
        c.source_main_loop(&cx).await;
    }
}

/// `qemu_main_loop()` of the source.
pub async fn source_main<R: Runtime>(cx: R, c: Arc<Cast>) {
    cx.started().await;
    c.source_main_loop(&cx).await;
}

impl Cast {
    async fn source_main_loop<R: Runtime>(&self, cx: &R) {
        loop {
            cx.canon("main_loop_wait (source)", ());
            let site = at("os_host_main_loop_wait", "qemu_poll_ns");
            match cx.recv(self.src_main_queue, site).await.expect("never shut") {
                SourceEvent::MigrateResume => self.qmp_migrate_resume(cx).await,
                SourceEvent::CleanupBh => self.migration_cleanup(cx).await,
                SourceEvent::MigrateCancel => self.qmp_migrate_cancel(cx).await,
            }
        }
    }

    /// `migration_cleanup()`: joins what is left (7.2: not the return path).
    async fn migration_cleanup<R: Runtime>(&self, cx: &R) {
        let left = cx.look(&self.outgoing, |s| s.rp_thread_created);
        if left && self.plan.version != Version::V7_2 {
            self.close_return_path_on_source(cx, true).await;
        }
        let migration = self.threads.migration.expect("there is a source");
        cx.join(migration, at("migration_cleanup", "qemu_thread_join")).await;
        if self.scenario.cancel {
            let site = at("migration_cleanup", "migrate_set_state");
            let (old, new) = (Status::Cancelling, Status::Cancelled);
            self.migrate_set_state(cx, Side::Source, old, new, site).await;
        }
    }

    /// `migrate` with `resume`: connects, and wakes the migration thread.
    async fn qmp_migrate_resume<R: Runtime>(&self, cx: &R) {
        let f = "migrate_fd_connect";
        cx.lock(self.src_bql, at("qmp_migrate", "bql_lock")).await;
        let setup = Status::PostcopyRecoverSetup;
        let (paused, recover) = (Status::PostcopyPaused, Status::PostcopyRecover);
        let old = self.plan.version == Version::V7_2;
        if !old {
            let site = at("migrate_prepare", "migrate_set_state");
            self.migrate_set_state(cx, Side::Source, paused, setup, site).await;
        }
        let site = at("socket_start_outgoing_migration", "connect");
        match self.plan.recover_accept {
            RecoverAccept::Iothread => {
                cx.send(self.monitor_queue, Accept, site).await.expect("never shut");
            }
            RecoverAccept::MainLoop => {
                cx.send(self.main_queue, MainEvent::Accept, site).await.expect("never shut");
            }
        }
        cx.op(Op::Store(0), self.src_error, at(f, "migrate_error_free")).await;
        cx.lock(self.qemu_file_lock, at(f, "qemu_file_lock")).await;
        cx.with(&self.outgoing, |s| {
            s.to_dst_file += 1;
            s.rp_thread_created = true;
        });
        cx.unlock(self.qemu_file_lock, at(f, "qemu_file_lock"));
        if !old {
            let thread = self.threads.return_path[1].expect("there is a source");
            cx.create(thread, at("open_return_path_on_source", "qemu_thread_create"));
        }
        let from = if old { paused } else { setup };
        self.migrate_set_state(cx, Side::Source, from, recover, at(f, "migrate_set_state")).await;
        cx.act(Act::Post, self.postcopy_pause_sem, at(f, "qemu_sem_post"));
        cx.unlock(self.src_bql, at("qmp_migrate", "bql_unlock"));
    }
}
