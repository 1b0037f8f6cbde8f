//! Threads that alone post a semaphore in their loop, and leave the loop early
//! without a post.
//! Must not know: the lock state.

use super::push;
use crate::lock::Rule;
use crate::scan::finding::Grade;
use crate::scan::flow::Event;
use crate::scan::ir::{End, Op};
use crate::scan::judge::{Judged, finding, plain_event};
use crate::scan::map::{Map, Set};
use crate::scan::place::Key;
use crate::scan::program::FnId;
use crate::scan::resolve::{CallStep, Invoke, Step};
use crate::scan::summary::Summaries;
use crate::scan::tables::{self, ContextKind};

/// Threads that alone post a semaphore in their loop, and leave the loop early
/// without a post.
pub(super) fn never_posted(summaries: &Summaries<'_>, found: &mut Vec<Judged>) {
    let program = summaries.program;
    let mut posters: Map<Key, Set<FnId>> = Map::default();
    let mut waited: Map<Key, Vec<(FnId, u32, u32)>> = Map::default();
    for id in program.ids() {
        for block in &summaries.resolved(id).blocks {
            for step in &block.ops {
                let Step::Call(call) = step else { continue };
                let Some(object) = &call.object else { continue };
                if call.wake.is_some() {
                    posters.entry(object.key).or_default().insert(id);
                }
                if call.wait.is_some() && call.invoke == Invoke::Nothing {
                    let place = (id, call.line, call.column);
                    waited.entry(object.key).or_default().push(place);
                }
            }
        }
    }
    let threads: Set<FnId> = (summaries.hooks.registrations.iter())
        .filter(|row| {
            let row = &tables::roots().registrars[usize::from(row.registrar)];
            row.context == ContextKind::Thread
        })
        .map(|row| row.function)
        .collect();
    for &thread in &threads {
        let resolved = summaries.resolved(thread);
        let posts: Vec<&CallStep> = (resolved.blocks.iter().flat_map(|block| &block.ops))
            .filter_map(|step| match step {
                Step::Call(call) if call.wake.is_some() => Some(&**call),
                _ => None,
            })
            .collect();
        for post in &posts {
            let Some(object) = &post.object else { continue };
            let alone = posters.get(&object.key).is_some_and(|posters| posters.len() == 1);
            let Some(waits) = waited.get(&object.key).filter(|_| alone) else { continue };
            let last = posts
                .iter()
                .filter(|other| other.object.as_ref().is_some_and(|other| other.key == object.key));
            let last = last.map(|call| call.line).max().unwrap_or(0);
            let Some(line) = early_exit(summaries, thread, last) else { continue };
            let name = object.key.text(program);
            let ends = format!("{}() can end without posting it", program.name_of(thread));
            let place = format!("it ends at {}:{line}", program.path_of(thread));
            for &(waiter, line, column) in waits.iter().filter(|(waiter, ..)| *waiter != thread) {
                let message = format!("{}() waits for {name}; {ends}", program.name_of(waiter));
                let event = Event { column, ..plain_event(line) };
                let judged = finding(
                    program,
                    waiter,
                    &event,
                    Rule::WaitForever,
                    Grade::Warning,
                    message,
                    |finding| finding.notes.push(place.clone()),
                );
                push(found, Judged { finding: judged, sink: format!("no post of {name}") });
            }
        }
    }
}

/// Where a loop that contains the line `post` is left by a jump past it: the
/// line of the return that follows.
fn early_exit(summaries: &Summaries<'_>, thread: FnId, post: u32) -> Option<u32> {
    let function = summaries.program.function(thread);
    // A jump out of the loop to a label behind the last post, from before it.
    let mut jumps = false;
    let mut end = 0;
    for block in &function.blocks {
        let line = block.ops.iter().filter_map(|op| match op {
            Op::Call(call) => Some(call.line),
            _ => None,
        });
        let first = line.clone().min();
        if let End::Goto(to) = block.end {
            let target = &function.blocks[to as usize];
            let target_line = target.ops.iter().find_map(|op| match op {
                Op::Call(call) => Some(call.line),
                Op::Assign { line, .. } => Some(*line),
                _ => None,
            });
            if let (Some(from), Some(to)) = (first, target_line) {
                jumps |= from < post && to > post;
            }
        }
        if let End::Return { line, .. } = block.end
            && line > post
        {
            end = end.max(line);
        }
    }
    (jumps && end > 0).then_some(end)
}
