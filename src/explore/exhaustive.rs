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
use crate::runtime::{Choice, FingerprintSet, Program};
use std::sync::Arc;

/// A run longer than this is taken for one that never ends.
const LONGEST_RUN: usize = 1_000_000;

/// A state with steps still to be tried.
struct Frame {
    depth: usize,
    untried: Vec<Choice>,
}

/// Explores all of `program`.
pub fn exhaustive<P: Program>(program: &Arc<P>, limits: &Limits) -> Exploration {
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
            let (state, choices) = execution.world(|world| {
                let state = world.state();
                let movable = world.movable();
                (state, world.choices(world.persistent(movable)))
            });
            result.steps += 1;
            if result.steps.is_multiple_of(1024) {
                limits.note(seen.len() as u64, result.found.len());
                if limits.reached(result.steps) {
                    result.cut = Some("the budget ran out".into());
                    break 'executions;
                }
            }
            execution.world(|world| {
                result.collect(world, &path);
                if let Some(deadlock) = world.deadlock() {
                    result.add(&deadlock, &path);
                }
            });
            if !seen.insert(state) {
                if on_path.contains(&state) {
                    result.cut = Some("a cycle of states: the reduction does not hold".into());
                }
                break;
            }
            on_path.push(state);
            let Some((&first, rest)) = choices.split_first() else {
                result.terminals.insert(state);
                execution.judge();
                execution.world(|world| {
                    result.collect(world, &path);
                    result.learn(world);
                });
                break;
            };
            if !rest.is_empty() {
                let untried = rest.iter().rev().copied().collect();
                frames.push(Frame { depth: path.len(), untried });
            }
            path.push(first);
            execution.step(first);
            if path.len() > LONGEST_RUN {
                result.cut = Some("a run that does not end".into());
                break 'executions;
            }
        }
        result.executions += 1;
        let Some(frame) = frames.last_mut() else { break };
        path.truncate(frame.depth);
        on_path.truncate(frame.depth + 1);
        path.push(frame.untried.pop().expect("frames have untried steps"));
        if frame.untried.is_empty() {
            frames.pop();
        }
    }
    result.states = seen.len() as u64;
    result.complete = result.cut.is_none();
    result
}
