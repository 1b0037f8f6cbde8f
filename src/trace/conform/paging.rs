//! Pages and page faults: a page is asked for once, comes once, and is where the
//! source says.
//! Must not know: sections and commands.

use super::Event;
use super::destination::{Destination, Life, Step};
use super::item::{Item, one};
use super::pages::{after, hex};
use crate::sim::Status;

/// RAM_SAVE_FLAG_ZERO, _PAGE, _EOS, _CONTINUE.
const ZERO: u64 = 0x02;
const PAGE: u64 = 0x08;
const EOS: u64 = 0x10;
const CONTINUE: u64 = 0x20;

impl Item {
    /// Whether a thread must do it before it goes on.
    pub fn is_needed(&self, destination: &Destination, _thread: u32) -> bool {
        match self {
            Item::Maybe(..) | Item::Many(_) | Item::Pending | Item::Sent { .. } => false,
            Item::Zeroed { host } => destination.pages.is_requested(*host),
            // Not asked for if it has come, or just comes.
            Item::Fault { host, sure, .. } => {
                *sure && !destination.pages.has(*host) && !destination.pages.may_be_placing(*host)
            }
            _ => true,
        }
    }
}

impl Destination {
    /// What an item that has to do with pages makes of an event.
    pub(super) fn page_item(&mut self, item: &Item, event: &Event) -> Step {
        let thread = event.thread;
        match (item, event.name) {
            (Item::Pages, "ram_load_postcopy_loop") => self.announced(event),
            (Item::Page { offset, same_block, zero: false }, "postcopy_page_req_del") => {
                Step::of(self.resolve(event, *offset, *same_block))
            }
            (
                Item::Page { offset, zero, same_block },
                "postcopy_place_page" | "postcopy_place_page_zero",
            ) => {
                if *zero != event.name.ends_with("zero") {
                    return Step::Refused("the page was announced as another kind".into());
                }
                self.pop(thread);
                Step::of(self.place(event, *offset, *same_block, *zero))
            }
            (Item::Zeroed { host }, "postcopy_page_req_del") => {
                self.pop(thread);
                let same = event.text.split(' ').nth(3).and_then(hex) == Some(*host);
                match same && self.pages.resolve(*host) {
                    true => Step::Taken,
                    false => Step::Refused("nobody has asked for the page".into()),
                }
            }
            (Item::Pending, "migrate_send_rp_message") if event.is_request() => {
                self.pages.forget_block();
                Step::Taken
            }
            (Item::Paused, "postcopy_pause_incoming_continued") => {
                if self.status != Status::PostcopyRecover {
                    return Step::Refused("nobody has recovered".into());
                }
                self.pop(thread);
                Step::Taken
            }
            (Item::Faults, "postcopy_ram_fault_thread_request") => self.fault(event),
            (Item::Faults, "postcopy_pause_fault_thread") => {
                if !self.saw_closed {
                    let reason = "no request has failed, and the listen thread has not paused";
                    return Step::Refused(reason.into());
                }
                self.push(thread, vec![Item::FaultPaused]);
                Step::Taken
            }
            // It may know of the break before the listen thread does.
            (Item::Sent { host, block }, "postcopy_pause_fault_thread") => {
                let (host, block, sure) = (*host, block.clone(), !self.saw_closed);
                let retry = Item::Fault { host, block, sure };
                self.pop(thread);
                self.push(thread, vec![Item::FaultPaused, retry]);
                Step::Taken
            }
            (Item::Faults, "postcopy_ram_fault_thread_quit") => {
                if !self.cleanup {
                    return Step::Refused("nobody tears down".into());
                }
                self.pop(thread);
                self.push(thread, vec![one("postcopy_ram_fault_thread_exit"), Item::Over]);
                Step::Taken
            }
            (Item::Fault { host, block, .. }, "postcopy_page_req_add") => {
                let added = event.text.split(' ').nth(3).and_then(hex);
                if added != Some(*host) {
                    return Step::Refused("the fault was at another page".into());
                }
                let comes = self.pages.zeroed == Some(*host);
                if self.pages.has(*host) && !comes || self.pages.is_requested(*host) {
                    return Step::Refused("the page has come, or is asked for already".into());
                }
                self.pages.request(*host);
                self.pop(thread);
                self.push(thread, vec![Item::Request { host: *host, block: block.clone() }]);
                Step::Taken
            }
            // Somebody had asked for it; meanwhile it may have come.
            (Item::Fault { host, block, .. }, "migrate_send_rp_message")
                if event.is_request() && self.is_asked_for(*host) =>
            {
                Step::of(self.request(event, *host, block))
            }
            (Item::Request { host, block }, "migrate_send_rp_message") if event.is_request() => {
                Step::of(self.request(event, *host, block))
            }
            (Item::FaultPaused, "postcopy_pause_fault_thread_continued") => {
                if self.resumes == 0 {
                    return Step::Refused("nobody has recovered".into());
                }
                self.resumes -= 1;
                self.pop(thread);
                Step::Taken
            }
            _ => Step::Other,
        }
    }

    /// `ram_load_postcopy_loop chan=N addr=X flags=F`.
    fn announced(&mut self, event: &Event) -> Step {
        self.pages.zeroed = None;
        let number = |key| after(event.text, key).and_then(hex);
        let (Some(offset), Some(flags)) = (number("addr="), number("flags=")) else {
            return Step::Refused("it cannot be read".into());
        };
        if flags & EOS != 0 {
            self.pop(event.thread);
        } else if flags & (ZERO | PAGE) != 0 {
            let same_block = flags & CONTINUE != 0;
            let page = Item::Page { offset, zero: flags & ZERO != 0, same_block };
            self.push(event.thread, vec![page]);
            self.pages.placing = Some((offset, same_block));
        }
        Step::Taken
    }

    /// `postcopy_page_req_del resolved page req 0xHOST total N`.
    fn resolve(&mut self, event: &Event, offset: u64, same_block: bool) -> Result<(), String> {
        let host = event.text.split(' ').nth(3).and_then(hex).ok_or("it cannot be read")?;
        if self.pages.resolved.is_some() || !self.pages.is_at(host, offset, same_block) {
            return Err("another page is being placed".into());
        }
        if !self.pages.resolve(host) {
            return Err("nobody has asked for the page".into());
        }
        self.pages.resolved = Some(host);
        Ok(())
    }

    /// `postcopy_place_page host=0xHOST`.
    fn place(
        &mut self,
        event: &Event,
        offset: u64,
        same_block: bool,
        zero: bool,
    ) -> Result<(), String> {
        let host = after(event.text, "host=").and_then(hex).ok_or("it cannot be read")?;
        let resolved = self.pages.resolved.take();
        self.pages.placing = None;
        if resolved.is_some_and(|resolved| resolved != host)
            || !self.pages.is_at(host, offset, same_block)
        {
            return Err("another page was announced".into());
        }
        if zero {
            self.pages.zeroed = Some(host);
            self.push(event.thread, vec![Item::Zeroed { host }]);
        } else if resolved.is_none() && self.pages.is_requested(host) {
            return Err("the request for the page is not resolved".into());
        }
        match self.pages.receive(host) {
            true => Ok(()),
            false => Err("the page is placed twice".into()),
        }
    }

    /// `postcopy_ram_fault_thread_request Request for HVA=0x... rb=... offset=0x...`.
    fn fault(&mut self, event: &Event) -> Step {
        let Some((host, offset, block)) = Destination::fault_of(event.text) else {
            return Step::Refused("it cannot be read".into());
        };
        if !self.pages.is_in(&block, host, offset) {
            return Step::Refused(format!("the page is not at that offset of {block}"));
        }
        if !matches!(self.fault, Life::Runs(_)) {
            return Step::Refused("there is no fault thread".into());
        }
        self.push(event.thread, vec![Item::Fault { host, block, sure: true }]);
        Step::Taken
    }

    /// Whether a request for the page at `host` was logged by its first thread.
    fn is_asked_for(&self, host: u64) -> bool {
        let pages = &self.pages;
        pages.is_requested(host) || pages.has(host) || pages.may_be_placing(host)
    }

    /// REQ_PAGES_ID names the block, REQ_PAGES means the last one.
    fn request(&mut self, event: &Event, host: u64, block: &str) -> Result<(), String> {
        self.pop(event.thread);
        self.push(event.thread, vec![Item::Sent { host, block: block.into() }]);
        let named = event.text.starts_with("3:");
        let same = self.pages.last_rb.as_deref() == Some(block);
        if named == same && self.pages.any_rb == 0 {
            return Err(match named {
                true => "the block is the last one: it is not named again".into(),
                false => "the block is another than the last: it has to be named".into(),
            });
        }
        self.pages.last_rb = Some(block.into());
        self.pages.any_rb = self.pages.any_rb.saturating_sub(1);
        Ok(())
    }

    /// `postcopy_ram_fault_thread_request` and its kin need the page's address.
    pub(super) fn fault_of(text: &str) -> Option<(u64, u64, String)> {
        let host = after(text, "HVA=").and_then(hex)?;
        let offset = after(text, "offset=").and_then(hex)?;
        let block = text.split_once("rb=")?.1.rsplit_once(" offset=")?.0;
        Some((host, offset, block.into()))
    }
}
