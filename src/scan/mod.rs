//! The scan: which call paths of a real QEMU tree break a lock contract, and
//! what a patch adds and removes. Bytes to findings.
//! Must not know: files and directories, how a finding is shown.

pub mod finding;
pub mod ir;
pub mod mask;
pub mod parse;

pub use finding::{
    Change, Contract, Finding, Frame, Grade, PatchResult, Problem, Report, Root, Status, Unparsed,
    Waker,
};
