//! What an exploration came to, in the forms people and programs read.
//! Must not know: how it was explored, or where the report goes.

mod agree;
mod cell;
mod columns;
mod exec;
mod finding;
mod json;
mod outcomes;
mod qemu_log;
mod qemu_log_destination;
mod recording;
pub mod scan;
mod snippet;
mod text;
mod timeline;
mod trace;
mod trace_html;
mod trace_perfetto;
mod trace_splat;

pub use crate::memory::peak_rss_kib;
pub use agree::{Agreed, agreed};
pub use cell::{Agreement, Cell, verdict};
pub use columns::WIDTH;
pub use exec::{Run, text as exec_text};
pub use finding::{Finding, Step, Wait};
pub use json::{line, matrix as json_matrix, pretty};
pub use outcomes::{Allowed, allowed};
pub use qemu_log::{QemuLogs, qemu_logs};
pub use recording::{Line, Link, Recording};
pub use text::{cell, explanation, fold, matrix, violation};
pub use timeline::timeline;
pub use trace::trace;
pub use trace_html::trace_html;
pub use trace_perfetto::trace_perfetto;
