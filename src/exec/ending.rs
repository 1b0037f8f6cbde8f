//! How the user's QEMU has ended, in the words of the simulator's outcomes, and what
//! states it went through.
//! Must not know: what counts as a finding.

use super::kernel::state::{Ending, Kernel, Key, Thread, kernel};
use super::kernel::trail;
use crate::sim::{End, Outcome, Side};

/// The status that a source begins each of its migrations in (`migrate_init`).
const NONE: &str = "none";

/// The outcomes of the execution that ended, of `side`: one for each of a source's
/// migrations, as the model is of one. None: it ran into the bound of operations.
pub fn outcomes(side: Side) -> Vec<Outcome> {
    let Some(end) = end(kernel()) else { return Vec::new() };
    let states = trail::names();
    if side == Side::Destination {
        return vec![Outcome { states, end }];
    }
    let migrations = states.split(|state| state == NONE).filter(|states| !states.is_empty());
    let mut all: Vec<Outcome> =
        migrations.map(|states| Outcome { states: states.to_vec(), end: End::Rests }).collect();
    if let Some(last) = all.last_mut() {
        last.end = end;
    }
    all
}

fn end(state: &Kernel) -> Option<End> {
    match state.over {
        Some(Ending::Exit(_)) => return Some(End::Exits),
        Some(Ending::Crash(..)) => return Some(End::Aborts),
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
