//! `bqlcheck explore --outcomes`: what one side of a migration can come to.
//! Must not know: how that is found.

use super::args::{Engine, Explore, Format};
use super::exit::{Exit, Failure};
use super::progress::Progress;
use super::{input, interrupt, output};
use crate::explore::{self, Limits};
use crate::report::{self, Allowed};
use crate::sim::{Migration, Plan, Scenario, Side, Size};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Lists the outcomes of what `args` name.
pub fn run(
    args: &Explore,
    side: Side,
    plan: Option<Plan>,
    scenario: Option<Scenario>,
) -> Result<Exit, Failure> {
    let (Some(plan), Some(scenario)) = (plan, scenario) else {
        let help = "outcomes are of one migration: say of which plan, in which scenario";
        return Err(Failure::new("--outcomes needs --plan and --scenario", help));
    };
    if args.engine != Engine::Exhaustive {
        let message = format!("--outcomes needs --engine exhaustive, not {}", args.engine.name());
        return Err(Failure::new(message, "no other engine sees every state"));
    }
    let size = input::size(args.size.as_deref(), &scenario)?;
    let allowed = find(&plan, &scenario, &size, side, args.budget)?;
    let text = report::allowed(&allowed);
    if let Some(directory) = &args.out {
        output::write(directory, "outcomes.json", &report::pretty(&allowed))?;
        output::write(directory, "report.txt", &text)?;
    }
    match args.format {
        Format::Text => output::print(&text),
        Format::Json => output::print(&report::pretty(&allowed)),
    }
    Ok(match () {
        () if allowed.interrupted => Exit::Interrupted,
        () if !allowed.complete => Exit::Inconclusive,
        () => Exit::Clean,
    })
}

/// Every outcome of `side`, within the budget.
pub fn find(
    plan: &Plan,
    scenario: &Scenario,
    size: &Size,
    side: Side,
    budget: Option<Duration>,
) -> Result<Allowed, Failure> {
    let migration = Migration::new(plan.clone(), scenario.clone(), size.clone())?;
    let program = Arc::new(migration.seen_from(side)?);
    let mut limits = Limits::new(budget);
    limits.interrupted = interrupt::watch();
    let (watched, began) = (limits.clone(), Instant::now());
    let progress = Progress::start(move |time| {
        let states = watched.seen[0].load(Ordering::Relaxed);
        format!("outcomes: {states} states, {} s", time.as_secs())
    });
    let found = explore::outcomes(&program, &limits);
    drop(progress);
    let (exploration, all) = (found.exploration, found.all);
    Ok(Allowed {
        schema: 1,
        plan: plan.name.clone(),
        scenario: scenario.name.clone(),
        size: size.name.clone(),
        side: side.to_string(),
        complete: exploration.complete,
        interrupted: limits.interrupted.load(Ordering::Relaxed),
        states: exploration.states,
        executions: exploration.executions,
        wall_ms: began.elapsed().as_millis() as u64,
        reason: exploration.cut,
        outcomes: all.into_keys().collect(),
    })
}
