//! The schedule to show: fewest switches between threads, then fewest steps.
//! Must not know: how the violation was found.
//!
//! A step by the thread that moved last costs nothing, a switch costs one; the
//! cheapest schedule to each (state, last thread) is kept, nothing is reduced
//! otherwise. Where that takes too many states, the schedule that was found is
//! shortened step by step instead.

use super::reach::{reaches, shows};
use super::result::{Found, Limits};
use crate::runtime::controlled::Execution;
use crate::runtime::{Choice, Program, ThreadId, Violation};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

/// Pairs of state and last thread that a search may visit.
const MOST_NODES: usize = 50_000;

/// How often `schedule` goes from one thread to another.
pub fn switches(schedule: &[Choice]) -> usize {
    schedule.windows(2).filter(|pair| pair[0].thread != pair[1].thread).count()
}

/// A schedule to show for `found`: the shortest, or where the search for that
/// takes too long the one that was found, shortened.
pub fn witness<P: Program>(program: &Arc<P>, found: &Found, limits: &Limits) -> Vec<Choice> {
    shortest(program, &found.violation, limits)
        .unwrap_or_else(|| shorten(program, &found.violation, &found.schedule))
}

/// A step with all that led to it, as links to the parents.
struct Node {
    parent: usize,
    choice: Choice,
}

/// The schedule with the fewest switches, then steps, that shows `target`. None
/// if there is none, or if it takes too many states or too long to find.
pub fn shortest<P: Program>(
    program: &Arc<P>,
    target: &Violation,
    limits: &Limits,
) -> Option<Vec<Choice>> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut seen: HashSet<(u128, Option<ThreadId>)> = HashSet::new();
    // Switches, steps, and what makes equals come in the order they were found.
    let mut queue = BinaryHeap::from([Reverse((0usize, 0usize, usize::MAX))]);
    let mut steps = 0;
    while let Some(Reverse((switched, length, index))) = queue.pop() {
        steps += length as u64 + 1;
        if seen.len() > MOST_NODES || limits.reached(steps) {
            return None;
        }
        let schedule = path_to(&nodes, index);
        let mut execution = Execution::new(program, |_| {});
        schedule.iter().for_each(|choice| execution.step(*choice));
        let last = schedule.last().map(|choice| choice.thread);
        let (state, choices) =
            execution.world(|world| (world.state(), world.choices(world.movable())));
        if shows(&mut execution, target) {
            return Some(schedule);
        }
        if !seen.insert((state, last)) {
            continue;
        }
        for choice in choices {
            let switch = usize::from(last.is_some_and(|last| last != choice.thread));
            queue.push(Reverse((switched + switch, length + 1, nodes.len())));
            nodes.push(Node { parent: index, choice });
        }
    }
    None
}

fn path_to(nodes: &[Node], mut index: usize) -> Vec<Choice> {
    let mut path = Vec::new();
    while let Some(node) = nodes.get(index) {
        path.push(node.choice);
        index = node.parent;
    }
    path.reverse();
    path
}

/// Shortens `schedule` as long as one change makes it cheaper and `target` still
/// shows.
pub fn shorten<P: Program>(
    program: &Arc<P>,
    target: &Violation,
    schedule: &[Choice],
) -> Vec<Choice> {
    let mut best = schedule.to_vec();
    if let Some(length) = reaches(program, target, &best) {
        best.truncate(length);
    }
    while let Some(better) = improve(program, target, &best) {
        best = better;
    }
    best
}

/// Whether no single change makes `schedule` cheaper: without any one of its
/// steps, or with any switch avoided, `target` does not show.
pub fn is_minimal<P: Program>(program: &Arc<P>, target: &Violation, schedule: &[Choice]) -> bool {
    reaches(program, target, schedule) == Some(schedule.len())
        && improve(program, target, schedule).is_none()
}

fn improve<P: Program>(
    program: &Arc<P>,
    target: &Violation,
    schedule: &[Choice],
) -> Option<Vec<Choice>> {
    changes(schedule).find_map(|mut changed| {
        changed.truncate(reaches(program, target, &changed)?);
        let cost = |schedule: &[Choice]| (switches(schedule), schedule.len());
        (cost(&changed) < cost(schedule)).then_some(changed)
    })
}

/// All schedules one change away: a step left out; a run of one thread's steps
/// left out, put off to that thread's next run, or brought forward to its last.
fn changes(schedule: &[Choice]) -> impl Iterator<Item = Vec<Choice>> {
    let runs: Vec<Vec<Choice>> =
        schedule.chunk_by(|a, b| a.thread == b.thread).map(<[Choice]>::to_vec).collect();
    let without_step = (0..schedule.len()).map(|index| {
        let mut changed = schedule.to_vec();
        changed.remove(index);
        changed
    });
    let all = 0..runs.len();
    let moves = all.clone().flat_map(move |from| all.clone().map(move |to| (from, to)));
    let moved = moves.filter_map(move |(from, to)| {
        let mut changed = runs.clone();
        let run = changed.remove(from);
        if from != to {
            if runs[from][0].thread != runs[to][0].thread {
                return None;
            }
            let to = if to < from { to + 1 } else { to - 1 };
            changed.insert(to, run);
        }
        Some(changed.concat())
    });
    moved.chain(without_step)
}
