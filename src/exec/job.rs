//! What an image is told to do, and what it answers, a line of JSON each.
//! Must not know: how schedules are made, or how a result is shown.

use crate::lock::Rule;
use serde::{Deserialize, Serialize};

/// On the image's stdin, one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// 1.
    pub schema: u32,
    /// QEMU's version, as `10.0.13`.
    pub version: String,
    pub scenario: String,
    pub strategy: Strategy,
    pub seed: u64,
    /// At most so many.
    pub executions: Option<u64>,
    /// At most so long.
    pub budget_ms: Option<u64>,
}

/// How the next thread is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Random priorities with few changes.
    #[default]
    Pct,
    /// Any thread at every step.
    Random,
}

impl Strategy {
    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Pct => "pct",
            Strategy::Random => "random",
        }
    }
}

/// On the image's stdout, one line each; the last is `done` or `refused`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// QEMU has booted and its memory is kept; executions begin.
    Booted { wall_ms: u64 },
    /// So many executions so far.
    Progress { executions: u64 },
    /// An execution broke a rule. The same breach comes once.
    Violation(Violation),
    /// The search is over: by its number of executions, its budget or a signal.
    Done(Done),
    /// The job cannot be done.
    Refused { message: String, help: String },
}

/// A rule that an execution broke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Violation {
    pub rule: Rule,
    pub message: String,
    /// The execution in which it came first, from 1.
    pub execution: u64,
    /// QEMU's threads: which ran at each point of the schedule.
    pub schedule: Vec<u32>,
}

/// What the search came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    pub executions: u64,
    /// Executions that broke a rule.
    pub violated: u64,
    pub wall_ms: u64,
    /// Of all schedules: the same seed, the same hash.
    pub hash: String,
    /// Whether it was stopped before its number of executions or its budget.
    pub interrupted: bool,
}
