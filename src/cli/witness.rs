//! The files of `--out`, and a violation's file as `bqlcheck replay` reads it.
//! Must not know: how a schedule is found or run.

use super::exit::Failure;
use super::output;
use crate::explore::Step;
use crate::lock::Rule;
use crate::report::{self, Cell, Finding, Recording};
use crate::sim::{DataError, Plan, Scenario, Size, data};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A violation, all it takes to build the model again, and the schedule.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Format of the file: 1.
    pub schema: u32,
    pub plan: Plan,
    pub scenario: Scenario,
    pub size: Size,
    pub violation: Broken,
    pub schedule: Vec<Step>,
}

/// What the schedule ends in.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broken {
    pub rule: Rule,
    pub message: String,
}

impl Witness {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read, or is not a witness.
    pub fn load(path: &Path) -> Result<Witness, DataError> {
        let file = path.display().to_string();
        let witness: Witness = data::load(path)?;
        if witness.schema != 1 {
            let message = format!("schema {} is not known; this program reads 1", witness.schema);
            return Err(DataError { file, place: None, message });
        }
        let (plan, scenario) = (witness.plan.checked(&file)?, witness.scenario.checked(&file)?);
        Ok(Witness { plan, scenario, ..witness })
    }
}

/// The steps of `recording` with their alternatives.
fn steps(finding: &Finding, recording: &Recording) -> Vec<Step> {
    let alternatives = recording.alternatives.iter();
    let steps = finding.schedule.iter().zip(alternatives).map(|(step, alternative)| Step {
        thread: step.thread.clone(),
        operation: step.operation.clone(),
        object: step.object.clone(),
        site: step.site.clone(),
        alternative: *alternative,
    });
    steps.collect()
}

/// The findings whose schedule is known, each with the name of its file.
pub fn names(cell: &Cell) -> Vec<(String, &Finding, &Recording)> {
    let mut named: Vec<(String, &Finding, &Recording)> = Vec::new();
    for finding in &cell.violations {
        let Some(recording) = &finding.recording else { continue };
        let before = named.iter().filter(|(_, other, _)| other.rule == finding.rule).count();
        named.push((format!("{}-{}.json", finding.rule, before + 1), finding, recording));
    }
    named
}

/// Writes result.json, report.txt and a file per violation to `directory`.
pub fn write(
    directory: &Path,
    cell: &Cell,
    plan: &Plan,
    scenario: &Scenario,
    size: &Size,
    text: &str,
) -> Result<(), Failure> {
    output::write(directory, "result.json", &report::pretty(cell))?;
    output::write(directory, "report.txt", text)?;
    for (name, finding, recording) in names(cell) {
        let violation = Broken { rule: finding.rule, message: finding.message.clone() };
        let witness = Witness {
            schema: 1,
            plan: plan.clone(),
            scenario: scenario.clone(),
            size: size.clone(),
            violation,
            schedule: steps(finding, recording),
        };
        output::write(directory, &name, &report::pretty(&witness))?;
    }
    Ok(())
}
