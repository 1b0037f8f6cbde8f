//! What one function, or it and what it calls, shows whoever the caller is: locks
//! that some ways out leave held, locks taken twice, locks that are needed.
//! Must not know: threads, but for who starts where.

mod chain;
mod needs;
mod never_posted;
mod twice;
mod unbalanced;

pub(super) use chain::{grade_of_chain, path_to_lock};

use super::contexts::Context;
use super::flow::Entry;
use super::judge::Judged;
use super::map::Map;
use super::resolve::{LockCall, Resolved, Step};
use super::summary::{NodeId, Summaries};
use needs::{Need, collect_needs, unmet};
use never_posted::never_posted;
use twice::{locks_of_callbacks, twice};
use unbalanced::unbalanced;

/// All findings of this kind.
pub(super) fn findings(
    summaries: &mut Summaries<'_>,
    contexts: &[Context],
    found: &mut Vec<Judged>,
) {
    let callbacks = locks_of_callbacks(summaries);
    let mut needs: Map<NodeId, Vec<Need>> = Map::default();
    for id in summaries.program.ids() {
        if !works_on_locks(summaries.resolved(id)) {
            continue;
        }
        let mut node = summaries.root(id, Entry::plain(false, false));
        if summaries.outcome(node).exits.is_empty() {
            // It does not come to an end without the BQL.
            node = summaries.root(id, Entry::plain(true, false));
        }
        twice(summaries, node, &callbacks, found);
        unbalanced(summaries, node, found);
    }
    let mut seen = vec![false; summaries.count()];
    for &node in contexts.iter().flat_map(|context| &context.order) {
        if !std::mem::replace(&mut seen[node as usize], true) {
            collect_needs(summaries, node, &mut needs);
        }
    }
    unmet(summaries, contexts, &needs, found);
    never_posted(summaries, found);
}

/// Whether a function takes or releases a lock itself.
fn works_on_locks(resolved: &Resolved) -> bool {
    let mut steps = resolved.blocks.iter().flat_map(|block| &block.ops);
    steps.any(|step| match step {
        Step::Call(call) => !matches!(
            call.lock,
            None | Some(LockCall::BqlLocked | LockCall::InCoroutine | LockCall::InVcpu)
        ),
        Step::Enter { .. } => true,
        _ => false,
    })
}

fn push(found: &mut Vec<Judged>, judged: Judged) {
    let same = |known: &Judged| {
        known.sink == judged.sink
            && known.finding.rule == judged.finding.rule
            && known.finding.path == judged.finding.path
            && known.finding.function == judged.finding.function
    };
    if !found.iter().rev().take(400).any(same) {
        found.push(judged);
    }
}
