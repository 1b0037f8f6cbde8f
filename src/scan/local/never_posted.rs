//! Threads that alone post a semaphore in their loop, and leave the loop early
//! without a post.
//! Must not know: the lock state.

use super::push;
use crate::lock::Rule;
use crate::scan::finding::Grade;
use crate::scan::flow::Event;
use crate::scan::ir::{Block, End, Op};
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

/// Where a loop that contains the line `post` is left from inside by a way past
/// it, with no further post: the line of the return that follows.
fn early_exit(summaries: &Summaries<'_>, thread: FnId, post: u32) -> Option<u32> {
    let blocks = &summaries.program.function(thread).blocks;
    let heads: Set<usize> = (blocks.iter().enumerate())
        .filter_map(|(from, block)| match block.end {
            End::Goto(to) if (to as usize) < from => Some(to as usize),
            _ => None,
        })
        .collect();
    let leaves = blocks.iter().enumerate().any(|(at, block)| {
        let End::Branch { yes, no, .. } = block.end else { return false };
        // The condition of the loop itself is the way on which nobody waits.
        let inside = !heads.contains(&at) && last_line(block).is_some_and(|line| line < post);
        let past = |to: u32| first_line(blocks, to).is_some_and(|line| line > post);
        let before = |to: u32| first_line(blocks, to).is_some_and(|line| line <= post);
        inside && (past(yes) && before(no) || past(no) && before(yes))
    });
    let returns = blocks.iter().filter_map(|block| match block.end {
        End::Return { line, .. } if line > post => Some(line),
        _ => None,
    });
    returns.max().filter(|_| leaves)
}

fn lines(block: &Block) -> impl DoubleEndedIterator<Item = u32> + '_ {
    block.ops.iter().filter_map(|op| match op {
        Op::Call(call) => Some(call.line),
        Op::Assign { line, .. } => Some(*line),
        _ => None,
    })
}

fn last_line(block: &Block) -> Option<u32> {
    lines(block).next_back()
}

/// The first line that something is done in, from a block on.
fn first_line(blocks: &[Block], from: u32) -> Option<u32> {
    let mut at = from;
    for _ in 0..8 {
        let block = &blocks[at as usize];
        if let Some(line) = lines(block).next() {
            return Some(line);
        }
        at = match &block.end {
            End::Goto(to) => *to,
            End::Branch { yes, .. } => *yes,
            End::Return { line, .. } => return Some(*line),
            End::Any(_) | End::Never => return None,
        };
    }
    None
}
