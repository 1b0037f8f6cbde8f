//! Locks other than the BQL that a call needs, and that no caller on the way from
//! a root holds.
//! Must not know: how a need was found in a function.

use super::push;
use crate::lock::Rule;
use crate::scan::contexts::Context;
use crate::scan::finding::{Contract, Grade};
use crate::scan::flow::{To, What};
use crate::scan::judge::{Judged, finding, plain_event};
use crate::scan::map::Map;
use crate::scan::place::{AIO_CONTEXT, Key, UNKNOWN};
use crate::scan::program::Sym;
use crate::scan::summary::{NodeId, Summaries};

/// A lock that is needed at a call and not held there.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Need {
    /// The lock: its class, or a member's name where a comment says no more.
    key: Key,
    by_name: Option<Sym>,
    text: String,
    source: String,
    callee: String,
    grade: Grade,
    line: u32,
}

impl Need {
    fn met(&self, held: &[Key]) -> bool {
        held.iter().any(|held| *held == self.key || self.by_name == Some(held.name))
    }
}

pub(super) fn collect_needs(
    summaries: &Summaries<'_>,
    node: NodeId,
    needs: &mut Map<NodeId, Vec<Need>>,
) {
    let program = summaries.program;
    for event in &summaries.outcome(node).events {
        let need = match &event.what {
            What::NeedsLock(row, key) => {
                let row = &summaries.contracts.locks[usize::from(*row)];
                Need {
                    key: *key,
                    by_name: None,
                    text: row.text.clone(),
                    source: row.source.clone(),
                    callee: row.function.clone(),
                    grade: Grade::Error,
                    line: event.line,
                }
            }
            What::NeedsCommented(function, row) => {
                let (file, at) = summaries.comment_rows[*row as usize];
                let lock = summaries
                    .commented(*function)
                    .iter()
                    .find(|(known, ..)| known == row)
                    .and_then(|(_, _, lock)| *lock);
                let Some(lock) = lock else { continue };
                let file = &program.files[file as usize];
                let comment = &file.facts.contracts[at as usize];
                Need {
                    key: Key { owner: UNKNOWN, name: lock },
                    by_name: Some(lock),
                    text: comment.text.clone(),
                    source: format!("comment at {}:{}", file.path, comment.line),
                    callee: program.name_of(*function).to_owned(),
                    grade: Grade::Warning,
                    line: event.line,
                }
            }
            _ => continue,
        };
        let known = needs.entry(node).or_default();
        if !known.contains(&need) {
            known.push(need);
        }
    }
}

/// Needs that no caller on the way from a root meets.
pub(super) fn unmet(
    summaries: &Summaries<'_>,
    contexts: &[Context],
    needs: &Map<NodeId, Vec<Need>>,
    found: &mut Vec<Judged>,
) {
    let program = summaries.program;
    for context in contexts {
        for &node in &context.order {
            let Some(own) = needs.get(&node) else { continue };
            let hops = context.path(summaries, node);
            for need in own {
                let above = hops.iter().filter_map(|hop| hop.edge.as_ref());
                if above.clone().any(|edge| need.met(&edge.held)) {
                    continue;
                }
                let doubtful = above.filter(|edge| matches!(edge.to, To::Hook(..))).count();
                let id = summaries.function(node);
                let lock = match need.by_name {
                    Some(name) if name != AIO_CONTEXT.name => program.text(name).to_owned(),
                    Some(_) => AIO_CONTEXT.text(program),
                    None => need.key.text(program),
                };
                let message = format!("{}() is called without {lock}", need.callee);
                let grade = if doubtful > 1 { Grade::Note } else { need.grade };
                let judged = finding(
                    program,
                    id,
                    &plain_event(need.line),
                    Rule::NeedsBql,
                    grade,
                    message,
                    |finding| {
                        finding.contract =
                            Some(Contract { text: need.text.clone(), source: need.source.clone() });
                    },
                );
                push(found, Judged { finding: judged, sink: format!("{} {lock}", need.callee) });
            }
        }
    }
}
