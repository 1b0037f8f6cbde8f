//! The listen thread: reads the postcopy stream, pauses when it breaks, goes on
//! when it is recovered, and (7.2, 10.0) tears the destination down.
//! Must not know: who recovers.

use super::incoming::LoadError;
use crate::lock::{Rule, at};
use crate::runtime::{Act, Op, Runtime};
use crate::sim::cast::Cast;
use crate::sim::handlers::{Hook, Owner};
use crate::sim::message::{FaultEvent, MainEvent, Message, Reply};
use crate::sim::plan::{LoadvmBql, SectionCheck, Teardown, Version};
use crate::sim::scenario::Device;
use crate::sim::state::Side;
use crate::sim::status::{PostcopyState, Status};
use std::sync::Arc;

const LISTEN: &str = "postcopy_ram_listen_thread";

/// `postcopy_ram_listen_thread()` (10.2: `postcopy_listen_thread()`).
pub async fn postcopy_ram_listen_thread<R: Runtime>(cx: R, c: Arc<Cast>) {
    cx.started().await;
    let new = if c.plan.postcopy_device { Status::PostcopyDevice } else { Status::PostcopyActive };
    let site = at(LISTEN, "migrate_set_state");
    c.migrate_set_state(&cx, Side::Destination, Status::Active, new, site).await;
    cx.act(Act::Post, c.thread_sync_sem, at(LISTEN, "qemu_sem_post"));
    let locks = c.plan.loadvm_bql != LoadvmBql::None;
    if locks {
        cx.lock(c.bql, at(LISTEN, "bql_lock")).await;
    }
    let loaded = c.qemu_loadvm_state_main_postcopy(&cx).await;
    if locks {
        cx.unlock(c.bql, at(LISTEN, "bql_unlock"));
    }
    if loaded.is_err() {
        c.dirty_bitmap_mig_cancel_incoming(&cx).await;
    }
    if c.plan.teardown == Teardown::MainBhJoin {
        c.finish_in_main_loop(&cx, loaded).await;
    } else {
        c.finish_here(&cx, loaded).await;
    }
}

impl Cast {
    /// The end of the thread in 7.2 and 10.0: it tears down, or exits.
    async fn finish_here<R: Runtime>(&self, cx: &R, loaded: Result<(), LoadError>) {
        let site = at(LISTEN, "migrate_set_state");
        let active = Status::PostcopyActive;
        if loaded.is_err() {
            self.migrate_set_state(cx, Side::Destination, active, Status::Failed, site).await;
        } else {
            let site = at(LISTEN, "qemu_event_wait(main_thread_load_event)");
            cx.event_wait(self.main_thread_load_event, site).await;
        }
        self.postcopy_ram_incoming_cleanup(cx).await;
        if loaded.is_err() {
            self.exit(cx, at(LISTEN, "loadvm failed")).await;
        }
        self.migrate_set_state(cx, Side::Destination, active, Status::Completed, site).await;
        let locks = self.plan.teardown == Teardown::ListenWithBql;
        if locks {
            cx.lock(self.bql, at(LISTEN, "bql_lock")).await;
        }
        self.migration_incoming_state_destroy(cx).await;
        if locks {
            cx.unlock(self.bql, at(LISTEN, "bql_unlock"));
        }
        if self.plan.version == Version::V7_2 {
            self.qemu_loadvm_state_cleanup(cx, at(LISTEN, "qemu_loadvm_state_cleanup")).await;
        }
        self.postcopy_state_set(cx, PostcopyState::End, at(LISTEN, "postcopy_state_set")).await;
    }

    /// The end of the thread in 10.2: a bottom half joins it and tears down.
    async fn finish_in_main_loop<R: Runtime>(&self, cx: &R, loaded: Result<(), LoadError>) {
        let site = at(LISTEN, "migrate_set_state");
        if loaded.is_err() {
            let old = self.status(cx, Side::Destination, site).await;
            self.migrate_set_state(cx, Side::Destination, old, Status::Failed, site).await;
        } else {
            let wait = at(LISTEN, "qemu_event_wait(main_thread_load_event)");
            cx.event_wait(self.main_thread_load_event, wait).await;
            let (old, new) = (Status::PostcopyActive, Status::Completed);
            self.migrate_set_state(cx, Side::Destination, old, new, site).await;
        }
        self.postcopy_state_set(cx, PostcopyState::End, at(LISTEN, "postcopy_state_set")).await;
        let site = at(LISTEN, "migration_bh_schedule");
        cx.send(self.main_queue, MainEvent::ListenThreadBh, site).await.expect("never shut");
    }

    /// `qemu_loadvm_state_main()` in the listen thread: reads block. An error
    /// while RUNNING pauses, and goes on when recovered; before, it is final.
    async fn qemu_loadvm_state_main_postcopy<R: Runtime>(&self, cx: &R) -> Result<(), LoadError> {
        let drops = self.plan.loadvm_bql == LoadvmBql::DroppedForIo;
        loop {
            cx.canon(LISTEN, ());
            let link = cx.look(&self.incoming, |mis| mis.from_src_file);
            if drops {
                cx.unlock(self.bql, at("qemu_fill_buffer", "bql_unlock"));
            }
            let message =
                cx.recv(self.streams[link], at("qemu_loadvm_state_main", "qemu_get_byte")).await;
            if drops {
                cx.lock(self.bql, at("qemu_fill_buffer", "bql_lock")).await;
            }
            let result = match message {
                Ok(Message::Eof) => return Ok(()),
                Ok(message) => self.load_section(cx, message).await,
                Err(_) => Err(LoadError),
            };
            if result.is_ok() {
                continue;
            }
            self.dirty_bitmap_mig_cancel_incoming(cx).await;
            let site = at("qemu_loadvm_state_main", "postcopy_state_get");
            if self.postcopy_state_get(cx, site).await != PostcopyState::Running {
                return Err(LoadError);
            }
            self.postcopy_pause_incoming(cx).await;
        }
    }

    async fn load_section<R: Runtime>(&self, cx: &R, message: Message) -> Result<(), LoadError> {
        match message {
            Message::Page(page, content) => {
                self.postcopy_section(cx, Owner::Ram)?;
                self.postcopy_place_page(cx, page, content).await
            }
            Message::DirtyBitmap => self.load_device_postcopy(cx, Device::DirtyBitmap).await,
            Message::Device(device) => self.load_device_postcopy(cx, device).await,
            Message::RecvBitmap => {
                let received = cx.look(&self.received, Vec::clone);
                let site = at("migrate_send_rp_recv_bitmap", "qemu_fflush");
                let reply = Reply::RecvBitmap(received);
                self.migrate_send_rp_message(cx, reply, site).await.map_err(|_| LoadError)
            }
            Message::PostcopyResume => {
                self.loadvm_postcopy_handle_resume(cx).await;
                Ok(())
            }
            other => unreachable!("a source does not send {other:?} here"),
        }
    }

    async fn load_device_postcopy<R: Runtime>(
        &self,
        cx: &R,
        device: Device,
    ) -> Result<(), LoadError> {
        let hook = self.postcopy_section(cx, Owner::Device(device))?;
        let site = at("qemu_loadvm_section_part_end", "vmstate_load");
        self.load_device(cx, device, hook, site).await;
        Ok(())
    }

    /// What the plan does with a section of `owner` on this channel: the hook
    /// to run, or a load error that names the section.
    fn postcopy_section<R: Runtime>(&self, cx: &R, owner: Owner) -> Result<Hook, LoadError> {
        let site = at("qemu_loadvm_section_part_end", "vmstate_load");
        let checked = self.plan.section_check == SectionCheck::Postcopiable;
        let hook = self.postcopy_load_hook(owner).filter(|_| owner.has_postcopy() || !checked);
        let Some(hook) = hook else {
            cx.fact("sections_refused_on_the_postcopy_channel", 1);
            cx.world(|world| {
                world
                    .annotate(|| format!("error: section '{}' is not postcopiable", owner.idstr()));
            });
            return Err(LoadError);
        };
        if !owner.has_postcopy() {
            let message = format!(
                "{} of {} runs for a section on the postcopy channel, which is not postcopiable",
                "load_state",
                owner.idstr()
            );
            cx.violate(Rule::NotPostcopiable, site, message);
        }
        self.enter(cx, owner, hook, site);
        Ok(hook)
    }

    /// `postcopy_pause_incoming()`.
    async fn postcopy_pause_incoming<R: Runtime>(&self, cx: &R) {
        let f = "postcopy_pause_incoming";
        let link = cx.look(&self.incoming, |mis| mis.from_src_file);
        cx.op(Op::Shutdown, self.streams[link].id, at(f, "qemu_file_shutdown")).await;
        cx.lock(self.rp_mutex, at(f, "rp_mutex")).await;
        cx.op(Op::Store(0), self.to_src_file, at(f, "mis->to_src_file = NULL")).await;
        cx.unlock(self.rp_mutex, at(f, "rp_mutex"));
        let site = at(f, "migrate_set_state");
        let old = self.status(cx, Side::Destination, site).await;
        self.migrate_set_state(cx, Side::Destination, old, Status::PostcopyPaused, site).await;
        self.postcopy_fault_thread_notify(cx, FaultEvent::Notify).await;
        let wait = at(f, "qemu_sem_wait(&mis->postcopy_pause_sem_dst)");
        // 7.2 looks at the state before it waits; later ones wait once at least.
        let mut look_first = self.plan.version == Version::V7_2;
        loop {
            if look_first
                && !self.status(cx, Side::Destination, at(f, "mis->state")).await.is_paused()
            {
                return;
            }
            look_first = true;
            cx.sem_wait(self.postcopy_pause_sem_dst, wait).await;
        }
    }

    /// `loadvm_postcopy_handle_resume()`.
    async fn loadvm_postcopy_handle_resume<R: Runtime>(&self, cx: &R) {
        let f = "loadvm_postcopy_handle_resume";
        if self.status(cx, Side::Destination, at(f, "mis->state")).await != Status::PostcopyRecover
        {
            return;
        }
        let (old, new) = (Status::PostcopyRecover, Status::PostcopyActive);
        self.migrate_set_state(cx, Side::Destination, old, new, at(f, "migrate_set_state")).await;
        let site = at("migrate_send_rp_resume_ack", "qemu_fflush");
        // QEMU ignores the result.
        let _ = self.migrate_send_rp_message(cx, Reply::ResumeAck, site).await;
        self.migrate_send_rp_req_pages_pending(cx).await;
        cx.act(Act::Post, self.postcopy_pause_sem_fault, at(f, "qemu_sem_post"));
    }
}
