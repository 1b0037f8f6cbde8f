//! multifd of a destination: each channel has a thread that takes its pages, and at a
//! SYNC waits for the main channel to come to the same place (`multifd_recv_state`).
//! One that ends stops all: that a real one may then wait for ever is not played.
//! Must not know: what else is on the main channel.

use super::script::Script;
use super::state::Shared;
use super::wire::{Incoming, Wire};
use crate::sim::stream::{Content, MultifdInit, MultifdPacket, MultifdReader, TARGET_PAGE_SIZE};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Pages that are there, a block a row.
pub type Blocks = BTreeMap<String, Vec<Option<Content>>>;

/// What the main channel's thread and those of the channels share.
#[derive(Debug, Default)]
pub struct Receiving {
    /// That have come and are not in a block yet, in order.
    packets: Vec<MultifdPacket>,
    /// By channel: whether it waits at a SYNC, and its end.
    channels: Vec<(bool, Option<String>)>,
    /// The migration has ended.
    over: bool,
}

/// What a destination takes from its channels.
pub struct Received {
    /// `multifd-flush-after-each-section`: the main channel says no more than EOS.
    pub each_section: bool,
    /// Puts into the blocks what has come; at a sync, waits for all channels before.
    pub take: Box<Take>,
}

type Take = dyn FnMut(&mut Blocks, bool) -> Result<(), String> + Send;

impl Receiving {
    /// Before the channels' threads.
    pub fn of(channels: usize) -> Receiving {
        Receiving { channels: vec![(false, None); channels], ..Receiving::default() }
    }

    /// `multifd_recv_terminate_threads`, for those that wait at a SYNC.
    pub fn exit(&mut self) {
        self.over = true;
    }

    /// `multifd_recv_sync_main`: done, or why it cannot be.
    fn synced(&self) -> Option<Result<(), String>> {
        let ended = |(waits, end): &&(bool, Option<String>)| !waits && end.is_some();
        if let Some((_, Some(why))) = self.channels.iter().find(ended) {
            return Some(Err(why.clone()));
        }
        self.channels.iter().all(|(waits, _)| *waits).then_some(Ok(()))
    }
}

impl Received {
    /// From the channels that share this.
    pub fn new<S: Shared<Receiving> + Send + Sync + 'static>(
        script: &Script,
        shared: Arc<S>,
    ) -> Received {
        let take = move |blocks: &mut Blocks, syncs: bool| {
            if syncs {
                shared.wait(|receiving| receiving.synced())?;
            }
            let packets = shared.with(|receiving| std::mem::take(&mut receiving.packets));
            packets.iter().try_for_each(|packet| place(blocks, packet))?;
            if syncs {
                let release = |(waits, _): &mut (bool, _)| *waits = false;
                shared.with(|receiving| receiving.channels.iter_mut().for_each(release));
            }
            Ok(())
        };
        Received { each_section: script.old(), take: Box::new(take) }
    }
}

/// `multifd_nocomp_recv`.
fn place(blocks: &mut Blocks, packet: &MultifdPacket) -> Result<(), String> {
    if packet.normal_pages == 0 && packet.zero_pages == 0 {
        return Ok(());
    }
    let name = &packet.ramblock;
    let pages = blocks.get_mut(name).ok_or_else(|| format!("multifd: unknown ram block {name}"))?;
    let data = packet.normal().map(|(offset, page)| (offset, Content::Data(page.to_vec())));
    for (offset, content) in data.chain(packet.zero().iter().map(|at| (*at, Content::Zero))) {
        let page = usize::try_from(offset).unwrap_or(usize::MAX) / TARGET_PAGE_SIZE;
        *pages.get_mut(page).ok_or_else(|| format!("multifd: offset too long {offset}"))? =
            Some(content);
    }
    Ok(())
}

/// The thread of a channel, from its first packet on (`multifd_recv_new_channel`,
/// `multifd_recv_thread`); ends when the channel or the migration does.
pub fn multifd_recv_thread<W: Wire, S: Shared<Receiving>>(shared: &S, nth: usize, wire: W) {
    let mut reader = MultifdReader::new(Incoming(wire));
    let why = match reader.init() {
        Ok(MultifdInit { uuid, .. }) if uuid != [0; 16] => "multifd: another uuid".into(),
        Ok(_) => receive(shared, nth, &mut reader),
        Err(broken) => broken.to_string(),
    };
    shared.with(|receiving| {
        if let Some((_, end)) = receiving.channels.get_mut(nth) {
            *end = Some(why);
        }
    });
}

/// Packet after packet; gives why there is none any more.
fn receive<W: Wire, S: Shared<Receiving>>(
    shared: &S,
    nth: usize,
    reader: &mut MultifdReader<Incoming<W>>,
) -> String {
    loop {
        let packet = match reader.next() {
            Ok(Some(packet)) => packet,
            Ok(None) => return "the channel has ended".into(),
            Err(broken) => return broken.to_string(),
        };
        let syncs = packet.syncs();
        shared.with(|receiving| {
            receiving.packets.push(packet);
            receiving.channels[nth].0 = syncs;
        });
        let goes_on = |receiving: &mut Receiving| {
            (receiving.over || !receiving.channels[nth].0).then_some(receiving.over)
        };
        if syncs && shared.wait(goes_on) {
            return "the migration is over".into();
        }
    }
}
