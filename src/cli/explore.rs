//! `bqlcheck explore`: one plan in one scenario, or the matrix of them.
//! Must not know: how an engine works.

use super::args::{Engine, Explore, Format};
use super::engine::{self, Job};
use super::exit::{Exit, Failure};
use super::progress::Progress;
use super::{input, interrupt, matrix, outcomes, output, ram, witness};
use crate::explore::{self, Limits};
use crate::report::{self, Cell, Recording};
use crate::sim::{Migration, Plan, Scenario, Size};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Explores what `args` name.
pub fn run(args: &Explore) -> Result<Exit, Failure> {
    let plan = args.plan.as_deref().map(input::plan).transpose()?;
    let scenario = args.scenario.as_deref().map(input::scenario).transpose()?;
    if let Some(image) = &args.ram {
        if args.engine != Engine::Threads {
            let message = format!("--ram needs --engine threads, not {}", args.engine.name());
            return Err(Failure::new(message, "a memory image is migrated by real threads only"));
        }
        return ram::run(args, image, plan, scenario);
    }
    if let Some(side) = args.outcomes {
        return outcomes::run(args, side.into(), plan, scenario);
    }
    if let Some(directory) = &args.emit_log {
        return emit(args, directory, plan, scenario);
    }
    match (plan, scenario) {
        (Some(plan), Some(scenario)) => one(args, &plan, &scenario),
        (plan, scenario) => matrix::run(args, plan, scenario),
    }
}

/// One run, as the logs that two QEMUs would have left.
fn emit(
    args: &Explore,
    directory: &Path,
    plan: Option<Plan>,
    scenario: Option<Scenario>,
) -> Result<Exit, Failure> {
    let (Some(plan), Some(scenario)) = (plan, scenario) else {
        let help = "a log is of one run: say of which plan, in which scenario";
        return Err(Failure::new("--emit-log needs --plan and --scenario", help));
    };
    let size = input::size(args.size.as_deref(), &scenario)?;
    let program = Arc::new(Migration::new(plan.clone(), scenario, size)?);
    let choices = explore::random_run(&program, args.seed);
    let logs = report::qemu_logs(&Recording::run(&program, &choices), &plan);
    output::write(directory, "destination.log", &logs.destination)?;
    if !logs.source.is_empty() {
        output::write(directory, "source.log", &logs.source)?;
    }
    let steps = choices.len();
    output::print(&format!("a run of {steps} steps is in {}\n", directory.display()));
    Ok(Exit::Clean)
}

/// One cell, in full.
fn one(args: &Explore, plan: &Plan, scenario: &Scenario) -> Result<Exit, Failure> {
    let size = input::size(args.size.as_deref(), scenario)?;
    let mut limits = Limits::new(args.budget);
    limits.interrupted = interrupt::watch();
    let job = Job { plan, scenario, size: &size, args, limits: &limits, witness: true };
    let watched = limits.clone();
    let progress = Progress::start(move |since| line(&watched, since));
    let cell = engine::run(&job)?;
    drop(progress);
    let interrupted = limits.interrupted.load(Ordering::Relaxed);
    let text = text(&cell, plan, scenario, &size, args);
    if let Some(directory) = &args.out {
        witness::write(directory, &cell, plan, scenario, &size, &text)?;
    }
    match args.format {
        Format::Text => output::print(&text),
        Format::Json => output::print(&report::pretty(&cell)),
    }
    Ok(if interrupted { Exit::Interrupted } else { cell.verdict.into() })
}

/// The report, and what to type next.
fn text(cell: &Cell, plan: &Plan, scenario: &Scenario, size: &Size, args: &Explore) -> String {
    let mut text = report::cell(cell, plan, scenario, size);
    let replayable = cell.violations.iter().any(|finding| finding.recording.is_some());
    match &args.out {
        Some(directory) if replayable => {
            let file = directory.join(&witness::names(cell)[0].0);
            text += &format!("\nTo run it again: bqlcheck replay {}\n", file.display());
        }
        None if replayable => {
            text += "\nTo keep the schedules: the same command with --out DIR,\n\
                     then: bqlcheck replay DIR/";
            text += &witness::names(cell)[0].0;
            text.push('\n');
        }
        _ => {}
    }
    text
}

/// The progress line.
fn line(limits: &Limits, since: Duration) -> String {
    let steps = limits.progress.load(Ordering::Relaxed);
    let [states, found] = [0, 1].map(|index| limits.seen[index].load(Ordering::Relaxed));
    let rate = steps as f64 / since.as_secs_f64();
    let left = limits.left().map(|left| format!(", {} s left", left.as_secs()));
    format!(
        "{} s: {states} states, {steps} steps, {rate:.0} steps/s, {found} found{}",
        since.as_secs(),
        left.unwrap_or_default()
    )
}
