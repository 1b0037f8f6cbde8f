//! The network between two QEMUs: it stalls, and fails once.
//! Must not know: what travels over it.

use super::table::Deed;
use super::{DESTINATION, RECOVER, SOURCE, Stage};
use crate::exec::kernel::file::File;
use crate::exec::kernel::socket;
use crate::exec::kernel::state::kernel;
use crate::exec::kernel::sync::Op;
use crate::exec::kernel::tasks::choose;
use crate::exec::scenario::board::Board;
use crate::exec::scenario::guest::{Memory, PAGE};
use crate::exec::scenario::incoming::INCOMING;
use crate::exec::scenario::task::{act, dawdle};

/// Between two looks of the rate limit (`BUFFER_DELAY`), in nanoseconds.
const WINDOW: u64 = 100_000_000;
/// Places to switch that somebody may wait for, before the network or the user does
/// something.
const LONG: usize = 300;
/// Bytes that a network holds which is slow: fewer than are left to be sent.
const ROOM: usize = 8 << 10;
/// More than the devices' state takes, and less than that and a page.
const PACKAGE: usize = 4 << 10;

/// Before an execution in which it is to fail while pages are missing: once the guest
/// has stopped on the source, its devices get through and few pages, and the source
/// is stuck with the rest.
pub fn prepare(source: &Board<Memory>) {
    kernel().files.room = Some(ROOM);
    let pages = choose(5);
    source.with(|guest| guest.stalls_after = Some(PACKAGE + pages * PAGE));
}

/// The connections that the source has with the destination.
fn connections() -> Vec<usize> {
    let between = |file: &File| matches!(file, File::Stream { remote, .. } if remote == INCOMING || remote == RECOVER);
    let files = kernel().files.all.iter().enumerate();
    files.filter(|(_, file)| between(file)).map(|(nth, _)| nth).collect()
}

/// What the source sends does not arrive any more, after so many bytes.
pub fn stall(after: usize) {
    for file in connections() {
        if let File::Stream { to: Some(to), .. } = kernel().files.all[file] {
            let pipe = &mut kernel().files.pipes[to];
            pipe.stall(pipe.bytes.len() + after);
        }
    }
}

/// Lets all come to rest: time goes on when nothing can run.
fn rest() {
    let until = kernel().now + 1;
    act(Op::Sleep { until, asleep: false });
}

impl Stage {
    /// Sees that all has come to rest after the guest has stopped on the source, which
    /// it may have because the guest cannot start.
    pub(super) fn rested(&self) {
        self.guests[SOURCE].wait(|guest| (!guest.runs).then_some(()));
        rest();
        self.guests[DESTINATION].with(|guest| guest.at_rest = true);
    }

    /// At some time.
    pub(super) fn later(&self) {
        if choose(2) == 0 {
            let until = kernel().now + choose(20) as u64 * WINDOW + 1;
            act(Op::Sleep { until, asleep: false });
        }
        dawdle(LONG);
    }

    /// The network fails once.
    pub(super) fn network(&self) {
        if self.plan.deed == Deed::Recover {
            self.guests[DESTINATION].wait(|guest| (guest.runs || guest.at_rest).then_some(()));
            if choose(2) == 0 {
                rest();
            }
            dawdle(LONG);
        } else {
            self.story.wait(|story| story.begun.then_some(()));
            self.later();
        }
        let mut all = connections();
        if self.plan.deed == Deed::Channel && !all.is_empty() {
            all = vec![all[choose(all.len())]];
        }
        for file in &all {
            socket::cut(kernel(), *file, false);
        }
        self.story.with(|story| story.cut |= !all.is_empty());
    }
}
