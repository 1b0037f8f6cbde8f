//! `--format gitlab`: GitLab's code quality report. It cannot say that a finding
//! is suppressed or known: only what counts is in it, with `--all` the rest.
//! Must not know: call paths.

use super::clean::clean;
use super::shown::Shown;
use crate::report::json::pretty;
use crate::scan::Grade;
use serde::Serialize;
use std::collections::HashMap;

#[derive(Serialize)]
struct Issue {
    description: String,
    check_name: String,
    fingerprint: String,
    severity: &'static str,
    location: Location,
}

#[derive(Serialize)]
struct Location {
    path: String,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: u32,
}

/// All of it.
pub fn render(shown: &Shown<'_>) -> String {
    let mut seen = HashMap::new();
    let mut issue = |description, check: &str, print: &str, severity, path: &str, line: u32| {
        // GitLab drops issues whose fingerprint it has seen: make sure of it.
        let nth = seen.entry(print.to_string()).and_modify(|nth| *nth += 1).or_insert(1);
        let fingerprint = if *nth == 1 { print.into() } else { format!("{print}-{nth}") };
        let location = Location { path: path.into(), lines: Lines { begin: line.max(1) } };
        Issue { description, check_name: check.into(), fingerprint, severity, location }
    };
    let mut issues = Vec::new();
    for finding in shown.findings() {
        let severity = match finding.grade {
            Grade::Error => "critical",
            Grade::Warning => "minor",
            Grade::Note => "info",
        };
        let (rule, print) = (finding.rule.code(), &finding.fingerprint);
        let description = format!("{rule}: {}", clean(&finding.message));
        issues.push(issue(description, rule, print, severity, &finding.path, finding.line));
    }
    for (suppression, fault) in shown.faults() {
        let (print, path) = (&suppression.fingerprint, &suppression.path);
        issues.push(issue(fault, "suppression", print, "minor", path, suppression.line));
    }
    pretty(&issues)
}
