//! A destination: loads what comes, answers, asks for pages, pauses and resumes
//! (`qemu_loadvm_state_main`).
//! Must not know: what the source's other end is.

use super::Outcome;
use super::multifd_recv::{Blocks, Received};
use super::wire::{Incoming, Wire};
use crate::sim::PostcopyState;
use crate::sim::stream::{
    Command, Item, Layout, MIGRATION_RESUME_ACK_VALUE, Page, Ram, Reader, ReceivedBitmap, Reply,
    TARGET_PAGE_SIZE,
};

/// What the guest of the destination asks for once it runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asks {
    /// Pages, each asked for when the one before it has come.
    pub pages: Vec<(String, usize)>,
    /// Loses the network after so many pages in postcopy; 0: right after RUN.
    pub pause_after: Option<usize>,
}

/// A destination.
pub struct Destination<W> {
    asks: Asks,
    /// Pages that are there, a block a row.
    pub blocks: Blocks,
    /// Everything that came, packages unpacked.
    pub items: Vec<Item>,
    state: PostcopyState,
    reader: Option<Reader<Incoming<W>>>,
    /// `to_src_file`; the wire, once the source has asked for it.
    to_source: Option<W>,
    opened: bool,
    /// Sent and not answered yet.
    asked: Vec<(String, usize)>,
    /// `last_rb`.
    last_block: Option<String>,
    /// In postcopy.
    received: usize,
    /// Called when the guest is about to run (`loadvm_postcopy_handle_run_bh`,
    /// `process_incoming_migration_bh`).
    pub starts: Option<Box<dyn Fn() + Send>>,
    /// Pages come on channels of their own.
    pub multifd: Option<Received>,
}

/// Whether there is more to come.
#[derive(PartialEq)]
enum Flow {
    More,
    End,
    Pause,
}

/// Why it goes no further.
#[derive(PartialEq)]
enum Wrong {
    /// The connection; in postcopy another one may go on from here.
    Connection(String),
    /// What came on it: no other connection mends that, though QEMU would wait for one.
    Content(String),
}

impl<W: Wire> Destination<W> {
    pub fn new(asks: Asks) -> Self {
        Self {
            asks,
            blocks: Blocks::new(),
            items: Vec::new(),
            state: PostcopyState::None,
            reader: None,
            to_source: None,
            opened: false,
            asked: Vec::new(),
            last_block: None,
            received: 0,
            starts: None,
            multifd: None,
        }
    }

    /// Loads a migration; the two wires are one connection.
    pub fn load(&mut self, from_source: W, to_source: W) -> Outcome {
        self.reader = Some(Reader::new(Incoming(from_source), Layout::default()));
        self.to_source = Some(to_source);
        self.go_on()
    }

    /// After a pause: goes on over a new connection (`postcopy_try_recover`).
    pub fn recover(&mut self, from_source: W, to_source: W) -> Outcome {
        self.reader = self.reader.take().map(|reader| reader.resumed(Incoming(from_source)));
        self.to_source = Some(to_source);
        self.go_on()
    }

    fn go_on(&mut self) -> Outcome {
        let Some(mut reader) = self.reader.take() else {
            return Outcome::Failed("a recovery of no migration".into());
        };
        let ended = loop {
            match reader.next() {
                Ok(Some(Item::Command(Command::Packaged(blob)))) => {
                    let inside = reader.package(&blob).all().map_err(|broken| broken.to_string());
                    let handle = |items: Vec<Item>| {
                        items.into_iter().try_for_each(|item| self.handle(item).map(|_| ()))
                    };
                    if let Err(wrong) = inside.and_then(handle) {
                        break Err(Wrong::Content(wrong));
                    }
                    if self.loses_network() {
                        break Ok(Flow::Pause);
                    }
                }
                Ok(Some(item)) => match self.handle(item) {
                    Ok(Flow::More) => {}
                    Ok(flow) => break Ok(flow),
                    Err(wrong) => break Err(Wrong::Content(wrong)),
                },
                Ok(None) => {
                    break Err(Wrong::Connection("the stream ends without QEMU_VM_EOF".into()));
                }
                Err(broken) => break Err(Wrong::Connection(broken.to_string())),
            }
        };
        if ended == Ok(Flow::End) && self.state < PostcopyState::Listening {
            // VMDESC: "if we don't read the data the sender can error".
            if let Ok(Some(item)) = reader.next() {
                self.items.push(item);
            }
        }
        self.reader = Some(reader);
        match ended {
            Ok(Flow::End) => {
                if self.state < PostcopyState::Listening {
                    self.start();
                }
                self.send(&Reply::Shut(0));
                Outcome::Completed
            }
            Ok(_) => self.pause(),
            Err(Wrong::Connection(_)) if self.state == PostcopyState::Running => self.pause(),
            Err(Wrong::Connection(wrong) | Wrong::Content(wrong)) => {
                self.send(&Reply::Shut(1));
                Outcome::Failed(wrong)
            }
        }
    }

    fn start(&self) {
        if let Some(starts) = &self.starts {
            starts();
        }
    }

    fn pause(&mut self) -> Outcome {
        if let Some(mut wire) = self.to_source.take() {
            wire.shutdown();
        }
        Outcome::Paused
    }

    /// `migrate_send_rp_message`; an error is the reader's to find.
    fn send(&mut self, reply: &Reply) {
        if !self.opened {
            return;
        }
        let mut bytes = Vec::new();
        reply.write(&mut bytes);
        if let Some(wire) = &mut self.to_source {
            wire.send(&bytes).ok();
        }
    }

    /// What has come on the multifd channels, with a sync or without.
    fn receive(&mut self, item: &Item) -> Result<(), String> {
        let Some(Received { each_section, take }) = &mut self.multifd else { return Ok(()) };
        let syncs = match item {
            Item::Ram(Ram::MultifdFlush) => true,
            Item::Ram(Ram::Eos) => *each_section,
            _ => false,
        };
        take(&mut self.blocks, syncs)
    }

    fn handle(&mut self, item: Item) -> Result<Flow, String> {
        self.receive(&item)?;
        let flow = match &item {
            Item::Command(command) => self.command(command)?,
            Item::Ram(Ram::MemSize(blocks)) => {
                for block in blocks {
                    let pages = block.used_length as usize / TARGET_PAGE_SIZE;
                    self.blocks.insert(block.idstr.clone(), vec![None; pages]);
                }
                Flow::More
            }
            Item::Ram(Ram::Page(page)) => self.page(page)?,
            Item::Eof => Flow::End,
            _ => Flow::More,
        };
        self.items.push(item);
        Ok(flow)
    }

    fn command(&mut self, command: &Command) -> Result<Flow, String> {
        use PostcopyState::{Advise, Discard, Listening, None, Running};
        let wrong = |state| Err(format!("{} in wrong postcopy state {state:?}", command.name()));
        match command {
            Command::OpenReturnPath => self.opened = true,
            Command::Ping(_) if !self.opened => {
                return Err("CMD_PING received with no return path".into());
            }
            Command::Ping(value) => self.send(&Reply::Pong(*value)),
            Command::PostcopyAdvise(_) => match self.state {
                None => self.state = Advise,
                state => return wrong(state),
            },
            Command::PostcopyRamDiscard { block, ranges } => {
                match self.state {
                    Advise | Discard => self.state = Discard,
                    state => return wrong(state),
                }
                let pages =
                    self.blocks.get_mut(block).ok_or_else(|| format!("no block {block}"))?;
                for (start, length) in ranges {
                    let size = TARGET_PAGE_SIZE as u64;
                    let end = start.saturating_add(*length) / size;
                    let range = (start / size) as usize..end as usize;
                    let range = pages.get_mut(range).ok_or("discard outside of the block")?;
                    range.fill(Option::None);
                }
            }
            Command::PostcopyListen => match self.state {
                Advise | Discard => self.state = Listening,
                state => return wrong(state),
            },
            Command::PostcopyRun => {
                if self.state != Listening {
                    return wrong(self.state);
                }
                self.state = Running;
                self.start();
                self.ask();
            }
            Command::RecvBitmap(block) => {
                let pages = self.blocks.get(block).ok_or_else(|| format!("no block {block}"))?;
                let mut bitmap = ReceivedBitmap::of(pages.len());
                let there = pages.iter().enumerate().filter(|(_, page)| page.is_some());
                there.for_each(|(n, _)| bitmap.set(n));
                self.send(&Reply::RecvBitmap { block: block.clone(), bitmap });
            }
            Command::PostcopyResume => {
                self.last_block = Option::None;
                self.send(&Reply::ResumeAck(MIGRATION_RESUME_ACK_VALUE));
                // `migrate_send_rp_req_pages_pending`.
                self.asked.clone().into_iter().for_each(|(block, page)| self.request(block, page));
            }
            Command::Packaged(_) | Command::EnableColo | Command::SwitchoverStart => {}
        }
        Ok(Flow::More)
    }

    fn page(&mut self, page: &Page) -> Result<Flow, String> {
        let block = page.block.to_string();
        let pages = self.blocks.get_mut(&block).ok_or_else(|| format!("no block {block}"))?;
        let n = page.offset as usize / TARGET_PAGE_SIZE;
        let place = pages.get_mut(n).ok_or("Illegal RAM offset")?;
        if self.state >= PostcopyState::Listening && place.is_some() {
            // UFFDIO_COPY: EEXIST.
            return Err(format!("a page of {block} is placed twice"));
        }
        *place = Some(page.content.clone());
        self.asked.retain(|asked| *asked != (block.clone(), n));
        if self.state != PostcopyState::Running {
            return Ok(Flow::More);
        }
        self.received += 1;
        if self.loses_network() {
            return Ok(Flow::Pause);
        }
        self.ask();
        Ok(Flow::More)
    }

    /// Once, after as many pages as was said.
    fn loses_network(&mut self) -> bool {
        let running = self.state == PostcopyState::Running;
        running && self.asks.pause_after.take_if(|after| self.received >= *after).is_some()
    }

    /// The next page that is missing, if none is awaited.
    fn ask(&mut self) {
        while self.asked.is_empty() && !self.asks.pages.is_empty() {
            let (block, page) = self.asks.pages.remove(0);
            let missing = self.blocks.get(&block).and_then(|pages| pages.get(page));
            if missing.is_some_and(Option::is_none) {
                self.asked.push((block.clone(), page));
                self.request(block, page);
            }
        }
    }

    /// `migrate_send_rp_message_req_pages`.
    fn request(&mut self, block: String, page: usize) {
        let start = (page * TARGET_PAGE_SIZE) as u64;
        let length = TARGET_PAGE_SIZE as u32;
        if self.last_block.as_ref() == Some(&block) {
            return self.send(&Reply::ReqPages { start, length });
        }
        self.last_block = Some(block.clone());
        self.send(&Reply::ReqPagesId { block, start, length });
    }
}
