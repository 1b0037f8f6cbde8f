//! The exhaustive engine: depth first over fingerprinted states, persistent sets
//! at each, backtracking by replay from the start.
//! Must not know: what is explored.
//!
//! Complete means: every deadlock, every thread's local states and every
//! terminal state of this configuration, at the granularity of the runtime's
//! operations, sequentially consistent, modulo 128-bit collisions, and given
//! the declared contracts, which are asserted. The state graph must have no
//! cycle (a reduced step could be put off for ever on one): a cycle is noticed
//! and makes the result incomplete.

use super::result::{Exploration, Limits};
use crate::runtime::controlled::Execution;
use crate::runtime::{Choice, FingerprintSet, Mutant, Program, Threads, World};
use std::sync::Arc;

/// A run longer than this is taken for one that never ends.
const LONGEST_RUN: usize = 1_000_000;

/// A state with steps still to be tried.
struct Frame {
    depth: usize,
    untried: Vec<Choice>,
    /// What the reduction left out: to be tried after all if a step ends the
    /// world, which commutes with nothing.
    spared: Vec<Choice>,
}

/// Explores all of `program`, by the reduction.
pub fn exhaustive<P: Program>(program: &Arc<P>, limits: &Limits) -> Exploration {
    search(program, limits, World::persistent, |_, _| {})
}

/// Explores all of `program`, step by step: what the reduction is measured by.
pub fn unreduced<P: Program>(program: &Arc<P>, limits: &Limits) -> Exploration {
    search(program, limits, |_, movable| movable, |_, _| {})
}

/// Explores all of `program`: `enough` says which of the threads that can move are
/// to be tried, and `end` sees each terminal state, judged, with what led there.
pub(super) fn search<P: Program>(
    program: &Arc<P>,
    limits: &Limits,
    enough: fn(&World, Threads) -> Threads,
    mut end: impl FnMut(&mut Execution<P>, &[Choice]),
) -> Exploration {
    let mut result = Exploration::default();
    let mut seen = FingerprintSet::default();
    let mut on_path = Vec::new();
    let mut path: Vec<Choice> = Vec::new();
    let mut frames: Vec<Frame> = Vec::new();
    'executions: loop {
        let mut execution = Execution::new(program, |_| {});
        for choice in &path {
            execution.step(*choice);
        }
        result.steps += path.len() as u64;
        loop {
            result.steps += 1;
            if result.steps.is_multiple_of(1024) {
                limits.note(seen.len() as u64, result.found.len());
                if limits.reached(result.steps) {
                    result.cut = Some("the budget ran out".into());
                    break 'executions;
                }
            }
            if path.len() > LONGEST_RUN {
                result.cut = Some("a run that does not end".into());
                break 'executions;
            }
            let (state, ended) = execution.world(|world| {
                result.collect(world, &path);
                (world.state(), world.ended && world.mutant != Mutant::AbortedSiblings)
            });
            if let Some(frame) = frames.last_mut().filter(|f| ended && f.depth + 1 == path.len()) {
                frame.untried.append(&mut frame.spared);
            }
            if !seen.insert(state) {
                execution.world(|world| result.learn_greatest(world));
                if on_path.contains(&state) {
                    result.cut = Some("a cycle of states: the reduction does not hold".into());
                }
                break;
            }
            on_path.push(state);
            let (mut untried, spared) = execution.world(|world| {
                let movable = world.movable();
                let chosen = enough(world, movable);
                (world.choices(chosen), world.choices(movable & !chosen))
            });
            untried.reverse();
            let Some(first) = untried.pop() else {
                result.terminals.insert(state);
                execution.judge();
                execution.world(|world| {
                    result.collect(world, &path);
                    result.learn(world);
                });
                end(&mut execution, &path);
                break;
            };
            frames.push(Frame { depth: path.len(), untried, spared });
            path.push(first);
            execution.step(first);
        }
        result.executions += 1;
        while frames.last().is_some_and(|frame| frame.untried.is_empty()) {
            frames.pop();
        }
        let Some(frame) = frames.last_mut() else { break };
        if limits.executions.is_some_and(|most| result.executions >= most) {
            result.cut = Some(format!("stopped after {} executions", result.executions));
            break;
        }
        path.truncate(frame.depth);
        on_path.truncate(frame.depth + 1);
        path.extend(frame.untried.pop());
    }
    result.states = seen.len() as u64;
    result.complete = result.cut.is_none();
    result
}
