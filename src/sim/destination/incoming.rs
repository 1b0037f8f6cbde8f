//! The incoming coroutine: the stream up to RUN, read by the main thread. A
//! stream read yields to the main loop's poll, which is without the BQL.
//! Must not know: the postcopy stream after RUN.

use crate::lock::{Site, at};
use crate::runtime::{Act, Op, Runtime};
use crate::sim::cast::Cast;
use crate::sim::handlers::{Hook, Owner};
use crate::sim::message::{MainEvent, Message, Packed, Reply};
use crate::sim::plan::{Teardown, Version};
use crate::sim::scenario::{Break, Device};
use crate::sim::state::Side;
use crate::sim::status::{PostcopyState, Status};

/// The load failed.
#[derive(Debug)]
pub struct LoadError;

impl Cast {
    /// `process_incoming_migration_co()`.
    pub async fn process_incoming_migration_co<R: Runtime>(&self, cx: &R) {
        let site = at("process_incoming_migration_co", "migrate_set_state");
        let before = if self.plan.version == Version::V7_2 { Status::None } else { Status::Setup };
        self.migrate_set_state(cx, Side::Destination, before, Status::Active, site).await;
        self.qemu_loadvm_state_setup(cx);
        let loaded = self.qemu_loadvm_state_main(cx).await;
        cx.act(Act::Set, self.main_thread_load_event, at("qemu_loadvm_state", "qemu_event_set"));
        // 10.2: once there is a listen thread, it alone reports and tears down.
        let left_to_listen = self.plan.teardown == Teardown::MainBhJoin
            && loaded.is_err()
            && cx.look(&self.incoming, |mis| mis.have_listen_thread);
        if loaded.is_err() && !left_to_listen {
            self.fail_incoming(cx).await;
        }
    }

    fn qemu_loadvm_state_setup<R: Runtime>(&self, cx: &R) {
        for owner in self.owners().filter(|owner| owner.has(Hook::LoadSetup)) {
            self.enter(cx, owner, Hook::LoadSetup, at("qemu_loadvm_state_setup", "load_setup"));
        }
    }

    /// The `fail:` of `process_incoming_migration_co()`: the destination exits.
    async fn fail_incoming<R: Runtime>(&self, cx: &R) {
        let site = at("process_incoming_migration_co", "fail");
        self.migrate_set_state(cx, Side::Destination, Status::Active, Status::Failed, site).await;
        if self.plan.version != Version::V7_2 {
            self.migration_incoming_state_destroy(cx).await;
        }
        self.exit(cx, site).await;
    }

    /// `exit(EXIT_FAILURE)`: the kernel shuts the sockets, no thread goes on.
    pub async fn exit<R: Runtime>(&self, cx: &R, site: Site) {
        let link = cx.look(&self.incoming, |mis| mis.from_src_file);
        cx.op(Op::Shutdown, self.streams[link].id, site).await;
        cx.op(Op::Exit, self.destination, at(site.function, "exit(EXIT_FAILURE)")).await;
        // The process is gone: this thread does nothing more.
        std::future::pending::<()>().await;
    }

    /// `qemu_loadvm_state_main()` in the coroutine, up to RUN.
    async fn qemu_loadvm_state_main<R: Runtime>(&self, cx: &R) -> Result<(), LoadError> {
        loop {
            cx.canon("qemu_loadvm_state_main", ());
            cx.unlock(self.bql, at("os_host_main_loop_wait", "bql_unlock"));
            let read = at("qemu_loadvm_state_main", "qemu_get_byte (yields)");
            let message = cx.recv(self.streams[0], read).await;
            cx.lock(self.bql, at("os_host_main_loop_wait", "bql_lock")).await;
            match message.map_err(|_| LoadError)? {
                Message::Advise => self.loadvm_postcopy_handle_advise(cx).await?,
                Message::Ram(pages) => {
                    let site = at("qemu_loadvm_section_part_end", "vmstate_load");
                    self.enter(cx, Owner::Ram, Hook::LoadState, site);
                    self.ram_load_precopy(cx, &pages);
                }
                Message::RamDiscard(pages) => {
                    let site = at("postcopy_ram_prepare_discard", "postcopy_state_set");
                    self.postcopy_state_set(cx, PostcopyState::Discard, site).await;
                    self.ram_discard_range(cx, &pages);
                }
                Message::Devices(devices) => return self.end_of_precopy(cx, &devices).await,
                Message::Packaged(sections) => {
                    return self.loadvm_handle_cmd_packaged(cx, &sections).await;
                }
                other => unreachable!("a source does not send {other:?} here"),
            }
        }
    }

    /// The devices of a precopy, then its end: a bottom half starts the guest.
    async fn end_of_precopy<R: Runtime>(
        &self,
        cx: &R,
        devices: &[Device],
    ) -> Result<(), LoadError> {
        for device in devices {
            let site = at("qemu_loadvm_section_start_full", "vmstate_load");
            self.load_device(cx, *device, Hook::LoadState, site).await;
        }
        let site = at("process_incoming_migration_co", "migration_bh_schedule");
        cx.send(self.main_queue, MainEvent::IncomingBh, site).await.expect("never shut");
        Ok(())
    }

    async fn loadvm_postcopy_handle_advise<R: Runtime>(&self, cx: &R) -> Result<(), LoadError> {
        let site = at("loadvm_postcopy_handle_advise", "postcopy_state_set");
        let old = self.postcopy_state_set(cx, PostcopyState::Advise, site).await;
        if old == PostcopyState::None { Ok(()) } else { Err(LoadError) }
    }

    /// From now on the network may break, where the scenario is "while pages are
    /// streamed". Environment steps wait for everybody else: no order matters.
    pub fn open_break_window<R: Runtime>(&self, cx: &R) {
        if self.scenario.breaks == Break::WhilePagesAreStreamed {
            cx.world(|world| world.breaks = u32::from(!world.breaks_over));
        }
    }

    /// `loadvm_handle_cmd_packaged()`: never yields; with the BQL throughout,
    /// but for what a device releases.
    async fn loadvm_handle_cmd_packaged<R: Runtime>(
        &self,
        cx: &R,
        sections: &[Packed],
    ) -> Result<(), LoadError> {
        // In 10.2 both sides are in postcopy-active only when the source knows.
        if !self.plan.postcopy_device {
            self.open_break_window(cx);
        }
        for section in sections {
            match section {
                Packed::Listen => self.loadvm_postcopy_handle_listen(cx).await?,
                Packed::Device(device) => {
                    let site = at("qemu_loadvm_section_start_full", "vmstate_load");
                    self.load_device(cx, *device, Hook::LoadState, site).await;
                }
                Packed::PingPackagedLoaded => {
                    let site = at("migrate_send_rp_pong", "qemu_fflush");
                    // QEMU ignores the result, in every version.
                    let _ = self.migrate_send_rp_message(cx, Reply::PongPackagedLoaded, site).await;
                }
                Packed::Run => return self.loadvm_postcopy_handle_run(cx).await,
            }
        }
        Ok(())
    }

    /// `loadvm_postcopy_handle_listen()`: makes RAM fault, starts the threads.
    async fn loadvm_postcopy_handle_listen<R: Runtime>(&self, cx: &R) -> Result<(), LoadError> {
        let site = at("loadvm_postcopy_handle_listen", "postcopy_state_set");
        let old = self.postcopy_state_set(cx, PostcopyState::Listening, site).await;
        if !matches!(old, PostcopyState::Advise | PostcopyState::Discard) {
            return Err(LoadError);
        }
        self.ram_block_enable_notify(cx);
        for (thread, function) in [
            (self.threads.fault, "postcopy_ram_incoming_setup"),
            (Some(self.threads.listen), "loadvm_postcopy_handle_listen"),
        ] {
            let Some(thread) = thread else { continue };
            if thread == self.threads.listen {
                cx.with(&self.incoming, |mis| mis.have_listen_thread = true);
            }
            cx.create(thread, at(function, "postcopy_thread_create"));
            let site = at("postcopy_thread_create", "thread_sync_sem");
            cx.sem_wait(self.thread_sync_sem, site).await;
        }
        Ok(())
    }

    /// `loadvm_postcopy_handle_run()`: the state is read, then set, not at once.
    async fn loadvm_postcopy_handle_run<R: Runtime>(&self, cx: &R) -> Result<(), LoadError> {
        let site = at("loadvm_postcopy_handle_run", "postcopy_state_get");
        if self.postcopy_state_get(cx, site).await != PostcopyState::Listening {
            return Err(LoadError);
        }
        if self.plan.postcopy_device {
            let site = at("loadvm_postcopy_handle_run", "migrate_set_state");
            let (old, new) = (Status::PostcopyDevice, Status::PostcopyActive);
            self.migrate_set_state(cx, Side::Destination, old, new, site).await;
        }
        let site = at("loadvm_postcopy_handle_run", "postcopy_state_set");
        self.postcopy_state_set(cx, PostcopyState::Running, site).await;
        let site = at("loadvm_postcopy_handle_run", "migration_bh_schedule");
        cx.send(self.main_queue, MainEvent::RunBh, site).await.expect("never shut");
        Ok(())
    }
}
