//! `--format concise`: a line a finding, `path:line:column: error[BQL001] …`, as
//! editors read it.
//! Must not know: call paths.

use super::clean::clean;
use super::shown::{Shown, grade};
use std::fmt::Write;

/// All of it.
pub fn render(shown: &Shown<'_>) -> String {
    let mut text = String::new();
    let mut line = |path: &str, line: u32, column: u32, what: &str| {
        let (line, column) = (line.max(1), column.max(1));
        let _ = writeln!(text, "{}:{line}:{column}: {what}", clean(path));
    };
    for finding in shown.findings() {
        let (rule, message) = (finding.rule, clean(&finding.message));
        let what = format!("{}[{rule}] {message}", grade(finding.grade));
        line(&finding.path, finding.line, finding.column, &what);
    }
    for (suppression, fault) in shown.faults() {
        line(&suppression.path, suppression.line, 1, &format!("warning[suppression] {fault}"));
    }
    for problem in &shown.report.problems {
        line(&problem.path, problem.line, 1, &format!("problem: {}", clean(&problem.message)));
    }
    text + &shown.closing() + "\n"
}
