//! Runs one plan in one scenario under the chosen engine, and makes a cell of it.
//! Must not know: how the cell is shown.

use super::args::{Engine, Explore, Strategy};
use super::child;
use super::exit::{Exit, Failure};
use crate::explore::{self, Exploration, Found, Limits};
use crate::report::{self, Cell, Finding, Recording};
use crate::runtime::{Program, Timing, World, loom, shuttle};
use crate::sim::{Migration, Plan, Scenario, Size, Verdict};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// shuttle's executions, unless told otherwise.
const SAMPLES: u64 = 10_000;
/// Runs of real threads, unless told otherwise.
const RUNS: u64 = 100;
/// A run of real threads that takes longer hangs.
const WATCHDOG: Duration = Duration::from_secs(10);
/// A shortest schedule is not looked for longer than this.
const WITNESS: Duration = Duration::from_secs(10);

/// What to explore.
pub struct Job<'a> {
    pub plan: &'a Plan,
    pub scenario: &'a Scenario,
    pub size: &'a Size,
    pub args: &'a Explore,
    pub limits: &'a Limits,
    /// Look for a shortest schedule of each violation.
    pub witness: bool,
}

/// A world in which nothing has happened yet: it has the names.
fn world(program: &Migration) -> World {
    let mut world = World::new(Timing::Any);
    program.setup(&mut world);
    world
}

/// How many threads `program` has.
fn threads(program: &Migration) -> usize {
    world(program).threads.len()
}

/// Whether loom can hold the job; if not, why and what it can hold.
fn fits_loom(job: &Job, threads: usize) -> Result<(), Failure> {
    if threads <= loom::MAX_THREADS {
        return Ok(());
    }
    let fitting = Size::all().into_iter().filter_map(|size| {
        let name = size.name.clone();
        let program = Migration::new(job.plan.clone(), job.scenario.clone(), size).ok()?;
        (self::threads(&program) <= loom::MAX_THREADS).then_some(name)
    });
    let fitting: Vec<String> = fitting.collect();
    let help = match fitting.as_slice() {
        [] => "no size of this scenario fits; --engine dpor and shuttle have no such limit".into(),
        sizes => format!("--size {} fits; the other engines have no such limit", sizes.join(", ")),
    };
    let message = format!(
        "{} in size {} has {threads} threads; --engine loom holds at most {}",
        job.scenario.name,
        job.size.name,
        loom::MAX_THREADS
    );
    Err(Failure::new(message, help))
}

/// Explores.
fn search(job: &Job, program: &Arc<Migration>) -> Result<Exploration, Failure> {
    let args = job.args;
    let count = |default| args.executions.unwrap_or(default) as usize;
    let mut limits = job.limits.clone();
    limits.executions = args.executions;
    Ok(match args.engine {
        Engine::Exhaustive => explore::exhaustive(program, &limits),
        Engine::Dpor => explore::dpor(program, &limits),
        Engine::Loom => {
            fits_loom(job, threads(program))?;
            child::explore(job, &limits)
        }
        Engine::Shuttle => {
            let strategy = match args.strategy {
                Strategy::Pct => shuttle::Strategy::Pct,
                Strategy::Random => shuttle::Strategy::Random,
                Strategy::Dfs => shuttle::Strategy::Dfs,
            };
            explore::sample(program, strategy, args.seed, count(SAMPLES), &limits)
        }
        Engine::Threads => explore::stress(program, args.seed, count(RUNS), WATCHDOG, &limits),
    })
}

/// A violation with the best schedule there is for it.
fn finding(job: &Job, program: &Arc<Migration>, found: &Found) -> Finding {
    let mut limits = Limits::new(Some(WITNESS));
    limits.interrupted = job.limits.interrupted.clone();
    let schedule = match (job.witness, found.schedule.is_empty()) {
        (true, false) => Some(explore::witness(program, found, &limits)),
        (true, true) if found.violation.message.starts_with(explore::HANG) => None,
        (true, true) => explore::shortest(program, &found.violation, &limits),
        (false, false) => Some(found.schedule.clone()),
        (false, true) => None,
    };
    match schedule {
        Some(schedule) => {
            let (recording, seen) = Recording::of(program, &schedule, &found.violation);
            Finding::recorded(&seen.unwrap_or_else(|| found.violation.clone()), recording)
        }
        None => Finding::bare(&world(program), &found.violation),
    }
}

/// Explores and says what it came to.
pub fn run(job: &Job) -> Result<Cell, Failure> {
    let program =
        Migration::new(job.plan.clone(), job.scenario.clone(), job.size.clone()).map(Arc::new)?;
    let started = Instant::now();
    let mut exploration = search(job, &program)?;
    let wall = started.elapsed();
    // By rule, the smallest explanation first; the same in every run.
    exploration.found.sort_by_key(|Found { violation, .. }| {
        (violation.rule, violation.cycle.len(), violation.message.clone())
    });
    let found = &exploration.found;
    let interrupted = job.limits.interrupted.load(Ordering::Relaxed);
    let verdict: Verdict = report::verdict(&exploration);
    Ok(Cell {
        schema: 1,
        scenario: job.scenario.name.clone(),
        plan: job.plan.name.clone(),
        engine: job.args.engine.name().into(),
        size: job.size.name.clone(),
        verdict,
        complete: exploration.complete,
        threads: threads(&program),
        executions: exploration.executions,
        states: exploration.states,
        steps: exploration.steps,
        wall_ms: wall.as_millis() as u64,
        peak_rss_kib: report::peak_rss_kib(),
        facts: exploration.facts.clone(),
        reason: if interrupted { Some("interrupted".into()) } else { exploration.cut.clone() },
        exit: if interrupted { Exit::Interrupted } else { verdict.into() } as u8,
        violations: found.iter().map(|found| finding(job, &program, found)).collect(),
        declared: job.scenario.expect.get(&job.plan.name).cloned(),
    })
}
