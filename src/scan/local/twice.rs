//! Locks that are taken while held, or released twice, and event loops that would
//! take them.
//! Must not know: who the caller is.

use super::chain::{frame, grade_of_chain, path_to_lock};
use super::push;
use crate::lock::Rule;
use crate::scan::finding::Grade;
use crate::scan::flow::{Entry, What};
use crate::scan::judge::{Judged, finding};
use crate::scan::map::Set;
use crate::scan::place::{AIO_CONTEXT, BQL, Key};
use crate::scan::program::FnId;
use crate::scan::summary::{NodeId, Summaries};
use crate::scan::tables::{self, ContextKind};

/// The locks that callbacks of an event loop take.
pub(super) fn locks_of_callbacks(summaries: &mut Summaries<'_>) -> Set<Key> {
    let mut keys = Set::default();
    let mut functions: Vec<FnId> = Vec::new();
    for registration in &summaries.hooks.registrations {
        let row = &tables::roots().registrars[usize::from(registration.registrar)];
        let polled = matches!(
            row.context,
            ContextKind::Main
                | ContextKind::Aio
                | ContextKind::Coroutine
                | ContextKind::MainCoroutine
        );
        if polled {
            functions.push(registration.function);
        }
    }
    for function in functions {
        if summaries.is_relevant(function) {
            let node = summaries.root(function, Entry::plain(true, false));
            keys.extend(summaries.outcome(node).acquires.iter().map(|lock| lock.key));
        }
    }
    keys
}

/// Locks that are taken while held, and event loops that would take them.
pub(super) fn twice(
    summaries: &Summaries<'_>,
    node: NodeId,
    callbacks: &Set<Key>,
    found: &mut Vec<Judged>,
) {
    let program = summaries.program;
    let id = summaries.function(node);
    for event in &summaries.outcome(node).events {
        if let What::UnlockedTwice(key) = event.what {
            let lock = key.text(program);
            let message = format!("{lock} is released, which this function released already");
            let finding =
                finding(program, id, event, Rule::Unbalanced, Grade::Error, message, |_| {});
            push(found, Judged { finding, sink: format!("unlock {lock}") });
        }
        let (message, sink, grade) = match &event.what {
            What::Twice(key, None) => {
                (format!("{} is taken while it is held", key.text(program)), *key, Grade::Error)
            }
            What::Twice(key, Some(to)) => {
                let callee = program.name_of(summaries.function(*to));
                let message = format!("{callee}() takes {}, which is held", key.text(program));
                (message, *key, Grade::Error)
            }
            // The wait itself releases the AioContext that it polls for.
            What::PollsWith(key, to) if callbacks.contains(key) && *key != AIO_CONTEXT => {
                let callee = program.name_of(summaries.function(*to));
                let message = format!(
                    "{callee}() polls for events while {} is held, and a callback takes it",
                    key.text(program)
                );
                (message, *key, Grade::Warning)
            }
            // The BQL is taken twice within the function, whoever calls.
            What::BqlTwice if event.own_bql => {
                ("the BQL is taken while it is held".to_owned(), BQL, Grade::Error)
            }
            _ => continue,
        };
        let path = match &event.what {
            What::Twice(key, Some(to)) => path_to_lock(summaries, *to, *key),
            What::PollsWith(_, to) => vec![frame(summaries, *to, 0, false)],
            _ => Vec::new(),
        };
        let grade = grade.max(grade_of_chain(&path));
        let finding = finding(program, id, event, Rule::TakenTwice, grade, message, |finding| {
            if !path.is_empty() {
                finding.call_path.push(frame(summaries, node, event.line, event.conditional));
                finding.call_path.extend(path);
            }
        });
        push(found, Judged { finding, sink: sink.text(program) });
    }
}
