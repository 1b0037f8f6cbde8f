//! A whole memory image, migrated by postcopy on real threads and compared.
//! Must not know: where the image comes from, or who watches.

use super::ram::{Guest, Random};
use super::scenario::{Break, Moves};
use super::{DataError, Migration, Plan, Scenario, Size};
use crate::lock::Rule;
use crate::runtime::threads;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Messages of the stream in flight: what a socket buffers of pages.
const SOCKET_PAGES: usize = 32;

/// One such run.
pub struct Job<'a> {
    pub plan: &'a Plan,
    pub scenario: &'a Scenario,
    pub image: &'a [u8],
    /// Of the threads' random choices and of the break point.
    pub seed: u64,
    /// The watchdog's patience.
    pub limit: Duration,
    /// Told the pages placed and those in all, now and then.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Migrated {
    /// Pages that went over the postcopy channel, of those in the image.
    pub pages: u64,
    pub faults: u64,
    pub recoveries: u64,
    /// The migration completed, and the memory was compared.
    pub completed: bool,
    /// Offset of the first byte that differs at the end.
    pub differs_at: Option<u64>,
    /// For a run that hung, a line a thread: who waits for what.
    pub hang: Vec<String>,
    pub violations: Vec<(Rule, String)>,
}

/// Migrates the image and compares it at the end.
///
/// # Errors
/// If the scenario cannot be had with an image.
pub fn run(job: &Job) -> Result<Migrated, DataError> {
    let size = Size { vcpus: 2, ..Size::named("xl")? };
    let guest = guest(job, size.vcpus);
    let dirty = (0..guest.before.len()).filter(|n| guest.is_dirty(*n)).count() as u64;
    let placed = guest.placed.clone();
    let scenario = Scenario {
        environment: Moves::Any,
        breaks: if guest.break_after.is_some() { Break::Anytime } else { Break::Never },
        stream_capacity: Some(SOCKET_PAGES),
        ..job.scenario.clone()
    };
    let migration = Arc::new(Migration::with_guest(job.plan.clone(), scenario, size, guest)?);
    let over = AtomicBool::new(false);
    let (mut migrated, hang) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                (job.progress)(placed.load(Ordering::Relaxed), dirty);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let ended = threads::run(
            &migration,
            job.seed,
            job.limit,
            |_| {},
            |world| {
                let fact = |name| world.facts.get(name).copied();
                let mut violations = world.violations.clone();
                violations.extend(world.deadlocks());
                let lines = world.unfinished().into_iter().map(|wait| {
                    let (thread, object) = (world.name(wait.thread), world.name_of(wait.object));
                    format!("{thread} waits for {object} ({}) in {}", wait.operation, wait.site)
                });
                let lines = lines.collect();
                let migrated = Migrated {
                    pages: placed.load(Ordering::Relaxed),
                    faults: fact("page_faults").unwrap_or_default(),
                    recoveries: fact("recoveries").unwrap_or_default(),
                    completed: fact("pages_compared").is_some(),
                    differs_at: fact("first_difference"),
                    hang: Vec::new(),
                    violations: violations.into_iter().map(|v| (v.rule, v.message)).collect(),
                };
                (migrated, lines)
            },
        );
        over.store(true, Ordering::Relaxed);
        let ((migrated, lines), hang): ((Migrated, Vec<String>), _) = ended;
        (migrated, hang.map(|_| lines))
    });
    (job.progress)(migrated.pages, dirty);
    migrated.hang = hang.unwrap_or_default();
    Ok(migrated)
}

/// The guest of the image; where the scenario breaks the network, somewhere in
/// the first three quarters of the pages to be streamed.
fn guest(job: &Job, vcpus: u8) -> Guest {
    let mut guest = Guest::of_image(job.image, vcpus, job.seed);
    let dirty = (0..guest.before.len()).filter(|n| guest.is_dirty(*n)).count() as u64;
    if job.scenario.breaks != Break::Never && dirty > 4 * SOCKET_PAGES as u64 {
        let after = 1 + Random(job.seed ^ 0x5bd1).below(dirty * 3 / 4 - 2 * SOCKET_PAGES as u64);
        guest.break_after = Some(after as u32);
    }
    guest
}
