//! `--format text`: each finding in the look of rustc, tables, a closing line.
//! Must not know: how the look is made.

use super::clean::clean;
use super::help::help;
use super::shown::{Shown, frame, place, plural, root};
use super::tables::{changes, hang, patches};
use crate::report::columns::{WIDTH, wrap};
use crate::report::fold;
use crate::report::snippet::{Gravity, Message, indent, snippet, title_indent};
use crate::scan::{Finding, Grade, Status, Suppression};

/// How many functions that were not understood are named without `--all`.
const NAMED: usize = 10;

/// All of it.
pub fn render(shown: &Shown<'_>, colour: bool) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(shown.findings().map(|found| finding(shown, found, colour)));
    parts.extend(shown.faults().map(|(useless, fault)| faulty(shown, useless, &fault, colour)));
    parts.extend([fixed(shown), changes(shown), patches(shown)]);
    parts.extend([suppressions(shown), baseline(shown), unread(shown)]);
    parts.push(fold(0, &shown.closing()));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// A finding in full.
fn finding(shown: &Shown<'_>, finding: &Finding, colour: bool) -> String {
    let mut notes: Vec<(&'static str, String)> = Vec::new();
    let mut note = |name: &'static str, text: String| {
        notes.push((name, aligned(&text, indent(name, finding.line))));
    };
    finding.root.iter().for_each(|from| note("note", root(from)));
    for (nth, at) in finding.call_path.iter().enumerate() {
        note("note", format!("{}. {}", nth + 1, frame(at)));
    }
    shown.wakers(finding).into_iter().for_each(|who| note("note", who));
    finding.notes.iter().for_each(|text| note("note", clean(text).into_owned()));
    if let Some(contract) = &finding.contract {
        let (text, source) = (clean(&contract.text), clean(&contract.source));
        note("note", format!("contract: {text} ({source})"));
    }
    if let Some(reason) = &finding.suppressed {
        note("note", format!("suppressed: {}", clean(reason)));
    }
    if shown.report.baseline.as_ref().is_some_and(|known| known.has(&finding.fingerprint)) {
        note("note", "the baseline has it".into());
    }
    match finding.status {
        Status::Existing => {}
        Status::New => note("note", "the patches add it".into()),
        Status::Unchanged => note("note", "it was there before the patches".into()),
        Status::Fixed => note("note", "the patches remove it".into()),
    }
    note("help", help(finding, &shown.report.version));
    note("explain", format!("bqlcheck explain {}", finding.rule));
    note("fingerprint", finding.fingerprint.clone());
    let line = shown.lines.line(&finding.path, finding.line, finding.column);
    message(
        &Message {
            gravity: match finding.grade {
                Grade::Error => Gravity::Error,
                Grade::Warning => Gravity::Warning,
                Grade::Note => Gravity::Note,
            },
            code: finding.rule.code(),
            title: &clean(&finding.message),
            path: &clean(&finding.path),
            line: finding.line,
            source: line.as_ref().map(|(text, span)| (text.as_str(), span.clone())),
            notes: &notes,
        },
        colour,
    )
}

/// `text` in rows that fit at `indent`; the snippet aligns them.
fn aligned(text: &str, indent: usize) -> String {
    let rows = wrap(text, WIDTH - indent);
    rows.iter().map(|row| row.trim_start()).collect::<Vec<_>>().join("\n")
}

/// `said` with its title folded.
fn message(said: &Message<'_>, colour: bool) -> String {
    let title = aligned(said.title, title_indent(said.gravity, said.code));
    let said = Message { title: &title, notes: said.notes, source: said.source.clone(), ..*said };
    snippet(&said, colour)
}

/// A suppression that is of no use.
fn faulty(shown: &Shown<'_>, useless: &Suppression, fault: &str, colour: bool) -> String {
    let line = shown.lines.line(&useless.path, useless.line, 0);
    let mut notes = Vec::new();
    if !useless.reason.is_empty() {
        let reason = format!("its reason: {}", clean(&useless.reason));
        notes.push(("note", aligned(&reason, indent("note", useless.line))));
    }
    message(
        &Message {
            gravity: Gravity::Warning,
            code: "suppression",
            title: fault,
            path: &clean(&useless.path),
            line: useless.line,
            source: line.as_ref().map(|(text, span)| (text.as_str(), span.clone())),
            notes: &notes,
        },
        colour,
    )
}

/// What the patches fix, a line or two each.
fn fixed(shown: &Shown<'_>) -> String {
    let rows = shown.fixed().map(|finding| {
        let place = place(&finding.path, finding.line);
        let thread = finding.root.as_ref().map(|root| format!(" ({})", clean(&root.thread)));
        let (message, thread) = (clean(&finding.message), thread.unwrap_or_default());
        let text = format!("{place} {}(): {message}{thread}", clean(&finding.function));
        hang(&format!("  {}  ", finding.rule), 10, &text)
    });
    headed("Fixed by the patches, as they stood before:", rows.collect())
}

/// `rows` under a heading; nothing if there are none.
fn headed(heading: &str, rows: String) -> String {
    if rows.is_empty() { rows } else { format!("{heading}\n{rows}") }
}

/// The suppressions that are of use.
fn suppressions(shown: &Shown<'_>) -> String {
    let used = shown.report.suppressions.iter().filter(|one| one.fault.is_none());
    let rows = used.filter(|one| !one.covers.is_empty()).map(|one| {
        let (place, reason) = (place(&one.path, one.line), clean(&one.reason));
        let count = plural(one.covers.len(), "finding");
        hang(&format!("  {}  ", clean(&one.rule)), 10, &format!("{place}: {reason} ({count})"))
    });
    headed("Suppressed:", rows.collect())
}

/// What the baseline has that is not there any more.
fn baseline(shown: &Shown<'_>) -> String {
    let gone = shown.report.baseline.iter().flat_map(|known| &known.gone);
    let rows = gone.map(|entry| {
        let (path, function) = (clean(&entry.path), clean(&entry.function));
        let text = format!("{path} {function}() {}", clean(&entry.fingerprint));
        hang(&format!("  {}  ", entry.rule), 10, &text)
    });
    headed("In the baseline, but gone (--baseline-update drops them):", rows.collect())
}

/// What was not read, and what was not understood.
fn unread(shown: &Shown<'_>) -> String {
    let report = shown.report;
    let problems = report
        .problems
        .iter()
        .map(|problem| {
            let place = place(&problem.path, problem.line);
            fold(2, &format!("{place}: {}", clean(&problem.message)))
        })
        .collect();
    let mut parts = vec![headed("Problems:", problems)];
    let count = report.functions_unparsed.len();
    let named = if shown.all { count } else { count.min(NAMED) };
    let mut rows: String = report.functions_unparsed[..named]
        .iter()
        .map(|one| fold(2, &format!("{} {}", clean(&one.name()), place(&one.path, one.line))))
        .collect();
    if named < count {
        rows += &format!("  and {} more; --all names them\n", count - named);
    }
    parts.push(headed("Not understood, so nothing in them was checked:", rows));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}
