//! Ways out that are set right once a function is followed: those of lock helpers
//! that come in pairs, and those that lose the BQL.
//! Must not know: the state on the way.

use super::outcome::{Event, Exit, Outcome, What};
use crate::scan::ir::Guard;
use crate::scan::place::{Key, Object, RCU};
use crate::scan::resolve::{Block, LockCall, Step};

/// A function that releases the BQL for a while, and on some ways does not take
/// it again: that is said here, and its callers go on with it held. One whose
/// result tells the two apart is left as it is.
pub(super) fn settle_bql(blocks: &[Block], out: &mut Outcome) {
    let Some(lost) = out.exits.iter().filter(|exit| !exit.bql).min_by_key(|exit| exit.line) else {
        return;
    };
    let line = lost.line;
    let calls = |lock: LockCall| {
        let mut steps = blocks.iter().flat_map(|block| &block.ops);
        steps.any(|step| matches!(step, Step::Call(call) if call.lock == Some(lock)))
    };
    let signs = |bql: bool| {
        let exits = out.exits.iter().filter(|exit| exit.bql == bql);
        exits.fold(0, |signs, exit| signs | exit.signs)
    };
    if signs(true) & signs(false) == 0 || !calls(LockCall::BqlLock) || !calls(LockCall::BqlUnlock) {
        return;
    }
    out.exits.retain(|exit| exit.bql);
    out.events.push(Event {
        what: What::NotTakenAgain,
        line,
        column: 0,
        conditional: true,
        bql: false,
        own_bql: false,
        held: Vec::new(),
    });
}

/// A function that takes a lock under a condition and never releases it, or the
/// other way round, is one of a pair: `XBZRLE_cache_lock()` and its unlock. The
/// condition is the same in both, so the lock is taken to be one that there is.
pub(super) fn settle_helpers(blocks: &[Block], exits: &mut Vec<Exit>) {
    if exits.len() < 2 {
        return;
    }
    let works = |key: Key, release: bool| {
        blocks.iter().flat_map(|block| &block.ops).any(|step| match step {
            Step::Call(call) => match call.lock {
                Some(LockCall::Lock | LockCall::TryLock) if !release => {
                    call.object.as_ref().is_some_and(|object| object.key == key)
                }
                Some(LockCall::LockOf(of)) if !release => of == key,
                Some(LockCall::Unlock) if release => {
                    call.object.as_ref().is_some_and(|object| object.key == key)
                }
                Some(LockCall::UnlockOf(of)) if release => of == key,
                _ => false,
            },
            Step::Enter { lock, guard, .. } => {
                lock.key == key || (*guard == Guard::Rcu && key == RCU)
            }
            _ => false,
        })
    };
    for release in [false, true] {
        let list = |exit: &Exit| match release {
            false => exit.taken.clone(),
            true => exit.dropped.clone(),
        };
        let locks: Vec<Object> = exits.iter().flat_map(list).collect();
        for lock in locks {
            let signs = exits.iter().filter(|exit| list(exit).contains(&lock));
            let signs = signs.fold(0, |signs, exit| signs | exit.signs);
            if works(lock.key, release) && !works(lock.key, !release) {
                exits.retain(|exit| list(exit).contains(&lock) || exit.signs & signs == 0);
            }
        }
    }
}
