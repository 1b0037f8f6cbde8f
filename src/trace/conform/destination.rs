//! A destination as its log shows it: the states of the simulator, the threads'
//! lives, and what each thread is to log next.
//! Must not know: lines, times.

use super::item::{self, Channel, Item, one};
use super::pages::{Pages, after};
use super::{Event, Refusal};
use crate::sim::{LoadvmBql, Plan, PostcopyState, Status, Teardown, Version, VfioCleanup};
use std::collections::BTreeMap;

/// A thread that lives only for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    Unborn,
    Runs(u32),
    Over,
}

/// A destination so far.
#[derive(Clone)]
pub struct Destination {
    pub(super) plan: Plan,
    pub(super) status: Status,
    pub(super) postcopy: PostcopyState,
    /// What each thread is to log, the next on top.
    pub(super) stacks: BTreeMap<u32, Vec<Item>>,
    pub(super) listen: Life,
    pub(super) fault: Life,
    pub(super) pages: Pages,
    pub(super) connected: bool,
    /// `postcopy_ram_enable_notify`.
    pub(super) notified: bool,
    pub(super) discarded: bool,
    /// Somebody tears down.
    pub(super) cleanup: bool,
    pub(super) cleaned: bool,
    /// The main thread has read up to RUN, or failed.
    pub(super) loaded: bool,
    /// `mis->to_src_file` is none: from the pause on, until somebody recovers.
    pub(super) closed: bool,
    /// The fault thread may have seen that since its last event.
    pub(super) saw_closed: bool,
    /// Of `postcopy_pause_sem_fault`: a resume posts it, a pause of the fault
    /// thread waits for it.
    pub(super) resumes: u32,
}

impl Destination {
    /// One that nobody has connected to.
    pub fn new(plan: Plan) -> Destination {
        Destination {
            plan,
            status: Status::None,
            postcopy: PostcopyState::None,
            stacks: BTreeMap::new(),
            listen: Life::Unborn,
            fault: Life::Unborn,
            pages: Pages::default(),
            connected: false,
            notified: false,
            discarded: false,
            cleanup: false,
            cleaned: false,
            loaded: false,
            closed: false,
            saw_closed: false,
            resumes: 0,
        }
    }

    pub(super) fn push(&mut self, thread: u32, items: Vec<Item>) {
        self.stacks.entry(thread).or_default().extend(items.into_iter().rev());
    }

    pub(super) fn top(&self, thread: u32) -> Option<&Item> {
        self.stacks.get(&thread).and_then(|stack| stack.last())
    }

    pub(super) fn pop(&mut self, thread: u32) {
        if let Some(stack) = self.stacks.get_mut(&thread) {
            stack.pop();
        }
    }

    /// Whether `thread` is somewhere in reading the stream of `channel`.
    pub(super) fn reads(&self, thread: u32, channel: Channel) -> bool {
        let stack = self.stacks.get(&thread);
        stack.is_some_and(|stack| stack.contains(&Item::Stream(channel)))
    }

    /// The next event of the log.
    pub fn event(&mut self, event: &Event) -> Result<(), Refusal> {
        let result = self.next(event);
        if self.fault == Life::Runs(event.thread) {
            self.saw_closed = self.closed;
        }
        result
    }

    fn next(&mut self, event: &Event) -> Result<(), Refusal> {
        if let Some(result) = self.breaks_off(event) {
            return result;
        }
        let mut allowed = Vec::new();
        while let Some(item) = self.top(event.thread).cloned() {
            match self.item(&item, event) {
                Step::Taken => return Ok(()),
                Step::Refused(reason) => {
                    allowed.push(item.allows());
                    return Err(Refusal { reason, allowed });
                }
                Step::Other if item.is_needed(self, event.thread) => {
                    allowed.push(item.allows());
                    let reason = "the thread has something else to do first".into();
                    return Err(Refusal { reason, allowed });
                }
                Step::Other => {
                    allowed.push(item.allows());
                    self.pop(event.thread);
                }
            }
        }
        self.fresh(event).map_err(|reason| {
            allowed.extend(self.beginnings().into_iter().map(String::from));
            Refusal { reason, allowed }
        })
    }

    /// What an item makes of an event.
    fn item(&mut self, item: &Item, event: &Event) -> Step {
        let thread = event.thread;
        match item {
            Item::One(name, text) | Item::Maybe(name, text) => {
                if event.name != *name || !event.text.starts_with(text.as_str()) {
                    return Step::Other;
                }
                self.pop(thread);
                Step::of(self.happens(event))
            }
            Item::Many(name) if event.name == *name => Step::of(self.happens(event)),
            Item::Status(status) => {
                if event.name != "migrate_set_state" || event.status() != *status {
                    return Step::Other;
                }
                self.pop(thread);
                Step::of(self.set_status(event))
            }
            Item::Stream(channel) => self.section(*channel, event),
            Item::Command(channel) => self.command(*channel, event),
            Item::Load(section, channel) => self.load(section.as_deref(), *channel, event),
            Item::Over => Step::Refused("the thread has ended".into()),
            _ => self.page_item(item, event),
        }
    }

    /// `qemu_loadvm_state_section TYPE`.
    fn section(&mut self, channel: Channel, event: &Event) -> Step {
        if event.name != "qemu_loadvm_state_section" {
            return Step::Other;
        }
        // Where it is dropped for each read, it may be either way here.
        if channel == Channel::Postcopy && self.plan.loadvm_bql != LoadvmBql::DroppedForIo {
            let wanted = self.plan.loadvm_bql == LoadvmBql::Held;
            if event.bql.is_some_and(|held| held != wanted) {
                let how = if wanted { "without" } else { "with" };
                return Step::Refused(format!(
                    "the listen thread reads {how} the BQL, which is not this plan's way"
                ));
            }
        }
        let recovering = channel == Channel::Postcopy && self.status == Status::PostcopyRecover;
        let begin = |kind| vec![one(kind), Item::Load(None, channel)];
        let items = match event.text {
            "0" if recovering || channel == Channel::Package => {
                return Step::Refused("the stream does not end here".into());
            }
            "0" => {
                self.pop(event.thread);
                return Step::Taken;
            }
            "8" => vec![Item::Command(channel)],
            _ if recovering => {
                return Step::Refused("before POSTCOPY_RESUME there are only commands".into());
            }
            "1" if channel == Channel::Main => begin("qemu_loadvm_state_section_startfull"),
            "4" => begin("qemu_loadvm_state_section_startfull"),
            "2" | "3" if channel != Channel::Package => begin("qemu_loadvm_state_section_partend"),
            _ => return Step::Refused("no section of this type comes here".into()),
        };
        self.push(event.thread, items);
        Step::Taken
    }

    /// `loadvm_process_command com=NAME len=N`.
    fn command(&mut self, channel: Channel, event: &Event) -> Step {
        if event.name != "loadvm_process_command" {
            return Step::Other;
        }
        let name = after(event.text, "com=").unwrap_or("");
        let Some(items) = item::command(name, channel, self.plan.version) else {
            return Step::Refused(format!("{name} does not come on this channel"));
        };
        self.pop(event.thread);
        self.push(event.thread, items);
        Step::of(self.commanded(name))
    }

    /// What a command needs, and what it does to PostcopyState.
    fn commanded(&mut self, name: &str) -> Result<(), String> {
        use PostcopyState::*;
        let recovering = self.status == Status::PostcopyRecover;
        let next = match name {
            "POSTCOPY_ADVISE" => Advise,
            "POSTCOPY_RAM_DISCARD" => Discard,
            "POSTCOPY_LISTEN" => Listening,
            "POSTCOPY_RUN" => Running,
            "POSTCOPY_RESUME" if recovering => {
                self.pages.forget_block();
                return Ok(());
            }
            "RECV_BITMAP" | "POSTCOPY_RESUME" if !recovering => {
                return Err(format!("{name} comes only in postcopy-recover"));
            }
            _ => return Ok(()),
        };
        if !self.postcopy.may_become(next) {
            return Err(format!("PostcopyState goes from {:?} to {next:?}", self.postcopy));
        }
        if next == Running && self.listen == Life::Unborn {
            return Err("there is no listen thread".into());
        }
        self.postcopy = next;
        Ok(())
    }

    /// `vmstate_load IDSTR, ...`.
    fn load(&mut self, section: Option<&str>, channel: Channel, event: &Event) -> Step {
        if event.name != "vmstate_load" {
            return Step::Other;
        }
        let idstr = event.text.split(',').next().unwrap_or("");
        if section.is_some_and(|section| section != idstr) {
            return Step::Refused("another section was announced".into());
        }
        self.pop(event.thread);
        if channel == Channel::Postcopy && idstr == "ram" {
            self.push(event.thread, vec![Item::Pages]);
        }
        Step::Taken
    }

    /// `migrate_set_state`: legal by the simulator's table.
    pub(super) fn set_status(&mut self, event: &Event) -> Result<(), String> {
        let Some(new) = Status::named(event.status()) else {
            return Err(format!("a destination is never {}", event.status()));
        };
        // The incoming state begins as NONE; SETUP is not in the model.
        let first = self.status == Status::None && new == Status::Setup;
        let version = self.plan.version;
        // Nor is precopy's end.
        let precopy = self.status == Status::Active && new == Status::Completed;
        let left_out = first && version != Version::V7_2
            || precopy && self.loaded && self.postcopy < PostcopyState::Listening;
        if !left_out && !self.status.destination_may_become(new, version) {
            return Err(format!("mis->state goes from {} to {new}", self.status));
        }
        self.status = new;
        self.closed &= new != Status::PostcopyRecover;
        Ok(())
    }

    /// An event that came in its turn: what it does.
    fn happens(&mut self, event: &Event) -> Result<(), String> {
        match event.name {
            "postcopy_init_range" => self.pages.block(event.text),
            "postcopy_nhp_range" if self.discarded => {
                return Err("it comes with the first discard only".into());
            }
            "qemu_loadvm_state_section_startfull" => {
                let idstr = event.text.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
                let idstr = idstr.map(|(idstr, _)| idstr.to_string());
                if let Some(Item::Load(section, _)) =
                    self.stacks.get_mut(&event.thread).and_then(|stack| stack.last_mut())
                {
                    *section = idstr;
                }
            }
            "qemu_loadvm_state_section_partend" => {}
            "loadvm_postcopy_ram_handle_discard_end" => self.discarded = true,
            "postcopy_ram_enable_notify" => self.notified = true,
            "loadvm_postcopy_handle_listen"
                if event.text.starts_with("return") && self.listen == Life::Unborn =>
            {
                return Err("the listen thread has not begun".into());
            }
            "qemu_loadvm_state_section_command" if event.text == "1" => self.quit(event.thread),
            "qemu_loadvm_state_post_main" => self.loaded = true,
            "postcopy_ram_listen_thread_exit" => return self.listen_ends(event, false),
            "postcopy_ram_incoming_cleanup_entry" => self.cleanup = true,
            "postcopy_ram_incoming_cleanup_exit" if matches!(self.fault, Life::Runs(_)) => {
                return Err("the fault thread has not ended".into());
            }
            "postcopy_ram_fault_thread_quit" if !self.cleanup => {
                return Err("nobody tears down".into());
            }
            "postcopy_ram_fault_thread_exit" => self.fault = Life::Over,
            "loadvm_state_cleanup" => return self.state_cleanup(event),
            "migrate_set_state" => return self.set_status(event),
            // RESUME_ACK: the fault thread may go on.
            "migrate_send_rp_message" if event.text.starts_with("6:") => self.resumes += 1,
            _ => {}
        }
        Ok(())
    }

    /// RUN: no more of the stream that it came in.
    fn quit(&mut self, thread: u32) {
        let ends = |item: Option<&Item>| matches!(item, Some(Item::Stream(_)));
        if ends(self.top(thread)) {
            self.pop(thread);
        }
    }

    /// The hooks of `load_cleanup`, by who tears down and how.
    pub(super) fn state_cleanup(&mut self, event: &Event) -> Result<(), String> {
        let listens = self.listen == Life::Runs(event.thread);
        let wanted = !(listens && self.plan.teardown == Teardown::ListenWithoutBql);
        let any = self.plan.vfio_cleanup == VfioCleanup::TakesBql;
        if !any && event.bql.is_some_and(|held| held != wanted) {
            let how = if wanted { "without" } else { "with" };
            return Err(format!("load_cleanup runs {how} the BQL, not as in this plan"));
        }
        if std::mem::replace(&mut self.cleaned, true) {
            return Err("load_cleanup has run".into());
        }
        Ok(())
    }

    /// The listen thread leaves its loop, at the end of the stream or at an error.
    pub(super) fn listen_ends(&mut self, event: &Event, failed: bool) -> Result<(), String> {
        if !failed && self.pages.missing() > 0 {
            return Err(format!("{} pages are still asked for", self.pages.missing()));
        }
        let status = if failed { "failed" } else { "completed" };
        let mut items = Vec::new();
        let version = self.plan.version;
        match self.plan.teardown {
            Teardown::MainBhJoin => items.push(Item::Status(status)),
            _ if failed => {
                items.push(Item::Maybe("migrate_set_state", "new state failed".into()));
                items.extend(item::cleanup());
            }
            _ => {
                items.extend(item::cleanup());
                items.push(Item::Status(status));
                let shut = Item::Maybe("migrate_send_rp_message", "1:".into());
                let hooks = one("loadvm_state_cleanup");
                let order = if version == Version::V7_2 { [shut, hooks] } else { [hooks, shut] };
                items.extend(order);
            }
        }
        items.push(Item::Over);
        self.push(event.thread, items);
        if self.plan.teardown == Teardown::MainBhJoin {
            self.listen = Life::Over;
        }
        Ok(())
    }
}

/// What came of an event at an item.
pub enum Step {
    /// It was the next.
    Taken,
    /// The item does not know it.
    Other,
    /// It was, and cannot be.
    Refused(String),
}

impl Step {
    pub(super) fn of(result: Result<(), String>) -> Step {
        match result {
            Ok(()) => Step::Taken,
            Err(reason) => Step::Refused(reason),
        }
    }
}
