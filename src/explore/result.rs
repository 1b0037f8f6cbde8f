//! What an exploration found, and how far it got.
//! Must not know: which engine made it.

use crate::runtime::{Choice, FingerprintSet, Violation, World};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A violation with one schedule that shows it.
#[derive(Clone, Debug)]
pub struct Found {
    pub violation: Violation,
    pub schedule: Vec<Choice>,
}

/// Where an exploration stops before its end, and where it says how far it is.
#[derive(Clone)]
pub struct Limits {
    /// Wall-clock budget from the start of the exploration.
    pub budget: Option<Duration>,
    /// At most this many executions.
    pub executions: Option<u64>,
    /// Set from outside: stop and say what is known.
    pub interrupted: Arc<AtomicBool>,
    /// Steps taken so far, for a progress line.
    pub progress: Arc<AtomicU64>,
    /// Distinct states so far, or executions where none are kept, and kinds of
    /// violation, for the same line.
    pub seen: Arc<[AtomicU64; 2]>,
    started: Instant,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::new(None)
    }
}

impl Limits {
    /// Stops after `budget`, if any.
    pub fn new(budget: Option<Duration>) -> Limits {
        Limits {
            budget,
            executions: None,
            interrupted: Arc::default(),
            progress: Arc::default(),
            seen: Arc::default(),
            started: Instant::now(),
        }
    }

    /// Says how far the exploration is.
    pub fn note(&self, states: u64, found: usize) {
        self.seen[0].store(states, Ordering::Relaxed);
        self.seen[1].store(found as u64, Ordering::Relaxed);
    }

    /// What is left of the budget, if there is one.
    pub fn left(&self) -> Option<Duration> {
        self.budget.map(|budget| budget.saturating_sub(self.started.elapsed()))
    }

    /// Whether to stop now. Looks at the clock: call it every thousand steps.
    pub fn reached(&self, steps: u64) -> bool {
        self.progress.store(steps, Ordering::Relaxed);
        self.interrupted.load(Ordering::Relaxed)
            || self.budget.is_some_and(|budget| self.started.elapsed() >= budget)
    }
}

/// The result of an exploration.
#[derive(Default, Debug)]
pub struct Exploration {
    /// Whether everything within the engine's stated bounds was seen.
    pub complete: bool,
    /// Executions run to their end, or to a state already seen.
    pub executions: u64,
    /// Executions given up because all that could move was covered elsewhere,
    /// where the engine has such.
    pub blocked: u64,
    /// Distinct states, where the engine keeps them.
    pub states: u64,
    /// Operations done, replayed ones included.
    pub steps: u64,
    /// Violations, one of each kind.
    pub found: Vec<Found>,
    /// Range of each fact over all executions that came to an end.
    pub facts: BTreeMap<&'static str, (u64, u64)>,
    /// Fingerprints of the states in which nobody could move any more.
    pub terminals: FingerprintSet,
    /// Why it is not complete.
    pub cut: Option<String>,
}

impl Exploration {
    /// Notes the violations and deadlocks of a world that are of a kind not seen
    /// yet.
    pub fn collect(&mut self, world: &World, schedule: &[Choice]) {
        world.violations.iter().for_each(|violation| self.add(violation, schedule));
        world.deadlocks().iter().for_each(|deadlock| self.add(deadlock, schedule));
    }

    /// Notes `violation` unless one of its kind is known: same rule, same words.
    pub fn add(&mut self, violation: &Violation, schedule: &[Choice]) {
        let known = self.found.iter().any(|found| found.violation.is_like(violation));
        if !known {
            let (violation, schedule) = (violation.clone(), schedule.to_vec());
            self.found.push(Found { violation, schedule });
        }
    }

    /// Raises the greatest of the facts known by those of an execution that joins
    /// one already seen: its least may be still to come.
    pub fn learn_greatest(&mut self, world: &World) {
        for (name, value) in &world.facts {
            if let Some(range) = self.facts.get_mut(name) {
                range.1 = range.1.max(*value);
            }
        }
    }

    /// Widens the ranges of the facts by those of a finished execution.
    pub fn learn(&mut self, world: &World) {
        for (name, value) in &world.facts {
            let range = self.facts.entry(name).or_insert((*value, *value));
            *range = (range.0.min(*value), range.1.max(*value));
        }
    }
}

impl Violation {
    /// Whether both break the same rule in the same way: in the same words, and
    /// for a deadlock with the same threads waiting for the same objects, where
    /// both say which (one read from a file does not).
    pub fn is_like(&self, other: &Violation) -> bool {
        let waits =
            |v: &Violation| v.cycle.iter().map(|w| (w.thread, w.object)).collect::<Vec<_>>();
        let unsaid = self.cycle.is_empty() || other.cycle.is_empty();
        self.rule == other.rule
            && self.message == other.message
            && (unsaid || waits(self) == waits(other))
    }
}
