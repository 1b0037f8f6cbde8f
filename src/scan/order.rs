//! The order in which locks are taken: two that are taken both ways round, and
//! documented orders that are not kept.
//! Must not know: what is done under the locks.

use super::contexts::Context;
use super::finding::{Contract, Frame, Grade};
use super::flow::{Event, To, What};
use super::judge::{Judged, doubts, finding, plain_event};
use super::local::grade_of_chain;
use super::map::Map;
use super::place::{AIO_CONTEXT, BQL, Key, NONE, RCU, UNKNOWN};
use super::program::FnId;
use super::summary::{NodeId, Summaries};
use super::tables;
use crate::lock::Rule;

/// Where a lock is taken while another is held.
#[derive(Clone, Copy)]
struct Place {
    function: FnId,
    line: u32,
    column: u32,
    conditional: bool,
    /// The call below which the lock is taken; none: it is taken here.
    below: Option<NodeId>,
}

/// Whether an order of this lock with others can deadlock and is told apart by
/// its class: readers of RCU do not exclude each other.
fn counts(key: Key) -> bool {
    !matches!(key, RCU | AIO_CONTEXT) && key.owner != UNKNOWN
}

/// All orders met, each with its first place.
fn orders(summaries: &Summaries<'_>, contexts: &[Context]) -> Map<(Key, Key), Vec<Place>> {
    let mut orders: Map<(Key, Key), Vec<Place>> = Map::default();
    let mut seen = vec![false; summaries.count()];
    let nodes =
        contexts.iter().flat_map(|context| context.order.iter().map(move |&node| (context, node)));
    for (context, node) in nodes {
        if seen[node as usize] {
            continue;
        }
        let outcome = summaries.outcome(node);
        let matters = outcome.edges.iter().any(|edge| !edge.held.is_empty())
            || outcome.events.iter().any(|event| {
                let takes = matches!(event.what, What::Acquire(_) | What::AcquireBql);
                takes && (event.bql || !event.held.is_empty())
            });
        // A way through members that hold many functions says too little.
        let doubtful = || doubts(summaries, &context.path(summaries, node)) > 1;
        seen[node as usize] = !matters || !doubtful();
        if !matters || !seen[node as usize] {
            continue;
        }
        let function = summaries.function(node);
        let mut put = |first: Key, then: Key, place: Place| {
            if first != then && counts(first) && counts(then) {
                let places = orders.entry((first, then)).or_default();
                if !places.iter().any(|known| known.function == place.function) {
                    places.push(place);
                }
            }
        };
        for event in &outcome.events {
            let Event { line, column, conditional, .. } = *event;
            let place = Place { function, line, column, conditional, below: None };
            let taken = match event.what {
                What::Acquire(key) => key,
                What::AcquireBql => BQL,
                _ => continue,
            };
            for &held in &event.held {
                put(held, taken, place);
            }
            if event.bql {
                put(BQL, taken, place);
            }
        }
        for edge in &outcome.edges {
            let To::Node(to) = edge.to else { continue };
            if edge.held.is_empty() {
                continue;
            }
            let below = summaries.outcome(to);
            let (line, conditional) = (edge.line, edge.conditional);
            let place = Place { function, line, column: 0, conditional, below: Some(to) };
            for lock in &below.acquires {
                for &held in &edge.held {
                    put(held, lock.key, place);
                }
            }
        }
    }
    orders
}

/// Findings of BQL008.
pub(super) fn findings(summaries: &Summaries<'_>, contexts: &[Context], found: &mut Vec<Judged>) {
    let program = summaries.program;
    let orders = orders(summaries, contexts);
    let mut documented: Vec<(Key, Key, &str)> = Vec::new();
    for row in &tables::locks().order {
        let key = |text: &str| match text {
            "BQL" => Some(BQL),
            text => super::resolve::key(program, text),
        };
        if let (Some(first), Some(then)) = (key(&row.first), key(&row.then)) {
            documented.push((first, then, &row.source));
        }
    }
    let mut pairs: Vec<(Key, Key)> = orders.keys().copied().collect();
    pairs.sort_by_key(|(first, then)| (first.text(program), then.text(program)));
    for (first, then) in pairs {
        let rule = documented.iter().find(|(f, t, _)| (*f, *t) == (then, first));
        let known = documented.iter().any(|(f, t, _)| (*f, *t) == (first, then));
        let back = orders.get(&(then, first));
        if known || (rule.is_none() && back.is_none()) {
            continue;
        }
        // Each pair once: at the order that is documented to be wrong, else at
        // the one with fewer places.
        if rule.is_none()
            && let Some(back) = back
        {
            let here = &orders[&(first, then)];
            let fewer = (here.len(), first.text(program)) <= (back.len(), then.text(program));
            if !fewer || first.owner == NONE && first != BQL && then.owner == NONE && then != BQL {
                continue;
            }
        }
        let names = (first.text(program), then.text(program));
        for place in &orders[&(first, then)] {
            let event = Event {
                column: place.column,
                conditional: place.conditional,
                ..plain_event(place.line)
            };
            let message = format!("{} is taken while {} is held", names.1, names.0);
            let way = |place: &Place, key: Key| match place.below {
                Some(below) => super::local::path_to_lock(summaries, below, key),
                None => Vec::new(),
            };
            let below = way(place, then);
            let least = if rule.is_some() { Grade::Error } else { Grade::Warning };
            let back = back.filter(|_| rule.is_none());
            let best = back.into_iter().flatten().take(8);
            let best = best.map(|place| grade_of_chain(&way(place, first))).min();
            let grade = least.max(grade_of_chain(&below)).max(best.unwrap_or(least));
            let finding = finding(
                program,
                place.function,
                &event,
                Rule::OrderInversion,
                grade,
                message,
                |finding| {
                    if let Some((_, _, source)) = rule {
                        finding.contract = Some(Contract {
                            text: format!("{} is taken before {}", names.1, names.0),
                            source: (*source).to_owned(),
                        });
                    }
                    if !below.is_empty() {
                        let here = Frame {
                            function: program.name_of(place.function).to_owned(),
                            path: program.path_of(place.function).to_owned(),
                            line: place.line,
                            conditional: place.conditional,
                        };
                        finding.call_path.push(here);
                        finding.call_path.extend(below);
                    }
                    for other in back.into_iter().flatten().take(3) {
                        finding.notes.push(format!(
                            "the other way round: {}() at {}:{}",
                            program.name_of(other.function),
                            program.path_of(other.function),
                            other.line
                        ));
                    }
                },
            );
            found.push(Judged { finding, sink: format!("{} {}", names.0, names.1) });
        }
    }
}
