//! The channels of a multifd source of ours, from connection to end.
//! Must not know: what is sent over them.

use super::board::Board;
use super::channel::Channel;
use super::story::Story;
use crate::exec::kernel::tasks::choose;
use crate::exec::peer::{self, Script, State};
use crate::sim::Version;
use serde_json::{Value, json};
use std::io::Result;

/// Channels besides the main one.
pub const CHANNELS: usize = 2;

/// What both sides have to agree on.
pub fn parameters() -> Value {
    json!({ "multifd-channels": CHANNELS })
}

/// A script's migration with multifd: packets of few pages, so that both channels have
/// some, and pages that are sent again, one from zero to data and one back.
pub fn script(plain: Script) -> Script {
    let redirtied = vec![(0, 3), (0, 4), (0, 6)];
    Script { multifd: CHANNELS, packet_pages: 3, redirtied, ..plain }
}

/// Connects to QEMU's listener `name`, in an order that is picked; gives the main
/// channel first.
///
/// # Errors
/// If QEMU does not listen.
pub fn connect(name: &str, script: &Script) -> Result<Vec<Channel>> {
    let mut left: Vec<usize> = (0..=script.multifd).collect();
    let mut channels = Vec::new();
    while !left.is_empty() {
        // A 7.2 takes whatever comes first for the main channel; since 8.0 it is known
        // by its first bytes.
        let first = channels.is_empty() && script.version == Version::V7_2;
        let nth = left.remove(if first || left.len() == 1 { 0 } else { choose(left.len()) });
        channels.push((nth, Channel::connect(name)?));
    }
    channels.sort_by_key(|(nth, _)| *nth);
    Ok(channels.into_iter().map(|(_, channel)| channel).collect())
}

/// The thread of a channel.
pub fn channel(
    nth: usize,
    script: &Script,
    state: &Board<State>,
    story: &Board<Story>,
    wires: &Board<Vec<Channel>>,
) {
    let channel = story.wait(|story| story.multifd.get(nth).copied());
    peer::multifd_send_thread(script, state, nth as u8, channel);
    // Nobody is to cut what has its number next.
    wires.with(|wires| wires.retain(|wire| *wire != channel));
    channel.close();
}
