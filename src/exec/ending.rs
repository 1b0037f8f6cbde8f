//! How the user's QEMU has ended, in the words of the simulator's outcomes, and what
//! states it went through.
//! Must not know: what counts as a finding.

use super::kernel::state::{Ending, Kernel, Key, Thread, kernel};
use super::kernel::trail;
use crate::sim::{End, Outcome, PostcopyState, Side};
use std::os::raw::c_int;

/// Variables, as `glue/qemu/state.c` numbers them.
const SOURCE: c_int = 0;
const DESTINATION: c_int = 1;
const POSTCOPY: c_int = 2;

/// From now on the states of a side are kept.
pub fn watch(side: Side) {
    trail::begin(match side {
        Side::Source => &[SOURCE],
        Side::Destination => &[DESTINATION, POSTCOPY],
    });
}

/// The states so far, as `sim::Outcome` has them: a `PostcopyState` in capitals.
fn states() -> Vec<String> {
    trail::look();
    let named = kernel().trail.values.iter().map(|(which, value)| match *which {
        POSTCOPY => PostcopyState::from(*value as u64).to_string(),
        _ => trail::name(*value),
    });
    named.collect()
}

/// The last `MigrationStatus`.
pub fn status() -> String {
    let is_status = |name: &String| name.starts_with(|letter: char| letter.is_ascii_lowercase());
    states().into_iter().rfind(is_status).unwrap_or_default()
}

/// The status that a source begins each of its migrations in.
const SETUP: &str = "setup";

/// The outcome of the execution that ended, of `side`; of a source its first migration,
/// as the model is of one. None: it ran into the bound of operations.
pub fn outcome(side: Side) -> Option<Outcome> {
    let end = end(kernel())?;
    let mut states = states();
    if side == Side::Destination {
        return Some(Outcome { states, end });
    }
    states.drain(..states.iter().position(|state| state == SETUP)?);
    let second = states.iter().skip(1).position(|state| state == SETUP || state == "none");
    match second {
        None => Some(Outcome { states, end }),
        // The user migrates again once the first is over.
        Some(nth) => Some(Outcome { states: states[..=nth].to_vec(), end: End::Rests }),
    }
}

fn end(state: &Kernel) -> Option<End> {
    match state.over {
        Some(Ending::Exit(_)) => return Some(End::Exits),
        Some(Ending::Crash(..)) => return Some(End::Aborts),
        Some(Ending::Spins { .. }) => return Some(End::Hangs),
        Some(Ending::Steps) => return None,
        Some(Ending::Quiet | Ending::Done) | None => {}
    }
    let of_qemu = |thread: &&Thread| {
        let guest = thread.vcpu || thread.name.starts_with("guest ");
        !thread.scenario && !guest && thread.returned.is_none()
    };
    let mut servers = state.threads.iter().filter(of_qemu).filter(|thread| thread.idle);
    let mut migration = state.threads.iter().filter(of_qemu).filter(|thread| !thread.idle);
    Some(match () {
        () if servers.any(hangs) => End::Hangs,
        () if migration.next().is_some() => End::Waits,
        () => End::Rests,
    })
}

/// Whether a thread that serves for ever is not where it waits for work.
fn hangs(thread: &Thread) -> bool {
    let polls = thread.name == "main" || thread.name.contains("mon_iothread");
    let at_work = |key: &Key| match key {
        Key::File(_) | Key::Clock | Key::Signal => true,
        Key::Futex(_) | Key::Cond(_) => !polls,
        _ => false,
    };
    thread.waits.iter().next().is_some_and(|_| !thread.waits.iter().any(at_work))
}
