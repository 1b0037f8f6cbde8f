//! The scan: which call paths of a real QEMU tree break a lock contract, and
//! what a patch adds and removes. Bytes to findings.
//! Must not know: files and directories, how a finding is shown.

mod contexts;
mod apply;
mod diff_text;
pub mod finding;
mod flow;
mod hooks;
pub mod ir;
mod judge;
mod local;
mod lower;
mod map;
pub mod mask;
mod order;
pub mod parse;
mod place;
mod program;
mod qapi;
mod resolve;
mod summary;
mod tables;
mod tree;
mod wakers;
pub mod mbox;
mod overlay;
pub mod patch;
mod patch_error;

pub use finding::{
    Change, Contract, Finding, Frame, Grade, PatchResult, Problem, Report, Root, Status, Unparsed,
    Waker,
};
pub use tree::{Analysis, Sources, Tree, analyse, facts, scan};
