//! What an image is told to do, and what it answers, a line of JSON each.
//! Must not know: how schedules are made, or how a result is shown.

use crate::lock::Rule;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A schedule: at each point with a choice the thread that has to go on, or none
/// where the one that runs just does.
pub type Picks = Vec<Option<u32>>;

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
    /// Where the image keeps pointers to its great structures, by the name that they
    /// have in QEMU's code: `mis`, `s`.
    pub roots: BTreeMap<String, u64>,
    /// QEMU traces what it does (`-trace`), and each execution is told with its log.
    pub log: bool,
    /// Not a search: this schedule, once.
    pub replay: Option<Picks>,
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
    /// QEMU's own log of an execution, and what that came to.
    Log { outcome: String, text: String },
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
    /// If it is a stall: so many steps of the environment it lasted there.
    #[serde(default)]
    pub ticks: u64,
    /// The execution in which it came first, from 1.
    pub execution: u64,
    /// At each point where more than one thread could go on: the one that has to,
    /// or none where the one that runs just goes on.
    pub schedule: Picks,
    /// Names by number.
    pub threads: Vec<String>,
    /// What the threads did in it.
    pub steps: Vec<Picked>,
    /// Who waits for what at the end, if that is what it is about.
    pub waits: Vec<Waits>,
    /// The thread that broke the rule, and its callers, if one did.
    pub by: Option<(u32, Vec<u64>)>,
}

/// An operation of a witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picked {
    pub thread: u32,
    /// `lock`, `recv` …
    pub what: String,
    /// `qemu+OFFSET` in the image, `mis+OFFSET` in a structure; empty: none.
    pub object: String,
    /// Return addresses as offsets in the image, innermost first; none for the
    /// scenario's own threads.
    pub frames: Vec<u64>,
    /// It had to wait first.
    pub waited: bool,
}

/// A thread that waits at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waits {
    pub thread: u32,
    pub what: String,
    pub object: String,
    pub frames: Vec<u64>,
    /// Who holds it.
    pub held_by: Option<u32>,
    /// The locks that it holds.
    pub holds: Vec<String>,
}

/// What the search came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    pub executions: u64,
    /// Executions that broke a rule.
    pub violated: u64,
    /// Executions that ran into the bound of operations: of these nothing is known.
    pub cut: u64,
    /// Steps of the environment of the longest stall of the BQL, and of the longest
    /// for which a vCPU waited.
    #[serde(default)]
    pub longest_stall: u64,
    #[serde(default)]
    pub longest_for_vcpu: u64,
    /// Operations of all executions.
    pub steps: u64,
    pub wall_ms: u64,
    /// Of all schedules: the same seed, the same hash.
    pub hash: String,
    /// What the executions came to, with how many did.
    pub outcomes: BTreeMap<String, u64>,
    /// The states that the user's QEMU went through and how that ended, as
    /// `sim::Outcome` is written, with how many migrations did.
    #[serde(default)]
    pub trails: BTreeMap<String, u64>,
    /// Whether it was stopped before its number of executions or its budget.
    pub interrupted: bool,
}
