//! One run with random choices, to its end: an example, not a search.
//! Must not know: what is done with it.

use crate::runtime::controlled::Execution;
use crate::runtime::{Choice, Program};
use std::sync::Arc;

/// A run that takes more steps than this is cut.
const LONGEST: usize = 20_000;

/// The choices of a run of `program` that `seed` makes.
pub fn random_run<P: Program>(program: &Arc<P>, seed: u64) -> Vec<Choice> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut execution = Execution::new(program, |_| {});
    let mut run = Vec::new();
    while run.len() < LONGEST {
        let choices = execution.world(|world| world.choices(world.movable()));
        // xorshift64: as good as it has to be.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let Some(choice) = choices.get((state % choices.len().max(1) as u64) as usize) else {
            break;
        };
        execution.step(*choice);
        run.push(*choice);
    }
    run
}
