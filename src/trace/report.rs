//! What a log shows, as data: the JSON form is this, key by key.
//! Must not know: how it was found, how it is shown.

use super::conform;
use crate::lock::Rule;
use crate::sim::Verdict;
use serde::Serialize;

/// Of one or more logs.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Format of the JSON: 1.
    pub schema: u32,
    pub verdict: Verdict,
    /// The exit code that this leads to.
    pub exit: u8,
    pub lines: u64,
    pub unknown_lines: u64,
    pub logs: Vec<Log>,
    pub threads: Vec<Thread>,
    /// How long locks were held.
    pub holds: Vec<Row>,
    /// How long locks were waited for.
    pub waits: Vec<Row>,
    /// How long condition waits took.
    pub conditions: Vec<Row>,
    /// The longest holds of the BQL.
    pub longest: Vec<Hold>,
    /// How far the migration was when.
    pub milestones: Vec<Milestone>,
    pub handlers: Vec<HandlerRow>,
    pub held_at_end: Vec<Held>,
    pub findings: Vec<Finding>,
    pub problems: Vec<Problem>,
    /// With `--conform`, one a log.
    pub conform: Vec<conform::Outcome>,
}

/// One of the logs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Log {
    pub file: String,
    pub lines: u64,
    /// Lock operations among them.
    pub lock_events: u64,
    /// Said by QEMU, not events.
    pub messages: u64,
    pub unknown_lines: u64,
    /// Of the first and the last event, in µs since 1970.
    pub start_us: u64,
    pub end_us: u64,
    /// `source`, `destination`, or neither.
    pub side: String,
    /// The last `migrate_set_state`.
    pub status: Option<String>,
    /// When the guest or the migration began.
    pub begun_us: Option<u64>,
    /// Pairs of lock classes, one taken while the other was held.
    pub orders: usize,
}

/// A thread, and what it is.
#[derive(Clone, Debug, Serialize)]
pub struct Thread {
    /// Which of the logs, from 0.
    pub log: usize,
    pub id: u64,
    pub role: String,
}

/// A line of a table: one lock, taken at one site, by one thread.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub log: usize,
    pub lock: String,
    pub site: String,
    pub thread: String,
    pub count: u64,
    pub total_us: u64,
    pub max_us: u64,
    /// To within a quarter above.
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
}

/// A hold of the BQL.
#[derive(Clone, Debug, Serialize)]
pub struct Hold {
    pub log: usize,
    pub lock: String,
    pub thread: String,
    pub site: String,
    pub at_us: u64,
    pub held_us: u64,
    /// The log ends in it.
    pub open: bool,
    /// Before the guest or the migration had begun.
    pub startup: bool,
    pub waiters: Vec<WaitingThread>,
    pub inside: Vec<Inside>,
}

/// Who waited in a hold.
#[derive(Clone, Debug, Serialize)]
pub struct WaitingThread {
    pub thread: String,
    pub site: String,
    pub waited_us: u64,
    /// `lock`, `condition`, or `idle`: a vCPU that may not want to go on.
    pub kind: &'static str,
}

/// What the holder did meanwhile.
#[derive(Clone, Debug, Serialize)]
pub struct Inside {
    pub event: String,
    pub count: u64,
}

/// An event that says how far a migration is.
#[derive(Clone, Debug, Serialize)]
pub struct Milestone {
    pub log: usize,
    pub at_us: u64,
    pub thread: String,
    pub event: String,
    pub text: String,
}

/// An event that shows a handler running, and the BQL at it.
#[derive(Clone, Debug, Serialize)]
pub struct HandlerRow {
    pub log: usize,
    pub event: String,
    pub thread: String,
    pub held: u64,
    pub not_held: u64,
    /// Before the log shows who has the BQL.
    pub unknown: u64,
    /// `held`, `not held` or `either`.
    pub contract: &'static str,
    pub broken: bool,
}

/// A lock that somebody has, or waits for, when the log ends.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    pub log: usize,
    pub lock: String,
    pub thread: String,
    pub site: String,
    pub since_us: u64,
    /// `holds` or `waits`.
    pub kind: &'static str,
}

/// A breach of a rule.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub rule: Rule,
    /// One sentence.
    pub message: String,
    pub log: usize,
    pub thread: String,
    pub site: String,
    pub held_us: Option<u64>,
    pub at_us: Option<u64>,
    pub waiters: Vec<WaitingThread>,
    pub inside: Vec<Inside>,
    /// The first milestones after it.
    pub after: Vec<Milestone>,
    /// The circle, where it is one of locks.
    pub cycle: Vec<Cycle>,
}

/// A link of a circle: `thread` takes, or waits for, a lock and has another.
#[derive(Clone, Debug, Serialize)]
pub struct Cycle {
    pub thread: String,
    pub holds: String,
    pub holds_site: String,
    pub takes: String,
    pub takes_site: String,
    /// Of the log, where it was first seen.
    pub line: u64,
    pub count: u64,
}

/// What was wrong with the input.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    pub log: usize,
    pub message: String,
    pub count: u64,
    /// The first one's line; 0: of the log as a whole.
    pub line: u64,
}
