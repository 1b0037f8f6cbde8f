//! An outcome: what one side of a migration goes through, and how that ends. The
//! simulator's and a real QEMU's are compared by it.
//! Must not know: who saw it.

use super::cast::Cast;
use super::plan::Version;
use super::state::Side;
use super::status::{PostcopyState, Status};
use crate::runtime::{Op, Phase, State, ThreadId, World};
use std::fmt;

/// How a side ends, once nothing can happen any more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum End {
    /// The threads that were begun for the migration have ended; main loop and
    /// monitor wait for what comes next.
    Rests,
    /// Main loop and monitor do, but a thread of the migration waits.
    Waits,
    /// The main loop, or the monitor's IOThread, does not come back.
    Hangs,
    /// QEMU has ended itself with an error.
    Exits,
    /// It has crashed, or an assertion has failed.
    Aborts,
}

/// The states that a side goes through, and how it ends. Written
/// `setup > active > completed; rests`; a destination's `PostcopyState` stands
/// among them in capitals.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Outcome {
    /// In the order in which they were set; first of all, the one at the beginning.
    pub states: Vec<String>,
    pub end: End,
}

const ENDS: [(End, &str); 5] = [
    (End::Rests, "rests"),
    (End::Waits, "waits"),
    (End::Hangs, "hangs"),
    (End::Exits, "exits"),
    (End::Aborts, "aborts"),
];

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = ENDS.iter().find(|(end, _)| end == self);
        f.write_str(named.expect("all have a name").1)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.states.join(" > "), self.end)
    }
}

impl std::str::FromStr for Outcome {
    type Err = String;

    /// What `Display` writes.
    fn from_str(text: &str) -> Result<Outcome, String> {
        let form = || format!("\"{text}\" is no outcome: it looks like \"setup > failed; exits\"");
        let (states, end) = text.split_once("; ").ok_or_else(form)?;
        let named = ENDS.iter().find(|(_, name)| *name == end);
        let end = named.ok_or_else(form)?.0;
        let states: Vec<String> = states.split(" > ").map(String::from).collect();
        if states.iter().any(|state| state.is_empty() || state.contains([' ', '>', ';'])) {
            return Err(form());
        }
        Ok(Outcome { states, end })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Source => "source",
            Side::Destination => "destination",
        })
    }
}

impl Cast {
    /// Has the states of `side` kept, for its outcome.
    pub(super) fn watch(&self, world: &mut World, side: Side) {
        match side {
            Side::Source => world.watch(&[self.src_state]),
            Side::Destination => world.watch(&[self.mis_state, self.postcopy_state]),
        }
    }

    /// What `side` has come to.
    pub(super) fn outcome(&self, world: &World, side: Side) -> Outcome {
        let state = |(id, value): &(_, u64)| match *id == self.postcopy_state {
            true => PostcopyState::from(*value).to_string(),
            false => Status::from(*value).to_string(),
        };
        // PostcopyState begins as NONE, always: not told.
        let begins = |nth: usize| nth == 1 && side == Side::Destination;
        let values = world.trail.values.iter().enumerate().filter(|(nth, _)| !begins(*nth));
        let states = values.map(|(_, value)| state(value)).collect();
        Outcome { states, end: self.end(world, side) }
    }

    fn end(&self, world: &World, side: Side) -> End {
        let t = &self.threads;
        let process = u8::from(side == Side::Source);
        let phase = |thread: ThreadId| &world.threads[thread.0 as usize].phase;
        let main = match side {
            Side::Destination => Some(t.main),
            Side::Source => t.src_main.or(t.network),
        };
        if world.ended {
            let by = world.violations.last().and_then(|violation| violation.thread);
            let here = by.is_some_and(|by| world.threads[by.0 as usize].process == process);
            return if here { End::Aborts } else { End::Waits };
        }
        if side == Side::Destination && matches!(phase(t.main), Phase::Killed) {
            return End::Exits;
        }
        let monitor = t.monitor.filter(|_| side == Side::Destination);
        if main.is_some_and(|main| !self.is_at_rest(world, main))
            || monitor.is_some_and(|monitor| takes_lock(phase(monitor)))
        {
            return End::Hangs;
        }
        let of_side = |thread: &ThreadId| {
            let thread = &world.threads[thread.0 as usize];
            thread.process == process && !thread.vcpu
        };
        let mut migration = world.everybody().iter().filter(of_side);
        let waits = migration.any(|thread| {
            let State::Thread { created, .. } = world.objects[thread.0 as usize].state else {
                unreachable!("threads are the first objects")
            };
            let serves = Some(thread) == main || Some(thread) == monitor;
            created && !serves && matches!(phase(thread), Phase::Waiting(_))
        });
        if waits { End::Waits } else { End::Rests }
    }

    /// Whether a main loop polls: also while the incoming coroutine waits for the
    /// stream; or, where the network's thread serves as it, for the network's time.
    fn is_at_rest(&self, world: &World, main: ThreadId) -> bool {
        let parked = world.threads[main.0 as usize].parks_on;
        let stream = Some(self.streams[0].id).filter(|_| main == self.threads.main);
        world.pending(main).is_none_or(|call| {
            [parked, stream].contains(&Some(call.object)) || matches!(call.op, Op::Break)
        })
    }
}

fn takes_lock(phase: &Phase) -> bool {
    matches!(phase, Phase::Waiting(call) if matches!(call.op, Op::Lock))
}

impl Version {
    /// The plan of QEMU as released in this version.
    pub fn plan(self) -> &'static str {
        match self {
            Version::V7_2 => "qemu-7.2",
            Version::V10_0 => "qemu-10.0",
            Version::V10_2 => "qemu-10.2",
        }
    }
}
