//! multifd of a source: the migration thread hands pages over, and each channel has
//! a thread that sends them (`multifd_send_state`). One that fails stops all: that a
//! real migration thread may then wait for ever is not played.
//! Must not know: what else is on the main channel.

use super::output::Output;
use super::script::Script;
use super::source::Source;
use super::state::{Shared, State};
use super::wire::Wire;
use crate::sim::stream::{
    Content, Item, MULTIFD_FLAG_SYNC, MULTIFD_PAGES, MultifdInit, MultifdPacket, Ram,
    TARGET_PAGE_SIZE,
};

/// A page on its way: where in which block, and what is in it.
type Queued = (String, u64, Content);

/// What the migration thread and those of the channels share.
#[derive(Default)]
pub struct Sending {
    channels: Vec<Channel>,
    next_channel: usize,
    packet_num: u64,
    /// The pages of the next packet.
    queue: Vec<Queued>,
    /// The migration is over for the channels, with what was wrong if anything was.
    exiting: Option<Result<(), String>>,
}

/// `MultiFDSendParams`.
#[derive(Default)]
struct Channel {
    pages: Vec<Queued>,
    /// `p->packet_num` of a 7.2: of what was handed over last.
    packet_num: u64,
    /// Packets of pages, and of a 7.2 those of a sync too.
    pending_job: usize,
    pending_sync: bool,
    /// `p->sem_sync`.
    sem_sync: usize,
}

/// What a channel's thread is to send.
struct Job {
    pages: Vec<Queued>,
    syncs: bool,
    packet_num: u64,
}

impl Sending {
    /// Ends the channels' threads; the first reason stays.
    pub fn exit(&mut self, why: Result<(), String>) {
        self.exiting.get_or_insert(why);
    }

    fn begin(&mut self, channels: usize) {
        self.channels.resize_with(channels, Channel::default);
    }

    /// Why nothing can be handed over any more.
    fn exited(&self) -> Option<String> {
        let why = self.exiting.as_ref()?;
        Some(why.as_ref().err().cloned().unwrap_or_else(|| "multifd is over".into()))
    }

    /// `multifd_send_pages`: hands the queue over to a channel that has nothing to do.
    fn hand_over(&mut self) -> Option<()> {
        let many = self.channels.len();
        let mut round = (0..many).map(|n| (self.next_channel + n) % many);
        let idle = round.find(|n| self.channels[*n].pending_job == 0)?;
        self.next_channel = (idle + 1) % many;
        let channel = &mut self.channels[idle];
        channel.pages = std::mem::take(&mut self.queue);
        channel.packet_num = self.packet_num;
        channel.pending_job += 1;
        self.packet_num += 1;
        Some(())
    }

    /// The next work of a channel's thread. A 7.2 sends all in one packet that was
    /// handed over by then, and so may have an empty one to send later.
    fn job(&mut self, id: usize, old: bool) -> Option<Job> {
        let channel = self.channels.get_mut(id)?;
        if channel.pending_job == 0 && !channel.pending_sync {
            return None;
        }
        let syncs = channel.pending_sync && (old || channel.pending_job == 0);
        channel.pending_sync &= !syncs;
        let (pages, mut packet_num) = (std::mem::take(&mut channel.pages), channel.packet_num);
        if !old {
            packet_num = self.packet_num;
            self.packet_num += 1;
        }
        Some(Job { pages, syncs, packet_num })
    }

    /// A channel has sent it.
    fn sent(&mut self, id: usize, job: &Job, old: bool) {
        let channel = &mut self.channels[id];
        if old || !job.syncs {
            channel.pending_job -= 1;
        }
        channel.sem_sync += usize::from(job.syncs);
    }
}

/// Waits until something can be done, or there is no sense in it any more.
fn wait<S: Shared, R>(
    shared: &S,
    mut ready: impl FnMut(&mut Sending) -> Option<R>,
) -> Result<R, String> {
    shared.wait(|State { multifd, .. }| match multifd.exited() {
        Some(why) => Some(Err(why)),
        None => ready(multifd).map(Ok),
    })
}

impl<S: Shared> Source<'_, S> {
    /// `ram_save_multifd_page`: false if the page goes over the main channel.
    pub(super) fn multifd_save<W: Wire>(
        &self,
        out: &mut Output<W>,
        block: usize,
        page: usize,
    ) -> bool {
        let content = self.content(block, page);
        // `zero-page-detection` is `multifd`, since 9.0.
        if self.script.multifd == 0 || (self.script.old() && content == Content::Zero) {
            return false;
        }
        let offset = (page * TARGET_PAGE_SIZE) as u64;
        let block = self.block(block);
        let full = self.script.packet_pages;
        // Of another block, or one too many.
        let other = self
            .shared
            .with(|state| state.multifd.queue.last().is_some_and(|(queued, ..)| *queued != block));
        let mut result = Ok(());
        if other {
            result = wait(self.shared, Sending::hand_over);
        }
        let many = self.shared.with(|state| {
            state.multifd.queue.push((block, offset, content));
            state.multifd.queue.len()
        });
        if many >= full {
            result = result.and_then(|()| wait(self.shared, Sending::hand_over));
        }
        if let Err(why) = result {
            out.fail(why);
        }
        true
    }

    /// `multifd_ram_flush_and_sync`, which a 7.2 calls `multifd_send_sync_main`: what
    /// was sent before is read before what is sent after.
    pub(super) fn multifd_sync<W: Wire>(&self, out: &mut Output<W>) {
        let (many, old) = (self.script.multifd, self.script.old());
        if many == 0 {
            return;
        }
        self.shared.with(|state| state.multifd.begin(many));
        let queued = self.shared.with(|state| !state.multifd.queue.is_empty());
        let mut result = Ok(());
        if queued {
            result = wait(self.shared, Sending::hand_over);
        }
        self.shared.with(|State { multifd, .. }| {
            for channel in &mut multifd.channels {
                channel.pending_sync = true;
                if old {
                    channel.packet_num = multifd.packet_num;
                    multifd.packet_num += 1;
                    channel.pending_job += 1;
                }
            }
        });
        for id in 0..many {
            let synced = |multifd: &mut Sending| {
                let sem_sync = &mut multifd.channels[id].sem_sync;
                sem_sync.checked_sub(1).map(|left| *sem_sync = left)
            };
            result = result.and_then(|()| wait(self.shared, synced));
        }
        match result {
            Err(why) => out.fail(why),
            Ok(()) if !old => {
                out.put(&Item::Ram(Ram::MultifdFlush));
                out.flush();
            }
            Ok(()) => {}
        }
    }
}

/// The thread of a channel (`multifd_send_thread`); ends when the migration does.
pub fn multifd_send_thread<W: Wire, S: Shared>(script: &Script, shared: &S, id: u8, mut wire: W) {
    let (nth, old) = (usize::from(id), script.old());
    let mut packet = MultifdPacket::default();
    let mut bytes = Vec::new();
    MultifdInit { uuid: [0; 16], id }.write(&mut bytes);
    let mut sends = None;
    loop {
        if let Err(error) = wire.send(&bytes) {
            return shared.with(|state| state.multifd.exit(Err(error.to_string())));
        }
        if let Some(job) = sends.take() {
            shared.with(|state| state.multifd.sent(nth, &job, old));
        }
        let Ok(job) = wait(shared, |multifd| multifd.job(nth, old)) else { return };
        if !old {
            packet = MultifdPacket::default();
        }
        fill(&mut packet, &job, old);
        bytes.clear();
        packet.write(&mut bytes);
        sends = Some(job);
    }
}

/// `multifd_send_fill_packet`; a 7.2 leaves in it what was there before.
fn fill(packet: &mut MultifdPacket, job: &Job, old: bool) {
    packet.flags = if job.syncs { MULTIFD_FLAG_SYNC } else { 0 };
    packet.packet_num = job.packet_num;
    packet.normal_pages = 0;
    packet.pages.clear();
    if old || !job.syncs {
        packet.pages_alloc = MULTIFD_PAGES as u32;
    }
    let Some((block, ..)) = job.pages.first() else { return };
    packet.ramblock.clone_from(block);
    // `multifd_send_zero_page_detect`.
    let mut pages: Vec<&Queued> = job.pages.iter().collect();
    let (mut i, mut end) = (0, pages.len());
    while i < end {
        if pages[i].2 == Content::Zero {
            end -= 1;
            pages.swap(i, end);
        } else {
            i += 1;
        }
    }
    packet.normal_pages = end as u32;
    packet.zero_pages = (pages.len() - end) as u32;
    packet.next_packet_size = (end * TARGET_PAGE_SIZE) as u32;
    for (n, (_, offset, content)) in pages.into_iter().enumerate() {
        match packet.offset.get_mut(n) {
            Some(left) => *left = *offset,
            None => packet.offset.push(*offset),
        }
        if let Content::Data(bytes) = content {
            packet.pages.extend_from_slice(bytes);
        }
    }
}
