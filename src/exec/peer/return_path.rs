//! The source's return path thread (`source_return_path_thread`).
//! Must not know: what the migration thread sends meanwhile.

use super::guest::Guest;
use super::output::Output;
use super::script::Script;
use super::state::{ReturnPath, Shared, State, Status};
use super::wire::{Incoming, Wire};
use crate::sim::Version;
use crate::sim::stream::{Item, MIGRATION_RESUME_ACK_VALUE, Page, Ram, Replies, Reply};

/// The preempt channel, once this thread has to write to it.
type Preempt = Output<Box<dyn Wire + Send>>;

struct Thread<'a, S> {
    guest: &'a Guest,
    script: &'a Script,
    shared: &'a S,
    preempt: Option<Preempt>,
    /// `last_sent_block` of the preempt channel.
    last_sent: Option<usize>,
}

/// Reads one connection's return path until it ends; the state says how. To be
/// run again for the next connection.
pub fn return_path<W: Wire, S: Shared>(guest: &Guest, script: &Script, shared: &S, wire: W) {
    let mut replies = Replies::new(Incoming(wire));
    let mut thread = Thread { guest, script, shared, preempt: None, last_sent: None };
    let wrong = loop {
        match replies.next() {
            Ok(Some(Reply::Shut(0))) => break None,
            Ok(Some(Reply::Shut(error))) => {
                break Some(format!("Sibling indicated error {error}"));
            }
            Ok(Some(reply)) => {
                if let Err(wrong) = thread.handle(reply) {
                    break Some(wrong);
                }
            }
            Ok(None) => break Some("the return path ended without SHUT".into()),
            Err(broken) => break Some(broken.to_string()),
        }
    };
    if let Some(preempt) = &mut thread.preempt {
        preempt.shutdown();
    }
    shared.with(|state| state.return_path = ReturnPath::Ended(wrong));
}

impl<S: Shared> Thread<'_, S> {
    fn handle(&mut self, reply: Reply) -> Result<(), String> {
        match reply {
            Reply::Shut(_) | Reply::SwitchoverAck => Ok(()),
            Reply::Pong(value) => {
                self.shared.with(|state| state.pongs.push(value));
                Ok(())
            }
            Reply::ReqPages { start, length } => {
                let block = self.shared.with(|state| state.last_block);
                let block = block.ok_or("MIG_RP_MSG_REQ_PAGES has no previous block")?;
                self.request(block, start, length)
            }
            Reply::ReqPagesId { block, start, length } => {
                let block = self.block(&block)?;
                self.shared.with(|state| state.last_block = Some(block));
                self.request(block, start, length)
            }
            Reply::RecvBitmap { block, bitmap } => {
                let block = self.block(&block)?;
                self.shared.with(|state| {
                    if state.status != Status::PostcopyRecover {
                        return Err(format!("Reload bitmap in incorrect state {:?}", state.status));
                    }
                    let fits = state.reload(block, &bitmap);
                    fits.then_some(()).ok_or_else(|| "ramblock bitmap size mismatch".into())
                })
            }
            Reply::ResumeAck(MIGRATION_RESUME_ACK_VALUE) => {
                self.shared.with(|state| {
                    if state.status == Status::PostcopyRecover {
                        state.status = Status::PostcopyActive;
                    }
                });
                Ok(())
            }
            Reply::ResumeAck(value) => Err(format!("illegal resume_ack value {value}")),
        }
    }

    fn block(&self, idstr: &str) -> Result<usize, String> {
        let place = self.guest.blocks.iter().position(|block| block.idstr == idstr);
        place.ok_or_else(|| format!("no block '{idstr}'"))
    }

    /// `ram_save_queue_pages`. Since 8.0 this thread answers by itself if there
    /// is a preempt channel.
    fn request(&mut self, block: usize, start: u64, length: u32) -> Result<(), String> {
        let pages = self.shared.with(|state| {
            state.requested += 1;
            state.pages_of(block, start, length)
        });
        let pages = pages.ok_or_else(|| format!("request overrun, start={start:#x}"))?;
        if !self.script.preempt || self.script.version == Version::V7_2 {
            self.shared.with(|state| state.requests.extend(pages.iter().map(|n| (block, *n))));
            return Ok(());
        }
        let taken = |state: &mut State| state.preempt.take();
        if self.preempt.is_none() {
            self.preempt = self.shared.with(taken).map(Output::new);
        }
        let channel = self.preempt.as_mut().ok_or("a request before the preempt channel")?;
        for page in pages {
            if !self.shared.with(|state| state.clear_dirty(block, page)) {
                continue;
            }
            channel.put(&Item::Ram(Ram::Page(Page {
                block: self.guest.blocks[block].idstr.as_str().into(),
                continues: self.last_sent == Some(block),
                offset: (page * crate::sim::stream::TARGET_PAGE_SIZE) as u64,
                content: self.guest.content(block, page),
            })));
            self.last_sent = Some(block);
        }
        channel.flush();
        Ok(())
    }
}
