//! The lock discipline of a real run, from the log that QEMU's trace events leave:
//! who held the BQL, where, for how long, and who waited.
//! Must not know: where the bytes come from, or how a report looks.

pub mod conform;
mod dialect;
mod discipline;
mod durations;
mod findings;
mod handler;
mod holds;
mod intern;
mod lines;
mod mutex;
mod problem;
mod report;
mod run;
mod site;
mod span;
mod tables;
mod thread;

pub use dialect::OPTIONS;
pub use findings::time;
pub use report::{
    Cycle, Finding, HandlerRow, Held, Hold, Inside, Log, Milestone, Problem, Report, Row, Thread,
    WaitingThread,
};
pub use run::{Options, Refusal, Run, Window};
pub use span::{Kind, Observer, Recorder, Span, Timeline};
pub use tables::timeline;
