//! stub
use crate::trace::{Report, Timeline};
/// stub
pub fn trace_html(_logs: &[Timeline], _report: &Report) -> String {
    String::new()
}
