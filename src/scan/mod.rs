//! The scan: which call paths of a real QEMU tree break a lock contract, and
//! what a patch adds and removes. Bytes to findings.
//! Must not know: files and directories, how a finding is shown.

mod apply;
pub mod baseline;
pub mod config;
mod contexts;
mod diff_text;
pub mod finding;
pub mod fingerprint;
mod flow;
mod hooks;
pub mod ir;
mod judge;
mod local;
mod lower;
mod map;
pub mod mask;
pub mod mbox;
mod order;
mod outline;
mod overlay;
pub mod parse;
pub mod patch;
mod patch_error;
mod place;
mod program;
mod qapi;
pub mod query;
mod resolve;
mod states;
mod summary;
pub mod suppress;
mod tables;
mod tree;
mod verdict;
mod wakers;

pub use finding::{
    Change, Contract, Finding, Frame, Grade, PatchResult, Problem, Report, Root, Status,
    Suppression, Unparsed, Waker,
};
pub use tree::{
    Analysis, Sources, Tree, analyse, analyse_all, compare, facts, facts_version, scan,
};
pub use verdict::{Standing, Verdict};
