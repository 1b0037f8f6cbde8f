//! The scan: which call paths of a real QEMU tree break a lock contract, and
//! what a patch adds and removes. Bytes to findings.
//! Must not know: files and directories, how a finding is shown.

mod apply;
mod diff_text;
pub mod finding;
pub mod ir;
pub mod mbox;
mod overlay;
pub mod patch;
mod patch_error;

pub use finding::{
    Change, Contract, Finding, Frame, Grade, PatchResult, Problem, Report, Root, Status, Unparsed,
    Waker,
};
