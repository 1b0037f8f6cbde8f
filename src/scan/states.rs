//! The lock state at every call of every thread, and which of them a patch
//! changes.
//! Must not know: rules.

use super::contexts::Context;
use super::finding::Change;
use super::flow::To;
use super::map::Map;
use super::place::NONE;
use super::program::{FnId, Sym};
use super::summary::Summaries;
use serde::{Deserialize, Serialize};

/// The states met, a bit each: not held, held.
type Bits = u8;

/// A call in a thread.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
struct At {
    thread: String,
    caller: String,
    callee: String,
}

/// What is known of a call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Seen {
    /// The BQL where the caller is entered.
    entry: Bits,
    /// The BQL at the call.
    call: Bits,
    path: String,
    line: u32,
}

/// The lock states at the calls of the functions of some files.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct States {
    calls: Vec<(At, Seen)>,
}

/// As a table shows it.
fn word(bits: Bits) -> String {
    match bits {
        0 => "not called",
        1 => "not held",
        2 => "held",
        _ => "either",
    }
    .to_owned()
}

impl States {
    /// Collects from what the threads come to, in the files that `wanted` names.
    pub(super) fn new(
        summaries: &Summaries<'_>,
        contexts: &[Context],
        wanted: impl Fn(&str) -> bool,
    ) -> States {
        let program = summaries.program;
        let files: Vec<bool> = program.files.iter().map(|file| wanted(&file.path)).collect();
        let mut calls: Map<(usize, FnId, Sym), Seen> = Map::default();
        for (number, context) in contexts.iter().enumerate() {
            let mut entries: Map<FnId, Bits> = Map::default();
            for &node in &context.order {
                let caller = summaries.function(node);
                if files[program.file_of(caller) as usize] {
                    let bit = 1 << u8::from(summaries.entry(node).bql);
                    *entries.entry(caller).or_default() |= bit;
                }
            }
            for &node in &context.order {
                let caller = summaries.function(node);
                if !files[program.file_of(caller) as usize] {
                    continue;
                }
                for edge in &summaries.outcome(node).edges {
                    let callee = match edge.to {
                        To::Node(to) => program.sym_of(summaries.function(to)),
                        To::Hook(..) => edge.name,
                    };
                    let seen = calls.entry((number, caller, callee)).or_insert_with(|| Seen {
                        entry: entries[&caller],
                        call: 0,
                        path: program.path_of(caller).to_owned(),
                        line: edge.line,
                    });
                    seen.call |= 1 << u8::from(edge.bql);
                    seen.line = seen.line.min(edge.line);
                }
            }
        }
        debug_assert!(calls.keys().all(|(_, _, callee)| *callee != NONE));
        let mut calls: Vec<(At, Seen)> = calls
            .into_iter()
            .map(|((context, caller, callee), seen)| {
                let at = At {
                    thread: contexts[context].thread.clone(),
                    caller: program.name_of(caller).to_owned(),
                    callee: program.text(callee).to_owned(),
                };
                (at, seen)
            })
            .collect();
        calls.sort_by(|(a, x), (b, y)| (a, &x.path).cmp(&(b, &y.path)));
        States { calls }
    }

    /// The calls whose state changed, in functions that are entered as before:
    /// what follows from a change further up is not said again.
    pub fn changes(&self, after: &States) -> Vec<Change> {
        let before: Map<&At, &Seen> = self.calls.iter().map(|(at, seen)| (at, seen)).collect();
        let mut changes = Vec::new();
        for (at, now) in &after.calls {
            let Some(then) = before.get(at) else { continue };
            if then.call == now.call || then.entry != now.entry {
                continue;
            }
            changes.push(Change {
                thread: at.thread.clone(),
                caller: at.caller.clone(),
                callee: at.callee.clone(),
                path: now.path.clone(),
                line: now.line,
                before: word(then.call),
                after: word(now.call),
            });
        }
        changes.sort();
        changes
    }
}
