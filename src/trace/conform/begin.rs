//! What a thread may begin with: connections, the incoming coroutine, the births
//! of the listen and the fault thread; and how a stream breaks off.
//! Must not know: what comes after that.

use super::destination::{Destination, Life};
use super::item::{self, Channel, Item, one};
use super::{Event, Refusal};
use crate::sim::{PostcopyState, Status, Teardown};

/// Events before which a read of the stream can fail.
const READS: [&str; 4] = [
    "qemu_loadvm_state_section_startfull",
    "qemu_loadvm_state_section_partend",
    "loadvm_process_command_ping",
    "loadvm_handle_cmd_packaged_received",
];

impl Destination {
    /// An event of a thread that has nothing to do.
    pub(super) fn fresh(&mut self, event: &Event) -> Result<(), String> {
        let thread = event.thread;
        match (event.name, event.status()) {
            ("migrate_set_state", "setup") => self.set_status(event),
            ("migration_socket_incoming_accepted", _) => {
                let paused = self.status == Status::PostcopyPaused;
                if self.connected && !paused {
                    return Err("there is a connection already".into());
                }
                let mut items = vec![one("migration_set_incoming_channel")];
                items.extend(paused.then_some(Item::Status("postcopy-recover")));
                self.push(thread, items);
                self.connected = true;
                Ok(())
            }
            ("migration_set_incoming_channel", _) if !self.connected => {
                self.connected = true;
                Ok(())
            }
            ("migrate_set_state", "active") if self.connected => {
                self.set_status(event)?;
                self.push(
                    thread,
                    vec![
                        one("loadvm_state_setup"),
                        Item::Stream(Channel::Main),
                        one("qemu_loadvm_state_post_main"),
                        Item::Maybe(
                            "process_incoming_migration_co_postcopy_end_main",
                            String::new(),
                        ),
                    ],
                );
                Ok(())
            }
            ("migrate_set_state", "completed" | "failed") if self.loaded => self.set_status(event),
            ("migrate_set_state", "postcopy-active" | "postcopy-device")
                if self.listen == Life::Unborn
                    && self.postcopy == PostcopyState::Listening
                    && self.notified =>
            {
                self.set_status(event)?;
                self.listen = Life::Runs(thread);
                let mut items = vec![one("postcopy_ram_listen_thread_start")];
                items.push(Item::Stream(Channel::Postcopy));
                items.push(one("postcopy_ram_listen_thread_exit"));
                self.push(thread, items);
                Ok(())
            }
            ("migrate_set_state", "postcopy-active") if self.status == Status::PostcopyDevice => {
                self.set_status(event)
            }
            ("postcopy_ram_fault_thread_entry", _)
                if self.fault == Life::Unborn
                    && self.postcopy == PostcopyState::Listening
                    && !self.notified =>
            {
                self.fault = Life::Runs(thread);
                let fds = Item::Maybe("postcopy_ram_fault_thread_fds_core", String::new());
                self.push(thread, vec![fds, Item::Faults]);
                Ok(())
            }
            ("postcopy_ram_incoming_cleanup_entry", _)
                if self.plan.teardown == Teardown::MainBhJoin && self.listen == Life::Over =>
            {
                self.cleanup = true;
                self.push(thread, item::cleanup().split_off(1));
                Ok(())
            }
            ("postcopy_ram_incoming_cleanup_entry", _) if self.never_listened() => {
                self.push(thread, vec![one("postcopy_ram_incoming_cleanup_exit")]);
                Ok(())
            }
            ("loadvm_state_cleanup", _) if self.loaded && !matches!(self.listen, Life::Runs(_)) => {
                self.state_cleanup(event)?;
                self.push(thread, vec![Item::Maybe("migrate_send_rp_message", "1:".into())]);
                Ok(())
            }
            _ => Err("no thread comes to this here".into()),
        }
    }

    /// An advised postcopy that ends as a precopy: what was set up for it is taken
    /// down, before the status or, where all teardown is a BH's, after it.
    fn never_listened(&self) -> bool {
        let ended = matches!(self.status, Status::Completed | Status::Failed);
        let now = match self.plan.teardown {
            Teardown::MainBhJoin => ended && self.postcopy != PostcopyState::None,
            _ => !ended && self.postcopy == PostcopyState::Advise,
        };
        self.loaded && self.listen == Life::Unborn && !self.cleaned && now
    }

    /// What may begin now, for the report.
    pub(super) fn beginnings(&self) -> Vec<&'static str> {
        let mut all = Vec::new();
        match self.status {
            Status::None | Status::Setup if !self.connected => {
                all.push("migration_socket_incoming_accepted");
            }
            Status::PostcopyPaused => all.push("migration_socket_incoming_accepted"),
            Status::None | Status::Setup => all.push("migrate_set_state new state active"),
            _ => {}
        }
        if self.postcopy == PostcopyState::Listening && self.fault == Life::Unborn {
            all.push("postcopy_ram_fault_thread_entry");
        }
        if self.notified && self.listen == Life::Unborn {
            all.push("migrate_set_state new state postcopy-active");
        }
        all
    }

    /// Events with which a thread gives up what it was at. None: another event.
    pub(super) fn breaks_off(&mut self, event: &Event) -> Option<Result<(), Refusal>> {
        let thread = event.thread;
        let failed = event.text.starts_with('-');
        let result = match event.name {
            "postcopy_pause_incoming" => self.pause(event),
            "postcopy_ram_listen_thread_exit" if self.reads(thread, Channel::Postcopy) => {
                self.stacks.remove(&thread);
                self.listen_ends(event, true)
            }
            "qemu_loadvm_state_post_main" if failed && self.reads(thread, Channel::Main) => {
                self.stacks.remove(&thread);
                self.loaded = true;
                let failed = Item::Maybe("migrate_set_state", "new state failed".into());
                let hooks = Item::Maybe("loadvm_state_cleanup", String::new());
                let shut = Item::Maybe("migrate_send_rp_message", "1:".into());
                self.push(thread, vec![failed, hooks, shut]);
                Ok(())
            }
            _ => return None,
        };
        let allowed = self.top(thread).into_iter().map(Item::allows).collect();
        Some(result.map_err(|reason| Refusal { reason, allowed }))
    }

    /// `postcopy_pause_incoming()`: only the listen thread, while it reads, once the
    /// guest runs.
    fn pause(&mut self, event: &Event) -> Result<(), String> {
        let thread = event.thread;
        let may = matches!(self.status, Status::PostcopyActive | Status::PostcopyRecover);
        if self.postcopy != PostcopyState::Running || !may {
            return Err(format!("in {} and {:?} nothing pauses", self.status, self.postcopy));
        }
        let reading = match self.top(thread) {
            Some(Item::Stream(_) | Item::Pages | Item::Command(_)) => true,
            Some(Item::Page { .. }) => self.pages.resolved.is_none(),
            Some(Item::One(name, _)) => READS.contains(name),
            _ => false,
        };
        if self.listen != Life::Runs(thread) || !reading {
            return Err("the thread does not read from the source here".into());
        }
        let stack = self.stacks.entry(thread).or_default();
        let stream = stack.iter().position(|item| *item == Item::Stream(Channel::Postcopy));
        stack.truncate(stream.map_or(0, |index| index + 1));
        self.push(thread, vec![Item::Status("postcopy-paused"), Item::Paused]);
        self.pages.reconnect();
        (self.closed, self.saw_closed) = (true, true);
        Ok(())
    }
}
