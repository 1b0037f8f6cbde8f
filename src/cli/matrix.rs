//! The matrix: plans by scenarios, on all cores.
//! Must not know: how an engine works.

use super::args::{Explore, Format};
use super::engine::{self, Job};
use super::exit::{Exit, Failure};
use super::progress::Progress;
use super::{input, interrupt, output, witness};
use crate::explore::Limits;
use crate::parallel;
use crate::report::{self, Agreement, Cell};
use crate::sim::{Plan, Scenario, Size, Verdict};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// A cell to be explored.
type Pair = (Plan, Scenario);

/// Runs every plan that `plan` leaves in every scenario that `scenario` leaves.
pub fn run(
    args: &Explore,
    plan: Option<Plan>,
    scenario: Option<Scenario>,
) -> Result<Exit, Failure> {
    let pairs = pairs(plan, scenario)?;
    let started = Instant::now();
    let interrupted = interrupt::watch();
    let done = Arc::new(AtomicUsize::new(0));
    let (total, counted) = (pairs.len(), done.clone());
    let progress = Progress::start(move |since| {
        format!("{} s: {} of {total} cells", since.as_secs(), counted.load(Ordering::Relaxed))
    });
    let mut slots: Vec<Result<Cell, Skipped>> = parallel::map(&pairs, |(plan, scenario)| {
        let mut limits = Limits::new(args.budget);
        limits.interrupted = interrupted.clone();
        let cell = explore(args, plan, scenario, &limits);
        done.fetch_add(1, Ordering::Relaxed);
        cell
    });
    drop(progress);
    if let Some(nth) = slots.iter().position(|slot| matches!(slot, Err(Skipped::Failed(_)))) {
        let Err(Skipped::Failed(failure)) = slots.swap_remove(nth) else { unreachable!() };
        return Err(failure);
    }
    let mut cells = Vec::new();
    let mut skipped = Vec::new();
    for slot in slots {
        match slot {
            Ok(cell) => cells.push(cell),
            Err(Skipped::Unfit(why)) => skipped.push(why),
            Err(Skipped::Failed(_)) => unreachable!("returned above"),
        }
    }
    let about = |name: &str| {
        let plan = pairs.iter().find(|(plan, _)| plan.name == name);
        plan.map_or(String::new(), |(plan, _)| plan.about.clone())
    };
    let wall_ms = started.elapsed().as_millis() as u64;
    let text = report::matrix(&cells, about, &skipped, wall_ms);
    if let Some(directory) = &args.out {
        output::write(directory, "result.json", &report::json_matrix(&cells))?;
        output::write(directory, "report.txt", &text)?;
    }
    match args.format {
        Format::Text => output::print(&text),
        Format::Json => output::print(&report::json_matrix(&cells)),
    }
    Ok(if interrupted.load(Ordering::Relaxed) { Exit::Interrupted } else { exit(&cells) })
}

/// Why there is no cell.
enum Skipped {
    /// It cannot be had as asked for; the others can.
    Unfit(String),
    Failed(Failure),
}

fn explore(
    args: &Explore,
    plan: &Plan,
    scenario: &Scenario,
    limits: &Limits,
) -> Result<Cell, Skipped> {
    let unfit = |why: &str| Skipped::Unfit(format!("{} in {}: {why}", plan.name, scenario.name));
    if limits.interrupted.load(Ordering::Relaxed) {
        return Err(unfit("interrupted before its turn"));
    }
    let size = input::size(args.size.as_deref(), scenario).map_err(Skipped::Failed)?;
    // In text a cell's schedules are not shown: do not look for short ones.
    let witness = args.format == Format::Json || args.out.is_some();
    let job = Job { plan, scenario, size: &size, args, limits, witness };
    let cell = engine::run(&job).map_err(|failure| unfit(&failure.message))?;
    if let Some(directory) = &args.out {
        let directory = directory.join(&plan.name).join(&scenario.name);
        write(&directory, &cell, plan, scenario, &size).map_err(Skipped::Failed)?;
    }
    Ok(cell)
}

fn write(
    directory: &std::path::Path,
    cell: &Cell,
    plan: &Plan,
    scenario: &Scenario,
    size: &Size,
) -> Result<(), Failure> {
    let text = report::cell(cell, plan, scenario, size);
    witness::write(directory, cell, plan, scenario, size, &text)
}

/// The cells: each built-in plan in each built-in scenario that declares a
/// verdict for it, or the row or column of the one given. A plan that no
/// scenario knows goes through all of them.
fn pairs(plan: Option<Plan>, scenario: Option<Scenario>) -> Result<Vec<Pair>, Failure> {
    let plans: Vec<Plan> = match plan {
        Some(plan) => vec![plan],
        None => Plan::names().map(Plan::built_in).collect::<Result<_, _>>()?,
    };
    let scenarios: Vec<Scenario> = match scenario {
        Some(scenario) => vec![scenario],
        None => Scenario::names().map(Scenario::built_in).collect::<Result<_, _>>()?,
    };
    let row = plans.len() == 1;
    let mut pairs = Vec::new();
    for plan in &plans {
        let declared = |scenario: &Scenario| scenario.expect.contains_key(&plan.name);
        let unknown = row && !scenarios.iter().any(declared);
        let concerned = scenarios.iter().filter(|scenario| unknown || declared(scenario));
        pairs.extend(concerned.map(|scenario| (plan.clone(), scenario.clone())));
    }
    Ok(pairs)
}

/// 1 if a cell is not as declared, or is violated with nothing declared; else 3
/// if one is not complete; 4 if there is none.
fn exit(cells: &[Cell]) -> Exit {
    let differs = |cell: &Cell| match cell.agreement() {
        Agreement::Differs => true,
        Agreement::Undeclared => cell.verdict == Verdict::Violated,
        Agreement::AsDeclared | Agreement::NotContradicted => false,
    };
    let cut =
        |cell: &Cell| cell.agreement() != Agreement::AsDeclared && cell.verdict != Verdict::Clean;
    match cells {
        [] => Exit::Nothing,
        _ if cells.iter().any(differs) => Exit::Findings,
        _ if cells.iter().any(cut) => Exit::Inconclusive,
        _ => Exit::Clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_no_scenario_knows_goes_through_all() {
        let mut plan = Plan::built_in("qemu-10.0").expect("built in");
        plan.name = "mine".into();
        assert_eq!(pairs(Some(plan), None).expect("fits").len(), Scenario::names().count());
    }

    #[test]
    fn a_scenario_that_knows_no_plan_leaves_nothing() {
        let mut scenario = Scenario::built_in("postcopy").expect("built in");
        scenario.expect.clear();
        assert!(pairs(None, Some(scenario)).expect("fits").is_empty());
    }
}
