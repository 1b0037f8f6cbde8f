//! A network that is slow, and fails once.
//! Must not know: what travels over it.

use super::board::Board;
use super::channel::Channel;
use super::story::Story;
use super::task::{act, dawdle};
use crate::exec::kernel::state::kernel;
use crate::exec::kernel::sync::Op;
use crate::exec::kernel::tasks::choose;
use crate::exec::peer::{State, Status, Wire};

/// In nanoseconds: shorter than any of the timers that QEMU has then.
const MOMENT: u64 = 1_000_000;

/// Places to switch that somebody may wait for before it fails at any step.
const LONG: usize = 300;

/// One of so many pieces of the stream is late.
const SLOW: usize = 4;

/// Where the network fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    Never,
    /// While the guest runs on the destination, pages are missing, and the source
    /// has had a request for one.
    Running,
    /// While the guest runs on the destination and pages are missing, whether the
    /// source has had a request or not.
    Unasked,
    /// While pages are missing, when all threads of the destination are at rest.
    Resting,
    /// As `Running`, and once more while the two negotiate the recovery.
    Twice,
    /// Anywhere after the source has gone over to postcopy.
    Anywhere,
    /// At any step after the source has connected.
    Anytime,
    /// The same for one connection of several.
    One,
}

impl Break {
    /// The source's pages stop short until it fails.
    pub fn stalls(self) -> bool {
        matches!(self, Break::Running | Break::Unasked | Break::Resting | Break::Twice)
    }
}

/// Time goes on when nothing can run: all threads are at rest.
pub fn rest() {
    let until = kernel().now + MOMENT;
    act(Op::Sleep { until, asleep: false });
}

/// The source's end of a slow network. Now and then the destination has come to rest
/// before more arrives; and if it is to fail, once few pages are left nothing more
/// gets through until it does.
#[derive(Clone)]
pub struct Slow {
    pub channel: Channel,
    pub state: std::sync::Arc<Board<State>>,
    pub story: std::sync::Arc<Board<Story>>,
    pub breaks: Break,
    /// Nothing more gets through either while a restless user may pause.
    pub restless: bool,
    /// Pages that are left when it stalls.
    pub left: usize,
}

impl Wire for Slow {
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let stalls = |state: &mut State| {
            state.status == Status::PostcopyActive && state.pending() < self.left
        };
        let over = self.state.with(|state| state.status == Status::PostcopyActive);
        if over && self.breaks == Break::Never && choose(SLOW) == 1 {
            rest();
        }
        // While the source does not know that its package was loaded it cannot pause: it
        // has to learn that while pages are left.
        let device = self.state.with(|state| state.status == Status::PostcopyDevice);
        if device && self.breaks.stalls() {
            self.state.wait(|state| state.package_loaded().then_some(()));
        }
        if self.state.with(stalls) {
            let (restless, here) = (self.restless, Some(self.channel));
            let over = |story: &mut Story| match restless {
                true => story.broken == here || story.calm && story.cut,
                false => story.cut,
            };
            self.story.wait(|story| over(story).then_some(()));
        }
        self.channel.send(bytes)
    }

    fn recv(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.channel.recv(bytes)
    }

    fn shutdown(&mut self) {
        self.channel.shutdown();
    }
}

/// Fails once, for all connections or one of them.
fn fail_early(one: bool, story: &Board<Story>, wires: &Board<Vec<Channel>>) {
    wires.wait(|wires| (!wires.is_empty()).then_some(()));
    dawdle(LONG);
    let mut all = wires.with(|wires| wires.clone());
    if one && !all.is_empty() {
        all = vec![all[choose(all.len())]];
    }
    all.iter().for_each(Channel::cut);
    story.with(|story| story.cut |= !all.is_empty());
}

/// Fails once.
pub fn fail(
    breaks: Break,
    state: &Board<State>,
    story: &Board<Story>,
    wires: &Board<Vec<Channel>>,
) {
    if matches!(breaks, Break::Anytime | Break::One) {
        return fail_early(breaks == Break::One, story, wires);
    }
    let device = breaks == Break::Anywhere;
    state.wait(|state| match state.status {
        Status::PostcopyActive => Some(()),
        Status::PostcopyDevice if device => Some(()),
        _ => None,
    });
    match breaks {
        Break::Running | Break::Twice => {
            story.wait(|story| story.runs.then_some(()));
            state.wait(|state| (state.requested > 0).then_some(()));
        }
        Break::Unasked => story.wait(|story| story.runs.then_some(())),
        Break::Resting => rest(),
        Break::Anywhere | Break::Anytime | Break::One | Break::Never => {}
    }
    dawdle(40);
    if story.with(|story| story.source.is_some()) {
        return;
    }
    let all = wires.with(|wires| wires.clone());
    all.iter().for_each(Channel::cut);
    story.with(|story| story.cut |= !all.is_empty());
    if breaks == Break::Twice {
        wires.wait(|wires| (*wires != all).then_some(()));
        dawdle(40);
        // Later it would be a failure like any other.
        if state.with(|state| state.status != Status::PostcopyActive) {
            wires.with(|wires| wires.clone()).iter().for_each(Channel::cut);
        }
    }
}
