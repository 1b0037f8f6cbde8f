//! `bqlcheck replay`: runs a violation's schedule again, step by step.
//! Must not know: how the schedule was found.

use super::exit::{Exit, Failure};
use super::witness::Witness;
use super::{exec, output};
use crate::explore;
use crate::report::{self, Finding, Recording};
use crate::runtime::Violation;
use crate::sim::Migration;
use std::path::Path;
use std::sync::Arc;

/// Runs the schedule in `file`.
pub fn run(file: &Path) -> Result<Exit, Failure> {
    let help = "a file that `explore` or `exec` has written with --out DIR";
    // One of `exec` says so.
    let text = std::fs::read_to_string(file).unwrap_or_default();
    if let Ok(witness) = serde_json::from_str::<exec::Witness>(&text) {
        return exec::replay(witness);
    }
    let witness = Witness::load(file).map_err(|error| Failure::new(error.to_string(), help))?;
    let Witness { plan, scenario, size, violation, schedule, .. } = witness;
    let mut text = format!("{} in {}, size {}\n", plan.name, scenario.name, size.name);
    let program = Arc::new(Migration::new(plan, scenario, size)?);
    let choices = match explore::replay(&program, &schedule) {
        Ok(replay) => replay.choices,
        Err(divergence) => {
            let total = schedule.len();
            output::print(&format!("{text}The schedule of {total} steps and the model part:\n"));
            output::print(&report::fold(2, &divergence.to_string()));
            return Ok(Exit::Inconclusive);
        }
    };
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
