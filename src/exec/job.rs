//! What an image is told to do, and what it answers, a line of JSON each.
//! Must not know: how schedules are made, or how a result is shown.

use crate::lock::Rule;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

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
    /// The executable of the build, as `qemu-system-x86_64`; none: the one that is
    /// taken if none is named.
    #[serde(default)]
    pub target: Option<String>,
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
    /// The same for arrays to which the first member of such a structure points:
    /// `multifd_send_state->params`.
    #[serde(default)]
    pub arrays: BTreeMap<String, u64>,
    /// What the system may do out of turn, and how often in an execution.
    #[serde(default)]
    pub faults: Faults,
    /// QEMU traces what it does (`-trace`), and each execution is told with its log.
    pub log: bool,
    /// The image tells of its accesses to memory, and races count.
    #[serde(default)]
    pub races: bool,
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

/// What the system may do to a program and rarely does, and how often it may happen
/// in an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Time-outs that come early: while others could still run.
    pub timeouts: u32,
    /// Calls that would wait and give EINTR instead.
    pub eintr: u32,
    /// Reads and writes of fewer bytes than there are or fit.
    pub short: u32,
    /// Waits on a condition that end without a signal.
    pub spurious: u32,
}

impl Faults {
    /// The names on the command line.
    pub const NAMES: [&'static str; 4] = ["timeouts", "eintr", "short", "spurious"];

    /// More in an execution make it no execution that a system could do.
    const MOST: u32 = 1000;

    fn counts(self) -> [u32; 4] {
        [self.timeouts, self.eintr, self.short, self.spurious]
    }

    /// Whether nothing of it may happen.
    pub fn is_none(self) -> bool {
        self == Faults::default()
    }
}

impl fmt::Display for Faults {
    /// `at most 2 early time-outs, 1 call that ends with EINTR`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            ["early time-out", "early time-outs"],
            ["call that ends with EINTR", "calls that end with EINTR"],
            ["short read or write", "short reads or writes"],
            ["spurious wake-up", "spurious wake-ups"],
        ];
        let may = self.counts().into_iter().zip(words).filter(|(many, _)| *many > 0);
        let texts = may.map(|(many, words)| format!("{many} {}", words[usize::from(many > 1)]));
        write!(f, "at most {}", texts.collect::<Vec<_>>().join(", "))
    }
}

impl FromStr for Faults {
    type Err = String;

    /// `timeouts=2,eintr=1`.
    fn from_str(text: &str) -> Result<Faults, String> {
        let mut counts = [None; 4];
        for word in text.split(',') {
            let known = Faults::NAMES.join(", ");
            let (name, many) = word.split_once('=').ok_or_else(|| {
                format!("\"{word}\" has no number: as timeouts=2; the names are {known}")
            })?;
            let nth = Faults::NAMES.iter().position(|known| *known == name);
            let nth = nth.ok_or_else(|| format!("nothing is called \"{name}\"; one of {known}"))?;
            let many = many.parse::<u32>().ok().filter(|many| *many <= Faults::MOST);
            let many =
                many.ok_or_else(|| format!("{name} takes a number from 0 to {}", Faults::MOST))?;
            if counts[nth].replace(many).is_some() {
                return Err(format!("{name} is given twice"));
            }
        }
        let [timeouts, eintr, short, spurious] = counts.map(Option::unwrap_or_default);
        Ok(Faults { timeouts, eintr, short, spurious })
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
    /// Of two QEMUs each has one; the source's comes first.
    Log { outcome: String, side: Option<String>, text: String },
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
    /// Which of `Done::broken` it is, unless it is a data race.
    #[serde(default)]
    pub number: u32,
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
    /// The two accesses, if it is a data race.
    #[serde(default)]
    pub race: Option<Box<Race>>,
    /// What each thread takes with what, if it is about the order of locks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub circle: Vec<Taken<u64>>,
}

/// A thread waits for one lock of a circle while it holds the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken<Frame> {
    pub thread: u32,
    /// As `Picked::object`.
    pub holds: String,
    /// The callers, innermost first; none if it had that one before the execution.
    pub held_at: Vec<Frame>,
    pub takes: String,
    pub taken_at: Vec<Frame>,
}

/// Two accesses to the same memory that nothing orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Race {
    /// As `Picked::object`.
    pub object: String,
    /// In the order in which they were done.
    pub accesses: [Access; 2],
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    pub thread: u32,
    /// `reads`, `atomically writes` …
    pub what: String,
    /// The instruction.
    pub site: u64,
    /// The instruction and its callers, innermost first.
    pub frames: Vec<u64>,
    /// The mutexes that the thread held.
    pub holds: Vec<String>,
}

/// How often two instructions raced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Met {
    /// The instructions, the lower one first.
    pub sites: [u64; 2],
    pub executions: u64,
}

/// A breach of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broken {
    pub rule: Rule,
    pub message: String,
    /// How many had it.
    pub executions: u64,
    /// There is a violation that shows it.
    pub shown: bool,
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
    /// The greatest resident size of the image in KiB, its code included.
    #[serde(default)]
    pub memory_kib: u64,
    /// Of all schedules: the same seed, the same hash.
    pub hash: String,
    /// What the executions came to, with how many did.
    pub outcomes: BTreeMap<String, u64>,
    /// The states that the user's QEMU went through and how that ended, as
    /// `sim::Outcome` is written, with how many did; of a source its first migration.
    #[serde(default)]
    pub trails: BTreeMap<String, u64>,
    /// Data races, of all executions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub races: Vec<Met>,
    /// Other breaches, each once, in the order in which they were met.
    #[serde(default)]
    pub broken: Vec<Broken>,
    /// Executions with more breaches than are told apart.
    #[serde(default)]
    pub further: u64,
    /// Whether it was stopped before its number of executions or its budget.
    pub interrupted: bool,
}
