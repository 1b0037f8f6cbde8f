//! A source's migration thread (`migration_thread`), from the header to the
//! destination's SHUT, and again after a lost network.
//! Must not know: the return path's messages; `return_path` does.

use super::Outcome;
use super::guest::Guest;
use super::output::Output;
use super::script::Script;
use super::state::{PACKAGED_LOADED, ReturnPath, Shared, State, Status};
use super::wire::Wire;
use crate::sim::Version;
use crate::sim::stream::{
    Command, Content, Item, Page, PageSizes, Ram, SectionType, TARGET_PAGE_SIZE,
};

/// Makes the preempt channel's connection, when one is due.
pub type Connect<'a> = &'a mut dyn FnMut() -> std::io::Result<Box<dyn Wire + Send>>;

/// The migration thread.
pub struct Source<'a, S> {
    guest: &'a Guest,
    pub(super) script: &'a Script,
    pub(super) shared: &'a S,
    /// `last_sent_block` of the main channel.
    last_sent: Option<usize>,
    /// `last_seen_block`, `last_page`: where the search goes on.
    place: (usize, usize),
    /// The preempt channel of a 7.2, whose migration thread writes to it.
    preempt: Option<Output<Box<dyn Wire + Send>>>,
    /// In postcopy, on the main channel.
    sent: usize,
    pause_after: Option<usize>,
    /// In precopy, the guest has written to the redirtied pages.
    rewritten: bool,
}

impl<'a, S: Shared> Source<'a, S> {
    pub fn new(guest: &'a Guest, script: &'a Script, shared: &'a S) -> Self {
        let pause_after = script.pause_after;
        let (last_sent, place, preempt, sent) = (None, (0, 0), None, 0);
        let rewritten = false;
        Self { guest, script, shared, last_sent, place, preempt, sent, pause_after, rewritten }
    }

    /// A migration over a new connection; `State::open_return_path` comes
    /// before it if there is to be one.
    pub fn migrate<W: Wire>(&mut self, wire: W, connect: Connect) -> Outcome {
        let mut out = Output::new(wire);
        if self.script.old() && self.script.preempt && !self.open_preempt(connect) {
            return Outcome::Failed("no preempt channel".into());
        }
        self.setup(&mut out);
        if self.script.postcopy {
            self.section(&mut out, SectionType::Part, self.script.precopy_pages);
            self.dirty_again();
            return match self.postcopy_start(&mut out, connect) {
                Ok(()) => self.postcopy(out),
                Err(wrong) => Outcome::Failed(wrong),
            };
        }
        while out.error().is_none() && (self.pending() > 0 || self.rewrites()) {
            self.section(&mut out, SectionType::Part, self.script.section_pages);
        }
        if let Some(error) = out.error() {
            return Outcome::Failed(error.into());
        }
        self.switchover(&mut out);
        self.section(&mut out, SectionType::End, usize::MAX);
        self.guest.device_items().iter().for_each(|item| out.put(item));
        out.put(&Item::Eof);
        out.put(&Item::Vmdesc(br#"{"page_size": 4096, "devices": []}"#.to_vec()));
        out.flush();
        self.end(out)
    }

    /// `postcopy_pause` goes on here, with the new connection;
    /// `State::open_return_path` comes before it.
    pub fn recover<W: Wire>(&mut self, wire: W, connect: Connect) -> Outcome {
        let mut out = Output::new(wire);
        if self.script.old() && self.script.preempt && !self.open_preempt(connect) {
            return self.pause(out);
        }
        // `ram_dirty_bitmap_sync_all`.
        self.shared.with(|state| state.bitmaps_wanted = self.guest.blocks.len());
        for block in &self.guest.blocks {
            out.put(&Item::Command(Command::RecvBitmap(block.idstr.clone())));
        }
        if !self.wait_for(|state| state.bitmaps_wanted == 0) {
            return self.recovery_lost(out);
        }
        // `ram_state_reset`.
        (self.last_sent, self.place) = (None, (0, 0));
        if !self.script.old() && self.script.preempt && !self.open_preempt(connect) {
            return self.pause(out);
        }
        out.put(&Item::Command(Command::PostcopyResume));
        if !self.wait_for(|state| state.status == Status::PostcopyActive) {
            return self.recovery_lost(out);
        }
        self.postcopy(out)
    }

    /// `migration_rp_wait`: false if the return path ended instead.
    fn wait_for(&self, mut ready: impl FnMut(&State) -> bool) -> bool {
        self.shared.wait(|state| match state.return_path {
            _ if ready(state) => Some(true),
            ReturnPath::Running => None,
            _ => Some(false),
        })
    }

    /// Nobody posts `rp_sem` on a 7.2 when the return path breaks (8.2: kick).
    fn recovery_lost<W: Wire>(&mut self, out: Output<W>) -> Outcome {
        if self.script.old() {
            return Outcome::Hangs("rp_sem, the return path broke during the recovery".into());
        }
        self.pause(out)
    }

    fn pending(&self) -> usize {
        self.shared.with(|state| state.pending())
    }

    /// The guest writes to the redirtied pages, once, when all have been sent.
    fn rewrites(&mut self) -> bool {
        let first = !std::mem::replace(&mut self.rewritten, true);
        first && self.dirty_again()
    }

    fn dirty_again(&self) -> bool {
        let pages = &self.script.redirtied;
        self.shared
            .with(|state| pages.iter().for_each(|(block, n)| state.dirty[*block][*n] = true));
        !pages.is_empty()
    }

    pub(super) fn block(&self, block: usize) -> String {
        self.guest.blocks[block].idstr.clone()
    }

    /// What is in a page now.
    pub(super) fn content(&self, block: usize, page: usize) -> Content {
        let later = !self.script.postcopy && !self.rewritten;
        if later && self.script.redirtied.contains(&(block, page)) {
            return self.guest.earlier(block, page);
        }
        self.guest.content(block, page)
    }

    fn open_preempt(&mut self, connect: Connect) -> bool {
        let Ok(wire) = connect() else { return false };
        if self.script.old() {
            self.preempt = Some(Output::new(wire));
        } else {
            self.shared.with(|state| state.preempt = Some(wire));
        }
        true
    }

    fn setup<W: Wire>(&mut self, out: &mut Output<W>) {
        out.put(&Item::Header);
        out.put(&self.guest.configuration());
        if self.script.return_path {
            out.put(&Item::Command(Command::OpenReturnPath));
            out.put(&Item::Command(Command::Ping(1)));
        }
        if self.script.postcopy {
            let size = TARGET_PAGE_SIZE as u64;
            let sizes = PageSizes { summary: size, target: size };
            out.put(&Item::Command(Command::PostcopyAdvise(Some(sizes))));
        }
        out.put(&self.guest.ram(SectionType::Start));
        out.put(&Item::Ram(Ram::MemSize(self.guest.block_headers())));
        // Of either kind.
        self.multifd_sync(out);
        out.put(&Item::Ram(Ram::Eos));
        out.flush();
        out.put(&self.guest.ram_footer());
    }

    /// `ram_save_iterate` or `ram_save_complete`: up to so many pages.
    fn section<W: Wire>(&mut self, out: &mut Output<W>, kind: SectionType, pages: usize) {
        out.put(&self.guest.ram(kind));
        for _ in 0..pages {
            if out.error().is_some() || !self.find_and_save(out) {
                break;
            }
        }
        if self.script.old() {
            self.multifd_sync(out);
        }
        out.put(&Item::Ram(Ram::Eos));
        out.flush();
        out.put(&self.guest.ram_footer());
    }

    /// `ram_find_and_save_block`: a page that was asked for, or else the next.
    fn find_and_save<W: Wire>(&mut self, out: &mut Output<W>) -> bool {
        let place = self.place;
        let found = self.shared.with(|state| {
            while let Some((block, page)) = state.requests.pop_front() {
                if state.clear_dirty(block, page) {
                    return Some((block, page, true));
                }
            }
            let all = state.dirty.iter().enumerate();
            let all = all.flat_map(|(block, row)| (0..row.len()).map(move |page| (block, page)));
            let all: Vec<_> = all.collect();
            let from = all.iter().position(|at| *at >= place).unwrap_or(0);
            let mut round = all[from..].iter().chain(&all[..from]);
            let (block, page) = *round.find(|(block, page)| state.dirty[*block][*page])?;
            state.clear_dirty(block, page);
            Some((block, page, false))
        });
        if !self.script.old() && found.is_none_or(|(block, page, _)| (block, page) < place) {
            // `find_dirty_block`: at the end of the list.
            self.multifd_sync(out);
        }
        let Some((block, page, asked)) = found else { return false };
        self.place = (block, page + 1);
        if self.multifd_save(out, block, page) {
            return true;
        }
        let content = self.content(block, page);
        let record = |continues| {
            Item::Ram(Ram::Page(Page {
                block: self.guest.blocks[block].idstr.as_str().into(),
                continues,
                offset: (page * TARGET_PAGE_SIZE) as u64,
                content,
            }))
        };
        match &mut self.preempt {
            // `postcopy_preempt_choose_channel`: the block is named again.
            Some(preempt) if asked => {
                preempt.put(&record(false));
                preempt.flush();
                self.last_sent = None;
            }
            _ => {
                out.put(&record(self.last_sent == Some(block)));
                self.last_sent = Some(block);
                self.sent += 1;
            }
        }
        true
    }

    /// MIG_CMD_SWITCHOVER_START, since 10.0.
    fn switchover<W: Wire>(&self, out: &mut Output<W>) {
        if !self.script.old() {
            out.put(&Item::Command(Command::SwitchoverStart));
        }
    }

    fn postcopy_start<W: Wire>(
        &mut self,
        out: &mut Output<W>,
        connect: Connect,
    ) -> Result<(), String> {
        if !self.script.old() && self.script.preempt {
            // `migration_wait_main_channel`: any PONG. A real one waits on if
            // the return path ends; this one gives up, to end at all.
            if !self.wait_for(|state| !state.pongs.is_empty()) || !self.open_preempt(connect) {
                return Err("Failed to establish preempt channel".into());
            }
        }
        self.switchover(out);
        (self.last_sent, self.place) = (None, (0, 0));
        let dirty = self.shared.with(|state| state.dirty.clone());
        let discards = self.guest.discards(&dirty).into_iter().map(Item::Command);
        discards.for_each(|command| out.put(&command));
        out.put(&Item::Command(Command::Ping(2)));
        let mut package = vec![Item::Command(Command::PostcopyListen)];
        package.extend(self.guest.device_items());
        package.push(Item::Command(Command::Ping(3)));
        let device = self.script.version == Version::V10_2;
        if device {
            package.push(Item::Command(Command::Ping(PACKAGED_LOADED)));
        }
        package.push(Item::Command(Command::PostcopyRun));
        if let Some(error) = out.error() {
            return Err(error.into());
        }
        out.put(&Item::Command(Command::Packaged(Item::bytes(&package))));
        out.put(&Item::Command(Command::Ping(4)));
        if let Some(error) = out.error() {
            return Err(error.into());
        }
        self.sent = 0;
        let status = if device { Status::PostcopyDevice } else { Status::PostcopyActive };
        self.shared.with(|state| state.status = status);
        Ok(())
    }

    /// Since 10.2: postcopy-device ends when the package is known to be loaded, which
    /// is waited for once `all` is sent. Nothing else ends the wait; false then.
    fn package_loaded(&self, all: bool) -> bool {
        let loaded = self.shared.with(|state| state.package_loaded());
        if !self.in_device() || !(all || loaded) {
            return true;
        }
        let comes = self.wait_for(State::package_loaded);
        self.shared.with(|state| state.status = Status::PostcopyActive);
        comes
    }

    fn in_device(&self) -> bool {
        self.shared.with(|state| state.status == Status::PostcopyDevice)
    }

    /// `migration_iteration_run` in postcopy, until all is sent.
    fn postcopy<W: Wire>(&mut self, mut out: Output<W>) -> Outcome {
        loop {
            let all = self.pending() <= self.script.threshold;
            if !self.package_loaded(all) {
                return Outcome::Hangs("postcopy_package_loaded_event".into());
            }
            if all {
                break;
            }
            self.section(&mut out, SectionType::Part, self.script.section_pages);
            if self.pause_after.is_some_and(|after| self.sent >= after) {
                self.pause_after = None;
                out.shutdown();
                // What is written next meets the closed socket.
                out.put(&self.guest.ram(SectionType::Part));
                out.put(&Item::Ram(Ram::Eos));
                out.flush();
            }
            let preempt = self.preempt.as_ref().and_then(Output::error);
            if let Some(error) = out.error().or(preempt) {
                // `migration_detect_error`: only postcopy-active can pause.
                if self.in_device() {
                    return Outcome::Failed(error.into());
                }
                return self.pause(out);
            }
        }
        self.section(&mut out, SectionType::End, usize::MAX);
        out.put(&Item::Eof);
        out.flush();
        if let Some(preempt) = &mut self.preempt {
            // `postcopy_preempt_shutdown_file`.
            preempt.put(&Item::Ram(Ram::Eos));
            preempt.flush();
        }
        self.end(out)
    }

    /// `postcopy_pause`.
    fn pause<W: Wire>(&mut self, mut out: Output<W>) -> Outcome {
        out.shutdown();
        if let Some(mut preempt) = self.preempt.take() {
            preempt.shutdown();
        }
        self.shared.wait(|state| (state.return_path != ReturnPath::Running).then_some(()));
        self.shared.with(|state| {
            state.preempt = None;
            state.status = Status::PostcopyPaused;
        });
        Outcome::Paused
    }

    /// The end of `migration_completion`: waits for SHUT.
    fn end<W: Wire>(&mut self, mut out: Output<W>) -> Outcome {
        let lost = out.error().map(str::to_owned);
        if lost.is_some() {
            out.shutdown();
        }
        let ended = self.shared.wait(|state| match &state.return_path {
            ReturnPath::Running => None,
            ended => Some(ended.clone()),
        });
        match (ended, lost) {
            (ReturnPath::Ended(Some(wrong)), _)
                if self.script.old() && self.script.postcopy && !wrong.starts_with("Sibling") =>
            {
                Outcome::Hangs(format!("postcopy_pause_rp_sem: {wrong}"))
            }
            (ReturnPath::Ended(Some(wrong)), _) | (_, Some(wrong)) => Outcome::Failed(wrong),
            _ => Outcome::Completed,
        }
    }
}
