//! What one function, or it and what it calls, shows whoever the caller is: locks
//! that some ways out leave held, locks taken twice, locks that are needed.
//! Must not know: threads, but for who starts where.

use super::contexts::Context;
use super::finding::{Contract, Frame, Grade};
use super::flow::{Entry, Event, Exit, To, What};
use super::judge::{Judged, finding, plain_event};
use super::map::{Map, Set};
use super::place::{AIO_CONTEXT, BQL, Key, Object, RCU};
use super::program::{FnId, Sym};
use super::resolve::{CallStep, Invoke, LockCall, NEGATIVE, Resolved, Step, ZERO};
use super::summary::{NodeId, Summaries};
use super::tables::{self, ContextKind};
use crate::lock::Rule;

/// All findings of this kind.
pub(super) fn findings(
    summaries: &mut Summaries<'_>,
    contexts: &[Context],
    found: &mut Vec<Judged>,
) {
    let callbacks = locks_of_callbacks(summaries, contexts);
    let mut needs: Map<NodeId, Vec<Need>> = Map::default();
    for id in summaries.program.ids() {
        if !works_on_locks(&summaries.resolved(id)) {
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
    for context in contexts {
        for &node in &context.order {
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

/// The locks that callbacks of an event loop take.
fn locks_of_callbacks(summaries: &mut Summaries<'_>, contexts: &[Context]) -> Set<Key> {
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
    let _ = contexts;
    for function in functions {
        if summaries.is_relevant(function) {
            let node = summaries.root(function, Entry::plain(true, false));
            keys.extend(summaries.outcome(node).acquires.iter().map(|lock| lock.key));
        }
    }
    keys
}

/// Locks that are taken while held, and event loops that would take them.
fn twice(summaries: &Summaries<'_>, node: NodeId, callbacks: &Set<Key>, found: &mut Vec<Judged>) {
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

fn frame(summaries: &Summaries<'_>, node: NodeId, line: u32, conditional: bool) -> Frame {
    let program = summaries.program;
    let id = summaries.function(node);
    Frame {
        function: program.name_of(id).to_owned(),
        path: program.path_of(id).to_owned(),
        line: if line == 0 { program.function(id).line } else { line },
        conditional,
    }
}

/// How sure a way down to a lock is: each condition on it may keep it from being
/// gone.
pub(super) fn grade_of_chain(path: &[Frame]) -> Grade {
    match path.iter().filter(|frame| frame.conditional).count() {
        0 | 1 => Grade::Error,
        2 | 3 => Grade::Warning,
        _ => Grade::Note,
    }
}

/// A shortest way from a function down to where it takes a lock.
pub(super) fn path_to_lock(summaries: &Summaries<'_>, from: NodeId, key: Key) -> Vec<Frame> {
    let mut parents: Map<NodeId, Option<(NodeId, u32, bool)>> = Map::default();
    parents.insert(from, None);
    let mut queue = vec![from];
    let mut at = 0;
    while at < queue.len() {
        let node = queue[at];
        at += 1;
        let outcome = summaries.outcome(node);
        let taken = outcome.events.iter().find(|event| match event.what {
            What::Acquire(taken) => taken == key,
            What::AcquireBql => key == BQL,
            _ => false,
        });
        if let Some(event) = taken {
            let mut frames = vec![frame(summaries, node, event.line, event.conditional)];
            let mut below = node;
            while let Some(Some((parent, line, conditional))) = parents.get(&below) {
                frames.push(frame(summaries, *parent, *line, *conditional));
                below = *parent;
            }
            frames.reverse();
            return frames;
        }
        for edge in &outcome.edges {
            let To::Node(to) = edge.to else { continue };
            let takes = summaries.outcome(to).acquires.iter().any(|lock| lock.key.name == key.name);
            if takes && !parents.contains_key(&to) {
                parents.insert(to, Some((node, edge.line, edge.conditional)));
                queue.push(to);
            }
        }
    }
    Vec::new()
}

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
fn unbalanced(summaries: &Summaries<'_>, node: NodeId, found: &mut Vec<Judged>) {
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

/// A lock that is needed at a call and not held there.
#[derive(Clone, PartialEq, Eq)]
struct Need {
    /// The lock: its class, or a member's name where a comment says no more.
    key: Key,
    by_name: Option<Sym>,
    text: String,
    source: String,
    callee: String,
    grade: Grade,
    line: u32,
}

fn collect_needs(summaries: &Summaries<'_>, node: NodeId, needs: &mut Map<NodeId, Vec<Need>>) {
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
                    key: Key { owner: super::place::UNKNOWN, name: lock },
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

impl Need {
    fn met(&self, held: &[Key]) -> bool {
        held.iter().any(|held| *held == self.key || self.by_name == Some(held.name))
    }
}

/// Needs that no caller on the way from a root meets.
fn unmet(
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

/// Threads that alone post a semaphore in their loop, and leave the loop early
/// without a post.
fn never_posted(summaries: &Summaries<'_>, found: &mut Vec<Judged>) {
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
            super::ir::Op::Call(call) => Some(call.line),
            _ => None,
        });
        let first = line.clone().min();
        if let super::ir::End::Goto(to) = block.end {
            let target = &function.blocks[to as usize];
            let target_line = target.ops.iter().find_map(|op| match op {
                super::ir::Op::Call(call) => Some(call.line),
                super::ir::Op::Assign { line, .. } => Some(*line),
                _ => None,
            });
            if let (Some(from), Some(to)) = (first, target_line) {
                jumps |= from < post && to > post;
            }
        }
        if let super::ir::End::Return { line, .. } = block.end
            && line > post
        {
            end = end.max(line);
        }
    }
    (jumps && end > 0).then_some(end)
}
