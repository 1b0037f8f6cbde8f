//! The outcomes of a program: what it watches goes through which values, and how
//! that ends, over every reachable state.
//! Must not know: what an outcome means.
//!
//! What a program watches is a part of its state (`World::watch`), so each terminal
//! state has one outcome, and all of them are seen. The reduction treats changes of
//! what is watched as steps that do not commute. A step that ends the world commutes
//! with nothing, whatever its contract says: where there was one, all is explored
//! again without the reduction.

use super::exhaustive::search;
use super::result::{Exploration, Limits};
use crate::runtime::{Choice, Threads, Watched, World};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All that can become of a program.
pub struct Outcomes<O> {
    /// Each with a schedule that leads there.
    pub all: BTreeMap<O, Vec<Choice>>,
    /// How far the exploration got: where it is not complete, `all` is not all.
    pub exploration: Exploration,
}

/// Every outcome of `program`.
pub fn outcomes<P: Watched>(program: &Arc<P>, limits: &Limits) -> Outcomes<P::Outcome> {
    let (found, aborted) = gather(program, limits, World::persistent);
    if aborted { outcomes_unreduced(program, limits) } else { found }
}

/// The same without the reduction: what that is measured by.
pub fn outcomes_unreduced<P: Watched>(program: &Arc<P>, limits: &Limits) -> Outcomes<P::Outcome> {
    gather(program, limits, |_, movable| movable).0
}

/// The outcomes, and whether one of the executions was ended by an abort.
fn gather<P: Watched>(
    program: &Arc<P>,
    limits: &Limits,
    enough: fn(&World, Threads) -> Threads,
) -> (Outcomes<P::Outcome>, bool) {
    let mut all = BTreeMap::new();
    let mut aborted = false;
    let exploration = search(program, limits, enough, |execution, path| {
        let outcome = execution.shared(|shared, world| {
            aborted |= world.ended;
            program.outcome(shared, world)
        });
        all.entry(outcome).or_insert_with(|| path.to_vec());
    });
    (Outcomes { all, exploration }, aborted)
}
