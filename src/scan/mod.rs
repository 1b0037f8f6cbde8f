//! The scan: which call paths of a real QEMU tree break a lock contract, and
//! what a patch adds and removes. Bytes to findings.
//! Must not know: files and directories, how a finding is shown.

pub mod baseline;
pub mod config;
pub mod finding;
pub mod fingerprint;
pub mod ir;
pub mod suppress;
mod verdict;

pub use finding::{
    Change, Contract, Finding, Frame, Grade, PatchResult, Problem, Report, Root, Status,
    Suppression, Unparsed, Waker,
};
pub use verdict::{Standing, Verdict};
