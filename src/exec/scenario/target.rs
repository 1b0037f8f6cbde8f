//! The other side of a source's scenario: a destination, and the network to it.
//! Must not know: what the user does.

use super::board::Board;
use super::channel::Channel;
use super::guest::{Memory, PAGE};
use super::lanes::{self, Lanes};
use super::outgoing::{Deed, Outgoing, Story};
use super::task::{act, dawdle};
use super::user::rests;
use crate::exec::ending;
use crate::exec::kernel::state::kernel;
use crate::exec::kernel::sync::Op;
use crate::exec::kernel::tasks::choose;
use crate::exec::peer::{self, Asks, Destination, Outcome, Received, Receiving, Script};
use std::sync::Arc;

/// Between two looks of the rate limit (`BUFFER_DELAY`).
const WINDOW: u64 = 100_000_000;
/// The source's status until the destination has loaded its devices.
const DEVICE: &str = "postcopy-device";
/// The same until both know what is missing.
const RECOVER: &str = "postcopy-recover";
/// Places to switch that somebody may wait for, before the network or the user
/// does something.
const LONG: usize = 200;

/// Pages that come through a network before it is stuck, at most: with what it holds,
/// fewer than there are.
const THROUGH: usize = 6;

/// A stall is at most one moment longer than this, in which all come to rest.
const STALLS: usize = 3;

/// The destination's end of a network.
#[derive(Clone)]
struct Line {
    channel: Channel,
    story: Arc<Board<Story>>,
    /// Nothing comes any more once the guest has gone over, until it fails.
    fails: bool,
    /// Nor while a restless user may pause; the source pauses so many times before it
    /// has done with this connection.
    restless: Option<usize>,
    /// Nothing comes for a while once this guest has stopped.
    stalls: Option<Arc<Board<Memory>>>,
    /// Nothing comes any more after so many bytes, until the migration is over.
    through: Option<usize>,
}

impl peer::Wire for Line {
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.channel.send(bytes)
    }

    fn recv(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let mut most = bytes.len();
        if self.fails {
            // Since 10.2 the source first has to learn that the package was loaded, for
            // which it goes on sending: in postcopy-device it cannot be paused. What the
            // user knows of its status comes too late: nothing may be left by then.
            // A recovery has to come as far as the pages, too.
            let learns = [DEVICE, RECOVER].contains(&&*ending::status());
            let over = |story: &Story| match self.restless {
                Some(before) => story.paused() > before || story.calm && story.cut,
                None => story.cut,
            };
            self.story.wait(|story| (!story.loaded || over(story) || learns).then_some(()));
            most = most.min(PAGE);
        }
        let stops = self.stalls.take_if(|guest| guest.look(|guest| !guest.runs));
        if stops.is_some() {
            self.story.with(|story| story.stalled = true);
            // It comes to rest, and goes on waiting.
            (0..=choose(STALLS)).for_each(|_| rests());
        }
        match &mut self.through {
            Some(0) => {
                let over = |status: &String| matches!(status.as_str(), "cancelled" | "failed");
                self.story.wait(|story| story.statuses.iter().any(over).then_some(()));
                self.through = None;
                // Then the network is as good as any.
                kernel().files.room = None;
            }
            Some(left) => most = most.min(*left),
            None => {}
        }
        let got = self.channel.recv(&mut bytes[..most])?;
        self.through = self.through.map(|left| left - got);
        Ok(got)
    }

    fn shutdown(&mut self) {
        self.channel.shutdown();
    }
}

impl Outgoing {
    /// The destination: a new one for each migration, the same after a pause.
    pub(super) fn destination(
        &self,
        listener: Channel,
        story: &Arc<Board<Story>>,
        guest: &Arc<Board<Memory>>,
        (lanes, receiving): &(Arc<Board<Lanes>>, Arc<Board<Receiving>>),
    ) {
        let mut paused: Option<Destination<Line>> = None;
        loop {
            let Some(channels) = lanes::accept(&listener, self.multifd) else { return };
            let channel = channels[0];
            story.with(|story| story.channel = Some(channel));
            let (outcome, destination) = match paused.take() {
                Some(mut destination) => {
                    let line = self.line(channel, story, guest);
                    (destination.recover(line.clone(), line), destination)
                }
                None => {
                    let mut destination = self.fresh(story, guest);
                    if self.multifd > 0 {
                        lanes::begin(lanes, receiving, &channels[1..]);
                        let script = Script::precopy(self.version);
                        destination.multifd = Some(Received::new(&script, receiving.clone()));
                    }
                    let line = self.line(channel, story, guest);
                    (destination.load(line.clone(), line), destination)
                }
            };
            let pages = destination.blocks.get("ram").cloned().unwrap_or_default();
            story.with(|story| story.pages = pages);
            if outcome == Outcome::Paused {
                paused = Some(destination);
            }
            if self.multifd > 0 {
                lanes::end(lanes, receiving);
            }
            channel.close();
            story.with(|story| {
                story.channel = None;
                story.failed |= matches!(outcome, Outcome::Failed(_));
                story.destination.push(outcome);
            });
        }
    }

    fn line(
        &self,
        channel: Channel,
        story: &Arc<Board<Story>>,
        guest: &Arc<Board<Memory>>,
    ) -> Line {
        let first = story.look(|story| story.destination.is_empty());
        let through = (self.stuck && first).then(|| choose(THROUGH) * PAGE);
        let restless = self.restless.then(|| story.look(|story| story.destination.len()));
        let fails = self.deed == Deed::Pause;
        let stalls = (self.stalls && first).then(|| guest.clone());
        Line { channel, story: story.clone(), fails, restless, stalls, through }
    }

    /// A destination whose guest asks for some pages once it runs.
    fn fresh(&self, story: &Arc<Board<Story>>, guest: &Arc<Board<Memory>>) -> Destination<Line> {
        let asks = if self.holds_back() { 0 } else { choose(6) };
        let pages = (0..asks).map(|_| ("ram".into(), choose(self.pages.len()))).collect();
        let mut destination = Destination::new(Asks { pages, pause_after: None });
        let (autostart, story, guest) = (self.autostart, story.clone(), guest.clone());
        destination.starts = Some(Box::new(move || {
            story.with(|story| story.loaded = true);
            if autostart {
                start(&story, &guest);
            }
        }));
        destination
    }

    /// The network fails once.
    pub(super) fn network(&self, story: &Board<Story>, lanes: &Board<Lanes>) {
        if self.deed != Deed::Break {
            story.wait(|story| story.runs.then_some(()));
            // Or the user pauses.
            if choose(3) == 0 {
                return story.with(|story| story.cut |= self.restless);
            }
        } else {
            story.wait(|story| story.channel);
        }
        self.later();
        // Once is enough: what is left after a recovery may be nothing.
        if self.deed == Deed::Pause && story.with(|story| story.cut) {
            return;
        }
        story.with(|story| story.cut = true);
        let mut all: Vec<Channel> = story.with(|story| story.channel).into_iter().collect();
        if self.multifd > 0 {
            // One connection of several.
            all.extend(lanes.with(|lanes| lanes.open.clone()));
            all = all.get(choose(all.len().max(1))).copied().into_iter().collect();
        }
        all.iter().for_each(Channel::cut);
    }

    /// At some time.
    pub(super) fn later(&self) {
        if choose(2) == 0 {
            let until = kernel().now + choose(20) as u64 * WINDOW + 1;
            act(Op::Sleep { until, asleep: false });
        }
        dawdle(LONG);
    }
}

/// The guest begins to run on the destination.
pub(super) fn start(story: &Board<Story>, guest: &Board<Memory>) {
    let both = guest.look(|guest| guest.runs);
    story.with(|story| {
        story.runs = true;
        if both {
            story.wrong.push("the guest runs on the destination, and on the source still".into());
        }
    });
}
