//! `--format sarif`: SARIF 2.1.0, with the call path as a code flow that viewers
//! step through.
//! Must not know: how SARIF is spelt.

use super::clean::clean;
use super::help::help;
use super::sarif_model::{
    Artifact, CodeFlow, Descriptor, Driver, Fingerprints, Invocation, Location, Log, Logical,
    Notification, Physical, Properties, Region, Run, SarifResult, Step, Suppression, Text,
    ThreadFlow, Tool,
};
use super::shown::{Shown, root, waker};
use crate::lock::Rule;
use crate::report::json::pretty;
use crate::scan::config;
use crate::scan::{Finding, Frame, Grade, Report, Status};

/// The rule of suppressions that are of no use; last of the rules.
const SUPPRESSION: &str = "suppression";

/// All of it.
pub fn render(shown: &Shown<'_>) -> String {
    let results = shown.data().map(|found| result(shown, found));
    let faults = shown.faults().map(|(useless, fault)| SarifResult {
        rule_id: SUPPRESSION.into(),
        rule_index: Rule::ALL.len(),
        level: "warning",
        message: Text { text: fault },
        locations: [location(&useless.path, useless.line, None, None)],
        partial_fingerprints: Fingerprints { first: useless.fingerprint.clone() },
        code_flows: Vec::new(),
        related_locations: Vec::new(),
        baseline_state: None,
        suppressions: Vec::new(),
        properties: Properties { contract: None, root: None },
    });
    let driver =
        Driver { name: "bqlcheck", version: env!("CARGO_PKG_VERSION"), rules: descriptors() };
    pretty(&Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run {
            tool: Tool { driver },
            column_kind: "unicodeCodePoints",
            invocations: [invocation(shown)],
            results: results.chain(faults).collect(),
        }],
    })
}

/// The rules, by code.
fn descriptors() -> Vec<Descriptor> {
    let text = |text: &str| Some(Text { text: text.replace('\n', " ") });
    let rule = |rule: Rule| Descriptor {
        id: rule.code().into(),
        short_description: text(rule.title()),
        full_description: text(rule.explanation().why),
        help: text(&format!("bqlcheck explain {rule}")),
    };
    let suppression = Descriptor {
        id: SUPPRESSION.into(),
        short_description: text("a suppression that covers nothing, or says not why"),
        full_description: None,
        help: None,
    };
    Rule::ALL.into_iter().map(rule).chain([suppression]).collect()
}

/// How it went, and what was not read.
fn invocation(shown: &Shown<'_>) -> Invocation {
    let report = shown.report;
    let notification = |path: &str, line: u32, text: String| Notification {
        level: "warning",
        message: Text { text },
        locations: vec![location(path, line, None, None)],
    };
    let problems = report.problems.iter().map(|problem| {
        notification(&problem.path, problem.line, clean(&problem.message).into_owned())
    });
    let unparsed = report.functions_unparsed.iter().map(|one| {
        let text = format!("{} was not understood: not checked", clean(&one.name()));
        notification(&one.path, one.line, text)
    });
    Invocation {
        execution_successful: true,
        exit_code: report.verdict().exit(),
        tool_execution_notifications: problems.chain(unparsed).collect(),
    }
}

/// A finding.
fn result(shown: &Shown<'_>, finding: &Finding) -> SarifResult {
    let report = shown.report;
    let column = (finding.column > 0)
        .then(|| shown.lines.letters(&finding.path, finding.line, finding.column));
    let wakers = finding.wakers.iter();
    let contract = finding.contract.as_ref();
    let mut text = clean(&finding.message).into_owned();
    text += &format!("\nHelp: {}", help(finding, &report.version));
    SarifResult {
        rule_id: finding.rule.code().into(),
        rule_index: Rule::ALL.iter().position(|rule| *rule == finding.rule).unwrap_or_default(),
        level: match finding.grade {
            Grade::Error => "error",
            Grade::Warning => "warning",
            Grade::Note => "note",
        },
        message: Text { text },
        locations: [location(&finding.path, finding.line, column, Some(&finding.function))],
        partial_fingerprints: Fingerprints { first: finding.fingerprint.clone() },
        code_flows: flow(finding).into_iter().collect(),
        related_locations: wakers
            .map(|who| {
                let at = location(&who.path, who.line, None, Some(&who.function));
                Location { message: Some(Text { text: waker(who) }), ..at }
            })
            .collect(),
        baseline_state: state(report, finding),
        suppressions: suppression(report, finding).into_iter().collect(),
        properties: Properties {
            contract: contract.map(|asks| format!("{} ({})", asks.text, asks.source)),
            root: finding.root.as_ref().map(root),
        },
    }
}

/// What a patch or the baseline says of it; nothing where there is neither.
fn state(report: &Report, finding: &Finding) -> Option<&'static str> {
    let known = report.baseline.as_ref();
    match finding.status {
        Status::Fixed => Some("absent"),
        Status::Unchanged => Some("unchanged"),
        _ if known.is_some_and(|known| known.has(&finding.fingerprint)) => Some("unchanged"),
        Status::New => Some("new"),
        Status::Existing => known.map(|_| "new"),
    }
}

/// The suppression that covers it.
fn suppression(report: &Report, finding: &Finding) -> Option<Suppression> {
    let justification = clean(finding.suppressed.as_ref()?).into_owned();
    let covers = |one: &&crate::scan::Suppression| one.covers.contains(&finding.fingerprint);
    // What is not of a source file is of the configuration.
    let external = report.suppressions.iter().find(covers).is_some_and(|one| {
        one.path == config::FILE || one.path.ends_with(&format!("/{}", config::FILE))
    });
    Some(Suppression { kind: if external { "external" } else { "inSource" }, justification })
}

/// The call path as steps of a thread.
fn flow(finding: &Finding) -> Option<CodeFlow> {
    if finding.call_path.is_empty() {
        return None;
    }
    let step = |(nth, frame): (usize, &Frame)| {
        let last = nth + 1 == finding.call_path.len();
        let next = finding.call_path.get(nth + 1);
        let text = match next {
            Some(next) => format!("calls {}()", clean(&next.function)),
            None => clean(&finding.message).into_owned(),
        };
        let mark = if frame.conditional { " (conditional)" } else { "" };
        let at = location(&frame.path, frame.line, None, Some(&frame.function));
        Step {
            location: Location { message: Some(Text { text: text + mark }), ..at },
            nesting_level: nth,
            importance: if last { "essential" } else { "important" },
        }
    };
    let from = finding.root.as_ref();
    Some(CodeFlow {
        thread_flows: [ThreadFlow {
            id: from.map(|root| clean(&root.thread).into_owned()),
            message: from.map(|from| Text { text: root(from) }),
            locations: finding.call_path.iter().enumerate().map(step).collect(),
        }],
    })
}

/// A place in the tree.
fn location(path: &str, line: u32, column: Option<u32>, function: Option<&str>) -> Location {
    let name = |name: &str| Logical { name: clean(name).into_owned(), kind: "function" };
    Location {
        physical_location: Physical {
            artifact_location: Artifact { uri: uri(path), uri_base_id: "%SRCROOT%" },
            region: (line > 0).then_some(Region { start_line: line, start_column: column }),
        },
        logical_locations: function.map(name).into_iter().collect(),
        message: None,
    }
}

/// `path` as a relative reference: only letters that mean themselves there.
fn uri(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                text.push(byte as char);
            }
            _ => text += &format!("%{byte:02X}"),
        }
    }
    text
}
