//! `models/contracts/*.json` and `models/scan/facts.json`: what is asked of a caller,
//! and what the protocol says.
//! Must not know: how any of it is used.

use super::waits::WaitKind;
use crate::scan::finding::Grade;
use serde::Deserialize;

/// `models/contracts/*.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contracts {
    /// Of the file's form.
    pub schema: u32,
    /// Of QEMU: the first that has them.
    pub version: String,
    pub hooks: Vec<HookContract>,
    pub functions: Vec<FunctionContract>,
    pub locks: Vec<LockContract>,
}

/// What a hook's caller must hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookContract {
    #[serde(rename = "type")]
    pub ty: String,
    pub field: String,
    pub bql: Asked,
    /// Whether the hook may release it and take it again.
    #[serde(default, rename = "may-release")]
    pub may_release: bool,
    /// Whether a protocol fact speaks of it.
    #[serde(default, rename = "postcopy-fact")]
    pub postcopy_fact: bool,
    pub text: String,
    pub source: String,
}

/// What a function's caller must hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionContract {
    pub name: String,
    pub bql: Asked,
    pub text: String,
    pub source: String,
}

/// A lock other than the BQL that a function's caller must hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockContract {
    pub function: String,
    /// `RAMState.bitmap_mutex`.
    pub lock: String,
    pub held: bool,
    pub text: String,
    pub source: String,
}

/// What is asked of the BQL.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    Held,
    NotHeld,
    Either,
}

/// `models/scan/facts.json`: what the protocol says and no function shows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Of the file's form.
    pub schema: u32,
    pub facts: Vec<Fact>,
}

/// A protocol fact.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    pub id: String,
    /// The entry function of the thread, or several with `|`; none: any.
    pub root: Option<String>,
    /// `Type.member` of the hook that it speaks of.
    pub hook: Option<String>,
    /// Only the handlers of owners that set this member are called there.
    #[serde(rename = "only-owners-with")]
    pub only_owners_with: Option<String>,
    /// The kind of wait that it speaks of.
    pub wait: Option<WaitKind>,
    /// A function on the path.
    pub through: Option<String>,
    /// What a finding that it concerns is worth.
    pub grade: Grade,
    pub text: String,
    pub source: String,
}
