//! Ways out that leave a lock held, where others do not.
//! Must not know: who the caller is.

use super::push;
use crate::lock::Rule;
use crate::scan::finding::Grade;
use crate::scan::flow::Exit;
use crate::scan::judge::{Judged, finding, plain_event};
use crate::scan::place::{AIO_CONTEXT, BQL, Key, Object, RCU};
use crate::scan::program::FnId;
use crate::scan::resolve::{LockCall, NEGATIVE, Step, ZERO};
use crate::scan::summary::{NodeId, Summaries};

/// Whether a function itself, not one that it calls, takes a lock of this class
/// and releases it again.
fn takes_itself(summaries: &Summaries<'_>, id: FnId, key: Key) -> bool {
    let resolved = summaries.resolved(id);
    let mut steps = resolved.blocks.iter().flat_map(|block| &block.ops);
    steps.any(|step| match step {
        Step::Call(call) => match call.lock {
            Some(LockCall::BqlLock) => key == BQL,
            Some(LockCall::LockOf(of)) => key == of,
            Some(LockCall::Lock) => call.object.as_ref().is_some_and(|object| object.key == key),
            _ => false,
        },
        _ => false,
    })
}

/// Ways out that leave a lock held, where others do not.
pub(super) fn unbalanced(summaries: &Summaries<'_>, node: NodeId, found: &mut Vec<Judged>) {
    let program = summaries.program;
    let id = summaries.function(node);
    let outcome = summaries.outcome(node);
    let exits = &outcome.exits;
    if exits.len() < 2 || outcome.capped {
        return;
    }
    let entry = summaries.entry(node);
    let mut locks: Vec<Object> = exits.iter().flat_map(|exit| exit.taken.clone()).collect();
    if !entry.bql && exits.iter().any(|exit| exit.bql) {
        locks.push(Object::only(BQL));
    }
    locks.dedup();
    for lock in locks {
        if lock.key == AIO_CONTEXT {
            // Which one is taken and which released, its class does not say.
            continue;
        }
        let held = |exit: &Exit| match lock.key {
            BQL => exit.bql,
            _ => exit.taken.contains(&lock),
        };
        let (with, without): (Vec<&Exit>, Vec<&Exit>) = exits.iter().partition(|exit| held(exit));
        if with.is_empty() || without.is_empty() || !takes_itself(summaries, id, lock.key) {
            continue;
        }
        let with_signs = with.iter().fold(0, |signs, exit| signs | exit.signs);
        let without_signs = without.iter().fold(0, |signs, exit| signs | exit.signs);
        // A returned value that tells the two apart is a way to say so, unless it
        // says failure for the one that holds the lock.
        let told = with_signs & without_signs == 0;
        let failure = with_signs == NEGATIVE
            || (with_signs == ZERO && without_signs & (ZERO | NEGATIVE) == 0);
        if told && !failure {
            continue;
        }
        let line = with.iter().map(|exit| exit.line).min().unwrap_or(0);
        let name = match lock.key {
            BQL => "the BQL".to_owned(),
            RCU => "the RCU read section".to_owned(),
            key => key.text(program),
        };
        let message = format!("{}() returns with {name} held on some paths", program.name_of(id));
        // `qemu_log_trylock()`: it is there to leave it held.
        let mut words = program.name_of(id).split('_');
        let locks = words.any(|word| matches!(word, "lock" | "trylock" | "acquire" | "enter"));
        let grade = if locks { Grade::Note } else { Grade::Error };
        let judged =
            finding(program, id, &plain_event(line), Rule::Unbalanced, grade, message, |finding| {
                for exit in without.iter().take(2) {
                    finding.notes.push(format!(
                        "released on the way to {}:{}",
                        program.path_of(id),
                        exit.line
                    ));
                }
            });
        push(found, Judged { finding: judged, sink: format!("return with {name}") });
    }
}
