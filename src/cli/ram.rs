//! `bqlcheck explore --engine threads --ram FILE`: a whole memory image, migrated
//! and compared.
//! Must not know: how it is migrated.

use super::args::{Explore, Format};
use super::exit::{Exit, Failure};
use super::progress::Progress;
use super::{interrupt, output};
use crate::report;
use crate::sim::image::{self, Job, Migrated};
use crate::sim::{Plan, Scenario};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A run that takes longer hangs.
const WATCHDOG: Duration = Duration::from_secs(10);

/// One run, as `--format json` shows it.
#[derive(Serialize)]
struct Run {
    schema: u32,
    plan: String,
    scenario: String,
    seed: u64,
    wall_ms: u64,
    /// The destination's memory is the source's, byte for byte.
    equal: bool,
    pages: u64,
    faults: u64,
    recoveries: u64,
    differs_at: Option<u64>,
    hang: Vec<String>,
    violations: Vec<String>,
}

/// Migrates the image in `file` as often as asked for.
pub fn run(
    args: &Explore,
    file: &Path,
    plan: Option<Plan>,
    scenario: Option<Scenario>,
) -> Result<Exit, Failure> {
    let plan = plan.map_or_else(|| Plan::built_in("qemu-10.0"), Ok)?;
    let scenario = scenario.map_or_else(|| Scenario::built_in("postcopy-recover"), Ok)?;
    let image = std::fs::read(file).map_err(|error| {
        Failure::new(format!("{}: {error}", file.display()), "--ram takes a memory image")
    })?;
    if image.is_empty() {
        output::complain(&format!("{}: no memory in it", file.display()));
        return Ok(Exit::Nothing);
    }
    let interrupted = interrupt::watch();
    let counts: Arc<[AtomicU64; 3]> = Arc::default();
    let watched = counts.clone();
    let progress = Progress::start(move |since| {
        let [nth, done, all] = [0, 1, 2].map(|index| watched[index].load(Ordering::Relaxed));
        format!("{} s: run {}, {done} of {all} pages", since.as_secs(), nth + 1)
    });
    let mut runs = Vec::new();
    for nth in 0..args.executions.unwrap_or(1) {
        if interrupted.load(Ordering::Relaxed) {
            break;
        }
        let seed = args.seed.wrapping_add(nth);
        let tell = |done, all| {
            counts[1].store(done, Ordering::Relaxed);
            counts[2].store(all, Ordering::Relaxed);
        };
        let job = Job {
            plan: &plan,
            scenario: &scenario,
            image: &image,
            seed,
            limit: WATCHDOG,
            progress: &tell,
        };
        let started = Instant::now();
        let migrated = image::run(&job)?;
        counts[0].store(nth + 1, Ordering::Relaxed);
        runs.push(result(&job, migrated, started.elapsed()));
    }
    drop(progress);
    match args.format {
        Format::Text => output::print(&text(&runs)),
        Format::Json => output::print(&report::pretty(&runs)),
    }
    let good = |run: &Run| run.equal && run.violations.is_empty();
    Ok(if interrupted.load(Ordering::Relaxed) {
        Exit::Interrupted
    } else if runs.iter().all(good) {
        Exit::Clean
    } else {
        Exit::Findings
    })
}

fn result(job: &Job, migrated: Migrated, wall: Duration) -> Run {
    Run {
        schema: 1,
        plan: job.plan.name.clone(),
        scenario: job.scenario.name.clone(),
        seed: job.seed,
        wall_ms: wall.as_millis() as u64,
        equal: migrated.completed && migrated.differs_at.is_none(),
        pages: migrated.pages,
        faults: migrated.faults,
        recoveries: migrated.recoveries,
        differs_at: migrated.differs_at,
        hang: migrated.hang,
        violations: migrated
            .violations
            .iter()
            .map(|(rule, what)| format!("{rule} {what}"))
            .collect(),
    }
}

fn text(runs: &[Run]) -> String {
    let mut text = String::new();
    for run in runs {
        let end = match (run.differs_at, run.hang.is_empty()) {
            (_, false) => "hangs".into(),
            (Some(offset), _) => format!("differs at byte {offset}"),
            (None, _) if run.equal => "equal".into(),
            (None, _) => "does not complete".into(),
        };
        text += &format!(
            "seed {}: {end}; {} pages, {} faults, {} recoveries, {:.2} s\n",
            run.seed,
            run.pages,
            run.faults,
            run.recoveries,
            run.wall_ms as f64 / 1000.0
        );
        let more = run.hang.iter().chain(&run.violations);
        more.for_each(|line| text += &report::fold(2, line));
    }
    let equal = runs.iter().filter(|run| run.equal).count();
    text + &format!("{equal} of {} runs equal at the end\n", runs.len())
}
