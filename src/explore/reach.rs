//! Whether a schedule can be followed, and after which step it shows a violation.
//! Must not know: where the schedule came from.

use crate::runtime::controlled::Execution;
use crate::runtime::{Choice, Program, Violation};
use std::sync::Arc;

/// The violations of an execution as it stands, deadlocks included. If nobody
/// can move any more the program judges first.
pub fn violations<P: Program>(execution: &mut Execution<P>) -> Vec<Violation> {
    if execution.world(|world| world.movable().is_empty()) {
        execution.judge();
    }
    execution.world(|world| {
        let mut all = world.violations.clone();
        all.extend(world.deadlocks());
        all
    })
}

/// Whether `target` shows in an execution as it stands.
pub fn shows<P: Program>(execution: &mut Execution<P>, target: &Violation) -> bool {
    violations(execution).iter().any(|violation| violation.is_like(target))
}

/// After how many steps of `schedule` the violation `target` shows. None if it
/// does not, or if the schedule cannot be followed.
pub fn reaches<P: Program>(
    program: &Arc<P>,
    target: &Violation,
    schedule: &[Choice],
) -> Option<usize> {
    let mut execution = Execution::new(program, |_| {});
    for (taken, choice) in schedule.iter().enumerate() {
        if shows(&mut execution, target) {
            return Some(taken);
        }
        let able = execution.world(|world| {
            world.movable().has(choice.thread)
                && world.alternatives(choice.thread) >> choice.alternative & 1 == 1
        });
        if !able {
            return None;
        }
        execution.step(*choice);
    }
    shows(&mut execution, target).then_some(schedule.len())
}
