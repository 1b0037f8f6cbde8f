//! Orders of locks that go round in a circle: each thread of it may get its first
//! lock, and then waits for the next one's for good.
//! Must not know: how it is drawn.

use super::job;
use super::judge::{Breach, Names, name};
use super::kernel::nesting::{self, Taken};
use super::kernel::state::{Kernel, Step};
use super::kernel::{pair, process};
use crate::lock::Rule;

/// The circles of the execution that ended.
pub fn breaches(state: &Kernel, names: &dyn Names) -> Vec<Breach> {
    let told = |circle: Vec<Taken>| {
        let words = |taken: &Taken| {
            let object = |address| names.object(pair::address(state, taken.tid, address));
            let (holds, takes) = (object(taken.holds), object(taken.takes));
            format!("{} takes {takes} while it holds {holds}", name(state, taken.tid))
        };
        let all: Vec<String> = circle.iter().map(words).collect();
        Breach { circle, ..Breach::new(Rule::OrderInversion, all.join("; ")) }
    };
    nesting::circles(state).into_iter().map(told).collect()
}

/// One lock of a circle with the callers that were recorded.
pub fn told(taken: &Taken, end: &Kernel, names: &dyn Names) -> job::Taken<u64> {
    let steps = end.recording.as_deref().unwrap_or_default();
    let own = |step: &&Step| step.tid == taken.tid;
    let (before, after) = steps.split_at(taken.steps.min(steps.len()));
    let locks = |step: &&Step| step.object == taken.holds && step.what.ends_with("lock");
    let held = before.iter().rev().filter(own).find(locks).filter(|step| step.what != "unlock");
    // It may have waited until the end.
    let taken_at = after.iter().find(own).map_or(&end.threads[taken.tid].frames, |s| &s.frames);
    let object = |address| names.object(pair::address(end, taken.tid, address));
    job::Taken {
        thread: taken.tid as u32,
        holds: object(taken.holds),
        held_at: held.map_or_else(Vec::new, |step| process::offsets(&step.frames)),
        takes: object(taken.takes),
        taken_at: process::offsets(taken_at),
    }
}
