//! `bqlcheck replay`: runs a violation's schedule again, step by step.
//! Must not know: how the schedule was found.

use super::exit::{Exit, Failure};
use super::output;
use super::witness::{Step, Witness};
use crate::report::{self, Finding, Recording};
use crate::runtime::controlled::Execution;
use crate::runtime::{Choice, ThreadId, Violation, World};
use crate::sim::Migration;
use std::path::Path;
use std::sync::Arc;

/// Runs the schedule in `file`.
pub fn run(file: &Path) -> Result<Exit, Failure> {
    let help = "a file that `bqlcheck explore ... --out DIR` has written";
    let witness = Witness::load(file).map_err(|error| Failure::new(error.to_string(), help))?;
    let Witness { plan, scenario, size, violation, schedule, .. } = witness;
    let mut text = format!("{} in {}, size {}\n", plan.name, scenario.name, size.name);
    let program = Arc::new(Migration::new(plan, scenario, size)?);
    let mut execution = Execution::new(&program, |world| world.log = Some(Vec::new()));
    let mut choices = Vec::new();
    for (nth, step) in schedule.iter().enumerate() {
        match execution.world(|world| choice(world, step)) {
            Ok(choice) => {
                execution.step(choice);
                choices.push(choice);
            }
            Err(why) => {
                let place = format!("step {} of {}", nth + 1, schedule.len());
                output::print(&format!("{text}diverges at {place}: {why}\n"));
                return Ok(Exit::Inconclusive);
            }
        }
    }
    let (rule, message) = (violation.rule, violation.message);
    let wanted = Violation { rule, message, thread: None, site: None, cycle: Vec::new() };
    let (recording, seen) = Recording::of(&program, &choices, &wanted);
    let Some(seen) = seen else {
        text += &format!("{} steps run; {rule} does not show:\n", schedule.len());
        text += &format!("  {}\n\n", wanted.message);
        text += &report::timeline(&Recording { breach: None, ..recording });
        output::print(&text);
        return Ok(Exit::Clean);
    };
    output::print(&(text + &report::violation(&Finding::recorded(&seen, recording), true)));
    Ok(Exit::Findings)
}

/// The choice that `step` names, if it is possible now; else why not.
fn choice(world: &mut World, step: &Step) -> Result<Choice, String> {
    let threads = (0..world.threads.len()).map(|index| ThreadId(index as u8));
    let wanted = format!("{} was to do {} {}", step.thread, step.operation, step.object);
    let Some(thread) = threads.into_iter().find(|id| world.name(*id).to_string() == step.thread)
    else {
        return Err(format!("{wanted}, but there is no such thread"));
    };
    let Some(call) = world.pending(thread) else {
        return Err(format!("{wanted}, but it has come to its end"));
    };
    let (operation, object) = (call.op.name(), world.name_of(call.object).to_string());
    let site = call.site.to_string();
    if (operation, &object, &site) != (step.operation.as_str(), &step.object, &step.site) {
        return Err(format!(
            "{wanted} (in {}), but it is about to do {operation} {object} (in {site})",
            step.site
        ));
    }
    let possible = world.movable().has(thread)
        && step.alternative < 64
        && world.alternatives(thread) & 1 << step.alternative != 0;
    if !possible {
        return Err(format!("{wanted} (in {site}), but that cannot go on now"));
    }
    Ok(Choice { thread, alternative: step.alternative })
}
