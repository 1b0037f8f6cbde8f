//! The search: executions until a rule is broken, then the shortest schedule that
//! shows it, then on, until the job's bound.
//! Must not know: the scenario, and who reads the events.

use super::breaches::Breaches;
use super::ending;
use super::job::{Done, Event, Faults, Job, Picked, Strategy, Violation, Waits};
use super::judge::{self, Breach, Names};
use super::kernel::state::{Ending, Kernel, Key, Stall, Step, Tid, kernel};
use super::kernel::{boot, choices, pair, process, race, tasks};
use super::{ordered, raced};
use crate::sim::Side;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bug depth of PCT.
const DEPTH: usize = 3;
/// Executions that shortening a schedule may take.
const SHORTENING: usize = 400;
/// The same for a data race: there may be many, and what is shown are two accesses.
const SHORTENING_A_RACE: usize = 12;
/// The same for a thread that spins and asks for nothing, which takes a while to be
/// sure of.
const SHORTENING_A_SPIN: usize = 24;
/// Between two progress events.
const PROGRESS: Duration = Duration::from_millis(200);

/// What is run, from boot's snapshot.
pub trait Scenario: Send + Sync {
    /// Adds the tasks of one execution.
    fn begin(&self);
    /// What rules the execution that ended broke.
    fn judge(&self, names: &dyn Names) -> Vec<Breach>;
    /// What it came to, to be counted: the statuses of both sides.
    fn outcome(&self) -> String;
    /// Which side the user's QEMU is, if it is one: its states are kept then.
    fn side(&self) -> Option<Side> {
        None
    }
}

/// The search's own state, shared with the closures of a run.
struct Tally {
    executions: u64,
    violated: u64,
    /// Executions that ran into the bound of steps.
    cut: u64,
    stalls: (u64, u64),
    steps: u64,
    hash: u64,
    outcomes: BTreeMap<String, u64>,
    trails: BTreeMap<String, u64>,
    breaches: Breaches,
    /// Those that are to be shown, with their numbers.
    fresh: Vec<(usize, Breach)>,
    /// In which schedule.
    schedule: Vec<Tid>,
    races: raced::Tally,
    progress: Instant,
}

/// Runs `job` and tells `emit` what happens.
pub fn run(
    job: &Job,
    scenario: &Arc<dyn Scenario>,
    names: &Arc<dyn Names + Send + Sync>,
    emit: &Arc<dyn Fn(&Event) + Send + Sync>,
) -> Done {
    raced::begin(scenario, names);
    let began = Instant::now();
    let bound = job.executions.unwrap_or(u64::MAX);
    let budget = job.budget_ms.map_or(Duration::MAX, Duration::from_millis);
    let tally = Arc::new(Mutex::new(Tally {
        executions: 0,
        violated: 0,
        cut: 0,
        stalls: (0, 0),
        steps: 0,
        hash: 0,
        outcomes: BTreeMap::new(),
        trails: BTreeMap::new(),
        breaches: Breaches::default(),
        fresh: Vec::new(),
        schedule: Vec::new(),
        races: raced::Tally::default(),
        progress: began,
    }));
    loop {
        let done = lock(&tally).executions;
        if done >= bound || began.elapsed() >= budget {
            break;
        }
        let left = usize::try_from(bound - done).unwrap_or(usize::MAX);
        let seed = job.seed.wrapping_add(done);
        let strategy = match job.strategy {
            Strategy::Pct => tasks::Strategy::Pct { seed, depth: DEPTH, executions: left },
            Strategy::Random => tasks::Strategy::Random { seed, executions: left },
        };
        let (begin, end) = (scenario.clone(), scenario.clone());
        let (counts, names_of, tell) = (tally.clone(), names.clone(), emit.clone());
        let (traces, faults) = (job.log, job.faults);
        boot::explore(
            strategy,
            move || self::begin(&*begin, faults),
            move || {
                let mut tally = lock(&counts);
                let outcome = tally.count(&*end, &*names_of);
                if traces {
                    for (side, text) in kernel().logs() {
                        let (outcome, side) = (outcome.clone(), side.map(String::from));
                        tell(&Event::Log { outcome, side, text: text.into() });
                    }
                }
                if tally.progress.elapsed() >= PROGRESS {
                    tally.progress = Instant::now();
                    tell(&Event::Progress { executions: tally.executions });
                }
                tally.fresh.is_empty() && began.elapsed() < budget
            },
        );
        {
            // The runs' hashes, one after the other.
            let mut tally = lock(&tally);
            tally.hash = tally.hash.rotate_left(5) ^ tasks::schedules();
        }
        let fresh = std::mem::take(&mut lock(&tally).fresh);
        let (execution, schedule) = {
            let tally = lock(&tally);
            (tally.executions, tally.schedule.clone())
        };
        for (number, breach) in fresh {
            let found = witness(scenario, names, job.faults, &breach, schedule.clone());
            let told = found.told(&breach, execution, &**names);
            emit(&Event::Violation(Violation { number: number as u32, ..told }));
        }
    }
    let tally = lock(&tally);
    let (broken, further) = tally.breaches.told();
    Done {
        executions: tally.executions,
        violated: tally.violated,
        cut: tally.cut,
        longest_stall: tally.stalls.0,
        longest_for_vcpu: tally.stalls.1,
        steps: tally.steps,
        wall_ms: began.elapsed().as_millis() as u64,
        memory_kib: crate::memory::peak_rss_kib(),
        hash: format!("{:016x}", tally.hash),
        outcomes: tally.outcomes.clone(),
        trails: tally.trails.clone(),
        races: tally.races.told(),
        broken,
        further,
        interrupted: false,
    }
}

/// Begins an execution.
fn begin(scenario: &dyn Scenario, faults: Faults) {
    if let Some(side) = scenario.side() {
        ending::watch(side);
    }
    if !faults.is_none() {
        choices::begin(faults.timeouts, faults.eintr, faults.short, faults.spurious);
    }
    scenario.begin();
}

fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    /// Takes down the execution that ended; gives its outcome.
    fn count(&mut self, scenario: &dyn Scenario, names: &dyn Names) -> String {
        self.executions += 1;
        self.steps += kernel().steps;
        self.cut += u64::from(kernel().over == Some(Ending::Steps));
        let ticks = |stall: &Option<Stall>| stall.as_ref().map_or(0, |stall| stall.ticks);
        let for_vcpu = kernel().worst_for_vcpu.as_ref().map_or(0, |stall| stall.vcpu_ticks);
        self.stalls.0 = self.stalls.0.max(ticks(&kernel().worst_stall));
        self.stalls.1 = self.stalls.1.max(for_vcpu);
        let schedule = tasks::picked();
        let breaches = scenario.judge(names);
        self.violated += u64::from(!breaches.is_empty());
        let outcome = scenario.outcome();
        *self.outcomes.entry(outcome.clone()).or_default() += 1;
        if let Some(outcome) = scenario.side().and_then(ending::outcome) {
            *self.trails.entry(outcome.to_string()).or_default() += 1;
        }
        self.fresh.extend(self.breaches.count(breaches));
        // The same races in every execution would leave no room for other breaches.
        self.fresh.extend(self.races.count().into_iter().map(|race| (0, race)));
        if !self.fresh.is_empty() {
            self.schedule = schedule;
        }
        outcome
    }
}

/// A schedule that shows a breach, with what happened in it.
struct Witness {
    /// By point: the thread that has to be picked, or none where it does not matter.
    forced: Vec<Option<Tid>>,
    /// What the recorded run breaks.
    breaches: Vec<Breach>,
    /// The kernel at its end, with the steps recorded.
    end: Kernel,
}

impl Witness {
    fn told(&self, breach: &Breach, execution: u64, names: &dyn Names) -> Violation {
        let object = |address: usize| match address {
            0 => String::new(),
            address => names.object(address),
        };
        let end = &self.end;
        let step = |step: &Step| Picked {
            thread: step.tid as u32,
            what: step.what.into(),
            object: object(pair::address(end, step.tid, step.object)),
            frames: process::offsets(&step.frames),
            waited: step.waited,
        };
        let wait = |(tid, key): &(Tid, Key)| {
            let (what, address) = key.name();
            let held_by = match key {
                Key::Mutex(address) => pair::owner(end, *tid, *address).map(|owner| owner as u32),
                _ => None,
            };
            let bql = pair::bql(end, *tid);
            Waits {
                thread: *tid as u32,
                what: what.into(),
                // What has no address has a word.
                object: match address {
                    0 => judge::wait(end, *tid, *key, names),
                    address => object(pair::address(end, *tid, address)),
                },
                frames: process::offsets(&end.threads[*tid].frames),
                held_by,
                holds: if bql != 0 && pair::owner(end, *tid, bql) == Some(*tid) {
                    vec![object(pair::address(end, *tid, bql))]
                } else {
                    vec![]
                },
            }
        };
        let recorded = self.breaches.iter().find(|recorded| recorded.same(breach));
        // Its callers were kept in that run alone.
        let breach = recorded.filter(|recorded| recorded.has_no_story()).unwrap_or(breach);
        let at = recorded.and_then(|recorded| recorded.at.as_ref());
        let steps = end.recording.iter().flatten();
        let by = match &end.over {
            _ if breach.has_no_story() => None,
            _ if at.is_some() => at.map(|at| (at.tid, process::offsets(&at.frames))),
            Some(Ending::Crash(_, frames) | Ending::Spins { frames, .. }) => {
                Some((end.ended_by, process::offsets(frames)))
            }
            Some(Ending::Exit(_)) => {
                Some((end.ended_by, process::offsets(&end.threads[end.ended_by].frames)))
            }
            _ => None,
        };
        Violation {
            rule: breach.rule,
            message: breach.message.clone(),
            ticks: breach.ticks,
            execution,
            number: 0,
            schedule: self.forced.iter().map(|tid| tid.map(|tid| tid as u32)).collect(),
            threads: end.threads.iter().map(|thread| thread.name.clone()).collect(),
            // What comes after it is not its story.
            steps: match breach.has_no_story() {
                true => Vec::new(),
                false => steps.take(at.map_or(usize::MAX, |at| at.steps)).map(step).collect(),
            },
            waits: breach.waits.iter().map(wait).collect(),
            by: by.map(|(tid, frames)| (tid as u32, frames)),
            race: breach.race.as_ref().map(|race| Box::new(raced::told(race))),
            circle: breach.circle.iter().map(|taken| ordered::told(taken, end, names)).collect(),
        }
    }
}

/// The shortest schedule that shows `breach`, starting from one that does.
fn witness(
    scenario: &Arc<dyn Scenario>,
    names: &Arc<dyn Names + Send + Sync>,
    faults: Faults,
    breach: &Breach,
    schedule: Vec<Tid>,
) -> Witness {
    let mut forced: Vec<Option<Tid>> = schedule.into_iter().map(Some).collect();
    let mut left = match kernel().over {
        _ if breach.race.is_some() => SHORTENING_A_RACE,
        Some(Ending::Spins { asks: false, .. }) => SHORTENING_A_SPIN,
        _ => SHORTENING,
    };
    let mut shows = |forced: &[Option<Tid>]| {
        left = left.saturating_sub(1);
        left > 0 && replay(scenario, names, faults, forced, false).0.iter().any(|b| b.same(breach))
    };
    // Points at the end that need not be forced, by halves; then blocks of points,
    // smaller and smaller.
    let mut size = forced.len().next_power_of_two();
    while size > 0 {
        let mut end = forced.len();
        while end > 0 {
            let start = end.saturating_sub(size);
            if forced[start..end].iter().any(Option::is_some) {
                let mut fewer = forced.clone();
                fewer[start..end].fill(None);
                if shows(&fewer) {
                    forced = fewer;
                }
            }
            end = start;
        }
        size /= 2;
    }
    while forced.last() == Some(&None) {
        forced.pop();
    }
    if let Some(race) = &breach.race {
        race::keep(race::Keep::Pair(race.first.site, race.second.site));
    }
    let (breaches, end) = replay(scenario, names, faults, &forced, true);
    race::keep(race::Keep::None);
    Witness { forced, breaches, end }
}

/// Runs one schedule; gives what it breaks, and the kernel at its end, with the
/// steps if they are to be recorded.
pub fn replay(
    scenario: &Arc<dyn Scenario>,
    names: &Arc<dyn Names + Send + Sync>,
    faults: Faults,
    forced: &[Option<Tid>],
    record: bool,
) -> (Vec<Breach>, Kernel) {
    let found = Arc::new(Mutex::new(Vec::new()));
    let (starts, end, told) = (scenario.clone(), scenario.clone(), found.clone());
    let names = names.clone();
    boot::explore(
        tasks::Strategy::Replay(forced.to_vec()),
        move || {
            kernel().recording = record.then(Vec::new);
            begin(&*starts, faults);
        },
        move || {
            *lock(&told) = end.judge(&*names);
            lock(&told).extend(raced::breaches());
            false
        },
    );
    let breaches = std::mem::take(&mut *lock(&found));
    (breaches, kernel().clone())
}

/// Runs one schedule and tells what it breaks, as a search would.
pub fn show(
    scenario: &Arc<dyn Scenario>,
    names: &Arc<dyn Names + Send + Sync>,
    faults: Faults,
    forced: &[Option<Tid>],
    emit: &Arc<dyn Fn(&Event) + Send + Sync>,
) {
    raced::begin(scenario, names);
    let began = Instant::now();
    race::keep(race::Keep::All);
    let (breaches, end) = replay(scenario, names, faults, forced, true);
    let witness = Witness { forced: forced.to_vec(), breaches: breaches.clone(), end };
    for breach in &breaches {
        emit(&Event::Violation(witness.told(breach, 1, &**names)));
    }
    let outcomes = BTreeMap::from([(scenario.outcome(), 1)]);
    let (violated, wall_ms) = (u64::from(!breaches.is_empty()), began.elapsed().as_millis() as u64);
    let races = raced::Tally::of_one();
    let done = Done { executions: 1, violated, wall_ms, outcomes, races, ..Done::default() };
    emit(&Event::Done(done));
}
