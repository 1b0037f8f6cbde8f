//! Data races of executions: counted, and told with their two accesses. They are
//! apart from other breaches, since a program may have many of them in every
//! execution.
//! Must not know: which of them are known and why.

use super::job::{Access, Met, Race};
use super::judge::{self, Breach, Names};
use super::kernel::race::{self, Kind};
use super::kernel::state::kernel;
use super::kernel::{boot, process, tasks};
use super::search::Scenario;
use crate::lock::Rule;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often two instructions have raced.
#[derive(Default)]
pub struct Tally(BTreeMap<(usize, usize), u64>);

impl Tally {
    /// Takes the races of the execution that ended down; gives those that are new.
    pub fn count(&mut self) -> Vec<Breach> {
        let mut fresh = Vec::new();
        for breach in breaches() {
            let pair = breach.race.as_ref().expect("it is a race").pair();
            let many = self.0.entry(pair).or_default();
            *many += 1;
            if *many == 1 {
                fresh.push(breach);
            }
        }
        fresh
    }

    /// Those of the execution that ended, each once.
    pub fn of_one() -> Vec<Met> {
        let mut tally = Tally::default();
        tally.count();
        tally.told()
    }

    /// All of them.
    pub fn told(&self) -> Vec<Met> {
        let all = self.0.iter();
        all.map(|((one, two), many)| Met { sites: [site(*one), site(*two)], executions: *many })
            .collect()
    }
}

/// An instruction as an offset in the image; zero: one elsewhere.
fn site(address: usize) -> u64 {
    address.saturating_sub(process::image_base()) as u64
}

/// Executions that show where threads meet.
const LEARNING: usize = 32;

/// Learns where threads meet in a scenario, from executions that are not counted and
/// are the same each time.
pub fn begin(scenario: &Arc<dyn Scenario>, names: &Arc<dyn Names + Send + Sync>) {
    if !race::linked() {
        return;
    }
    let names = names.clone();
    race::name_by(Arc::new(move |address| names.object(address)));
    race::learn(true);
    let begin = scenario.clone();
    let strategy = tasks::Strategy::Random { seed: 0, executions: LEARNING };
    boot::explore(strategy, move || begin.begin(), || true);
    race::learn(false);
}

/// What an access does, as a verb.
fn verb(kind: Kind) -> &'static str {
    match kind {
        Kind::Read => "reads",
        Kind::Write => "writes",
        Kind::AtomicRead => "atomically reads",
        Kind::AtomicWrite => "atomically writes",
        Kind::Free => "frees",
    }
}

/// The races of the execution that ended.
pub fn breaches() -> Vec<Breach> {
    let state = kernel();
    let told = |race: race::Race| {
        let object = &race.name;
        let who = |access: &race::Access| judge::name(state, access.tid);
        let message = format!(
            "{} {} {object}, {} {} it, and nothing orders the two",
            who(&race.first),
            verb(race.first.kind),
            who(&race.second),
            verb(race.second.kind),
        );
        Breach { race: Some(race), ..Breach::new(Rule::DataRace, message) }
    };
    race::found().into_iter().map(told).collect()
}

/// A race of the execution that ended, with what was kept of its accesses.
pub fn told(race: &race::Race) -> Race {
    let access = |access: &race::Access| {
        let stack = race::stack(access);
        // The hooks are innermost; who frees is shown with what it called.
        let begin = stack.frames.iter().position(|frame| *frame == access.site).unwrap_or(0);
        Access {
            thread: access.tid as u32,
            what: verb(access.kind).into(),
            site: site(access.site),
            frames: process::offsets(&stack.frames[begin..]),
            holds: stack.held,
        }
    };
    Race { object: race.name.clone(), accesses: [access(&race.first), access(&race.second)] }
}
