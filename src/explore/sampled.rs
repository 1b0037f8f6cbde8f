//! Engines that run executions as they come, without a choice of the next one:
//! shuttle's samples and real threads. What they find is true; what they do not
//! find proves nothing.
//! Must not know: what is explored.

use super::result::{Exploration, Limits};
use crate::lock::Rule;
use crate::runtime::shuttle::Strategy;
use crate::runtime::{Program, Violation, Wait, World, shuttle, threads};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Notes everything that the final world of one execution shows.
pub fn harvest(result: &mut Exploration, world: &World) {
    result.executions += 1;
    result.steps += u64::from(world.steps);
    result.collect(world, &[]);
    result.learn(world);
}

/// Why a sampled exploration is not complete.
fn sampled(result: &mut Exploration, wanted: usize) {
    let cut = if result.executions < wanted as u64 { ", then it was stopped" } else { "" };
    result.cut = Some(format!(
        "{} executions sampled{cut}; however many, they are not a proof",
        result.executions
    ));
}

/// Samples `executions` schedules with shuttle.
pub fn sample<P: Program>(
    program: &Arc<P>,
    strategy: Strategy,
    seed: u64,
    executions: usize,
    limits: &Limits,
) -> Exploration {
    let result = Arc::new(Mutex::new(Exploration::default()));
    let (shared, watch) = (result.clone(), limits.clone());
    shuttle::explore(program.clone(), strategy, seed, executions, move |world| {
        let mut result = shared.lock().expect("no panic while held");
        harvest(&mut result, world);
        watch.note(result.executions, result.found.len());
        !watch.reached(result.steps)
    });
    let mut result = std::mem::take(&mut *result.lock().expect("no panic while held"));
    sampled(&mut result, executions);
    result
}

/// How the message begins of a run that a watchdog ended. What it shows is not
/// proven to be for ever: no schedule can be looked for.
pub const HANG: &str = "hang: ";

/// A run of real threads that hung, as a violation.
fn hang(world: &World, waits: Vec<Wait>, limit: Duration) -> Violation {
    let names: Vec<String> = waits
        .iter()
        .map(|w| format!("{} waits for {}", world.name(w.thread), world.name_of(w.object)))
        .collect();
    let message = format!("{HANG}no end after {} s: {}", limit.as_secs(), names.join("; "));
    Violation { rule: Rule::WaitForever, message, thread: None, site: None, cycle: waits }
}

/// Runs real threads `executions` times; a watchdog ends a run at `limit`.
pub fn stress<P: Program>(
    program: &Arc<P>,
    seed: u64,
    executions: usize,
    limit: Duration,
    limits: &Limits,
) -> Exploration {
    let mut result = Exploration::default();
    for nth in 0..executions {
        let seed = seed.wrapping_add(nth as u64);
        let (stuck, hung) = threads::run(
            program,
            seed,
            limit,
            |_| {},
            |world| {
                harvest(&mut result, world);
                world.deadlock().is_some()
            },
        );
        // A deadlock of some, while others ran on, says it better already.
        if let Some(waits) = hung.filter(|_| !stuck) {
            let world = &mut World::new(crate::runtime::Timing::Any);
            program.setup(world);
            result.add(&hang(world, waits, limit), &[]);
        }
        limits.note(result.executions, result.found.len());
        if limits.reached(result.steps) {
            break;
        }
    }
    sampled(&mut result, executions);
    result
}
