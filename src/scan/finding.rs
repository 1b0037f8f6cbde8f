//! What the scan found, and what it could not read: the result as data.
//! Must not know: how it was found, how it is shown.

use super::baseline::Compared;
use crate::lock::Rule;
use serde::{Deserialize, Serialize};

/// The result of a scan.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Report {
    /// As the user named it.
    pub tree: String,
    /// What the tree's `VERSION` says, or "unknown".
    pub version: String,
    /// Files that were scanned.
    pub files: usize,
    /// Functions with a body, those that did not parse clean included.
    pub functions: usize,
    /// Those that did not parse clean: nothing in them is trusted.
    pub functions_unparsed: Vec<Unparsed>,
    /// Ranked: the most certain first, then by place.
    pub findings: Vec<Finding>,
    /// Calls whose lock state a patch changes.
    pub changes: Vec<Change>,
    /// With patches: what each of them, in order, adds and removes.
    pub patches: Vec<PatchResult>,
    /// What was wrong with the input, and what was left out.
    pub problems: Vec<Problem>,
    /// Comments and entries that suppress findings, and those that fail to.
    pub suppressions: Vec<Suppression>,
    /// With `--baseline`: what it knows.
    pub baseline: Option<Compared>,
}

/// A comment in the source or an entry of `bqlcheck.toml`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Suppression {
    /// The source file, or `bqlcheck.toml` as it was named.
    pub path: String,
    pub line: u32,
    /// As it is written there, which may be no rule at all.
    pub rule: String,
    pub reason: String,
    /// Like a finding's.
    pub fingerprint: String,
    /// The fingerprints of what it covers.
    pub covers: Vec<String>,
    /// What is wrong with it: it covers nothing, gives no reason, names no rule.
    pub fault: Option<String>,
}

/// A function that the parser did not understand.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Unparsed {
    /// Empty where the parser saw no name.
    pub function: String,
    pub path: String,
    pub line: u32,
}

impl Unparsed {
    /// As a sentence names it: where it stands says which it is.
    pub fn name(&self) -> String {
        match self.function.as_str() {
            "" => "a function without a name".to_owned(),
            name => format!("{name}()"),
        }
    }
}

/// Something that was not read as it should be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Problem {
    pub path: String,
    /// 0: the file as a whole.
    pub line: u32,
    pub message: String,
}

/// A breach of a rule.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Finding {
    pub rule: Rule,
    pub grade: Grade,
    pub status: Status,
    /// Where it is, below the tree's root, with `/`.
    pub path: String,
    /// 1-based.
    pub line: u32,
    /// 1-based, in bytes; 0 where only the line is known.
    pub column: u32,
    /// The function it is in.
    pub function: String,
    /// One sentence, present tense, lower case.
    pub message: String,
    /// 16 hexadecimal digits, the same wherever the lines move.
    pub fingerprint: String,
    pub contract: Option<Contract>,
    /// The thread that comes here; none where one function suffices to see it.
    pub root: Option<Root>,
    /// From the root's entry to `function`, each with where it calls the next.
    pub call_path: Vec<Frame>,
    /// For a wait: who could end it.
    pub wakers: Vec<Waker>,
    /// For an order of locks: each lock taken while the one before is held.
    pub notes: Vec<String>,
    /// The reason of the suppression that covers it.
    pub suppressed: Option<String>,
}

/// How much a finding can be trusted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// A certain path to a hard contract.
    Error,
    /// The path or the contract leaves a doubt.
    Warning,
    /// Shown with `--all` only.
    Note,
}

/// Whether a patch has to do with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// There is no patch.
    Existing,
    New,
    Fixed,
    Unchanged,
}

/// What is asked of a caller, and who says so.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Contract {
    /// `load_cleanup runs with the BQL held`.
    pub text: String,
    /// A place in the tree, or in the table of contracts.
    pub source: String,
}

/// Where a thread of control begins.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Root {
    /// As QEMU names it: `mig/dst/listen`, `main loop`, `vCPU`.
    pub thread: String,
    pub entry: String,
    /// The BQL at entry: `held`, `not held`.
    pub lock: String,
}

/// A function on the way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Frame {
    pub function: String,
    pub path: String,
    /// Of the call to the next frame; in the last, of the breach.
    pub line: u32,
    /// Whether that call stands under a condition.
    pub conditional: bool,
}

/// Somebody who could end a wait.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Waker {
    pub function: String,
    pub path: String,
    pub line: u32,
    /// As QEMU names it.
    pub thread: String,
    /// `held`, `not held`, `takes it`: the BQL on the way to the wake-up.
    pub lock: String,
}

/// A call whose lock state a patch changes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Change {
    /// The thread and the function that calls.
    pub thread: String,
    pub caller: String,
    pub callee: String,
    pub path: String,
    pub line: u32,
    /// The BQL at the call: `held`, `not held`, `either`, `not called`.
    pub before: String,
    pub after: String,
}

/// What one patch of a series does.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PatchResult {
    /// The mail's subject, or the file's name.
    pub subject: String,
    /// `Message-ID`, where there is one.
    pub message_id: Option<String>,
    /// Fingerprints.
    pub new: Vec<String>,
    pub fixed: Vec<String>,
    pub unchanged: usize,
}
