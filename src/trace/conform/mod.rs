//! Whether a log is one that the simulator could have made: its migration events
//! are replayed against the simulator's states, under a plan.
//! Must not know: how locks are counted, how a report looks.

mod begin;
mod destination;
mod item;
mod pages;
mod paging;
mod pair;
mod source;

use super::dialect::{self, Line, LockEvent, Operation, Read};
use crate::sim::{LoadvmBql, Plan};
use destination::{Destination, Life};
use item::Channel;
use pair::Messages;
use serde::Serialize;
use source::Source;

/// What a replay came to.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    pub log: usize,
    pub plan: String,
    pub accepted: bool,
    /// How many events were accepted.
    pub events: u64,
    pub refused: Option<Refused>,
}

/// The first event that the simulator could not have made.
#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    pub line: u64,
    pub at_us: u64,
    /// The kernel's id.
    pub thread: u64,
    pub event: String,
    /// Why not.
    pub reason: String,
    /// What would have been.
    pub allowed: Vec<String>,
}

/// Why an event is not one that can come.
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    pub reason: String,
    pub allowed: Vec<String>,
}

/// An event as the replay sees it.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub thread: u32,
    pub name: &'a str,
    pub text: &'a str,
    /// Whether the thread has the BQL, if that is known.
    pub bql: Option<bool>,
}

impl Event<'_> {
    /// Of `migrate_set_state`.
    fn status(&self) -> &str {
        self.text.strip_prefix("new state ").unwrap_or("")
    }

    /// `migrate_send_rp_message` of REQ_PAGES_ID or REQ_PAGES.
    fn is_request(&self) -> bool {
        self.text.starts_with("3:") || self.text.starts_with("4:")
    }
}

/// Events of a destination that the replay knows; any other is passed over.
pub const DESTINATION: [&str; 47] = [
    "loadvm_handle_cmd_packaged",
    "loadvm_handle_cmd_packaged_main",
    "loadvm_handle_cmd_packaged_received",
    "loadvm_handle_recv_bitmap",
    "loadvm_postcopy_handle_advise",
    "loadvm_postcopy_handle_listen",
    "loadvm_postcopy_handle_resume",
    "loadvm_postcopy_handle_run",
    "loadvm_postcopy_ram_handle_discard",
    "loadvm_postcopy_ram_handle_discard_end",
    "loadvm_postcopy_ram_handle_discard_header",
    "loadvm_process_command",
    "loadvm_process_command_ping",
    "loadvm_state_cleanup",
    "loadvm_state_setup",
    "migrate_send_rp_message",
    "migrate_send_rp_recv_bitmap",
    "migrate_set_state",
    "migration_set_incoming_channel",
    "migration_socket_incoming_accepted",
    "postcopy_cleanup_range",
    "postcopy_init_range",
    "postcopy_nhp_range",
    "postcopy_page_req_add",
    "postcopy_page_req_del",
    "postcopy_pause_fault_thread",
    "postcopy_pause_fault_thread_continued",
    "postcopy_pause_incoming",
    "postcopy_pause_incoming_continued",
    "postcopy_place_page",
    "postcopy_place_page_zero",
    "postcopy_ram_enable_notify",
    "postcopy_ram_fault_thread_entry",
    "postcopy_ram_fault_thread_exit",
    "postcopy_ram_fault_thread_fds_core",
    "postcopy_ram_fault_thread_quit",
    "postcopy_ram_fault_thread_request",
    "postcopy_ram_incoming_cleanup_entry",
    "postcopy_ram_incoming_cleanup_exit",
    "postcopy_ram_incoming_cleanup_join",
    "postcopy_ram_listen_thread_exit",
    "postcopy_ram_listen_thread_start",
    "qemu_loadvm_state_post_main",
    "qemu_loadvm_state_section",
    "qemu_loadvm_state_section_command",
    "ram_load_postcopy_loop",
    "vmstate_load",
];

/// And these two, of a section's beginning.
const SECTIONS: [&str; 3] = [
    "process_incoming_migration_co_postcopy_end_main",
    "qemu_loadvm_state_section_partend",
    "qemu_loadvm_state_section_startfull",
];

/// Events that only a source has.
fn is_source(name: &str) -> bool {
    source::EVENTS.contains(&name) && !DESTINATION.contains(&name)
}

fn is_destination(name: &str) -> bool {
    DESTINATION.contains(&name) || SECTIONS.contains(&name)
}

/// A replay so far.
#[derive(Clone)]
pub struct Conform {
    plan: Plan,
    destination: Destination,
    source: Source,
    /// Which side it is, once an event says so.
    is_source: Option<bool>,
    /// `migrate_set_state new state setup`, before that: thread, time and line.
    setup: Option<((u64, u64), u64)>,
    events: u64,
    refused: Option<Refused>,
    messages: Messages,
}

impl Conform {
    /// Under `plan`, before the first event.
    pub fn new(plan: Plan) -> Conform {
        Conform {
            destination: Destination::new(plan.clone()),
            source: Source::new(&plan),
            plan,
            is_source: None,
            setup: None,
            events: 0,
            refused: None,
            messages: Messages::default(),
        }
    }

    /// A lock operation: the listen thread takes the BQL only where the plan says.
    pub fn lock(
        &mut self,
        thread: u32,
        id: u64,
        bql: bool,
        (operation, _, place): LockEvent,
        us: u64,
        line: u64,
    ) {
        let d = &self.destination;
        let reads = d.listen == Life::Runs(thread) && d.reads(thread, Channel::Postcopy);
        let taken = operation == Operation::Locked && bql;
        if self.refused.is_none() && taken && reads && self.plan.loadvm_bql == LoadvmBql::None {
            let place = String::from_utf8_lossy(place);
            let allowed = d.top(thread).into_iter().map(item::Item::allows).collect();
            self.refused = Some(Refused {
                line,
                at_us: us,
                thread: id,
                event: format!("qemu_mutex_locked bql ({place})"),
                reason: "the listen thread takes the BQL to read the stream, which is not this \
                         plan's way"
                    .into(),
                allowed,
            });
        }
    }

    /// Another event.
    pub fn event(&mut self, thread: u32, bql: Option<bool>, line: &Line, number: u64) {
        let (Ok(name), Ok(text)) =
            (std::str::from_utf8(line.event), std::str::from_utf8(line.text))
        else {
            return;
        };
        if self.refused.is_some() {
            return;
        }
        let event = Event { thread, name, text: text.trim_end(), bql };
        if self.is_source.is_none() && name != "migrate_set_state" {
            let (source, destination) = (is_source(name), is_destination(name));
            self.is_source = (source || destination).then_some(source);
        }
        if let Some(source) = self.is_source
            && let Some((line, number)) = self.setup.take()
        {
            let setup = Event { thread, name: "migrate_set_state", text: "new state setup", bql };
            let result =
                if source { self.source.event(&setup) } else { self.destination.event(&setup) };
            self.note(result, &setup, line, number);
        }
        if let Some(source) = self.is_source {
            self.messages.note(source, &event, (number, line.us, line.thread));
        }
        let result = match self.is_source {
            Some(true) if source::EVENTS.contains(&name) => self.source.event(&event),
            Some(false) if is_destination(name) => self.destination.event(&event),
            // Both sides may begin with SETUP: which it is, the next event says.
            None if event.status() == "setup" && self.setup.is_none() => {
                self.setup = Some(((line.thread, line.us), number));
                return;
            }
            None if name == "migrate_set_state" => {
                let reason = "no migration has begun".into();
                Err(Refusal { reason, allowed: vec!["migrate_set_state new state setup".into()] })
            }
            _ => return,
        };
        self.note(result, &event, (line.thread, line.us), number);
    }

    fn note(
        &mut self,
        result: Result<(), Refusal>,
        event: &Event,
        (thread, at_us): (u64, u64),
        line: u64,
    ) {
        if self.refused.is_some() {
            return;
        }
        let Err(Refusal { reason, mut allowed }) = result else {
            self.events += 1;
            return;
        };
        allowed.dedup();
        let event = format!("{} {}", event.name, event.text).trim_end().into();
        self.refused = Some(Refused { line, at_us, thread, event, reason, allowed });
    }

    /// One line of a log by itself: what locks its thread has is not known.
    pub fn read(&mut self, line: &[u8], number: u64) {
        if let Read::Event(line) = dialect::read(line)
            && dialect::lock_event(&line).is_none()
        {
            self.event(line.thread as u32, None, &line, number);
        }
    }

    /// Whether the replay knows events called so.
    pub fn knows(name: &str) -> bool {
        is_destination(name) || source::EVENTS.contains(&name)
    }

    /// Whether this log and `other` are the two sides of a migration: this one the
    /// source's.
    pub fn is_source_of(&self, other: &Conform) -> bool {
        (self.is_source, other.is_source) == (Some(true), Some(false))
    }

    /// Holds the messages of this source against those of `destination`. False:
    /// there are too many.
    pub fn compare(
        &self,
        outcome: &mut Outcome,
        destination: &Conform,
        other: &mut Outcome,
    ) -> bool {
        if self.messages.overflow || destination.messages.overflow {
            return false;
        }
        pair::compare((&self.messages, outcome), (&destination.messages, other));
        true
    }

    /// What it came to, for the log with this number.
    pub fn outcome(&self, log: usize) -> Outcome {
        Outcome {
            log,
            plan: self.plan.name.clone(),
            accepted: self.refused.is_none(),
            events: self.events,
            refused: self.refused.clone(),
        }
    }
}
