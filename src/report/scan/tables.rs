//! Tables behind the findings, for text and mail: what a series does, patch by
//! patch, and calls whose lock state it changes.
//! Must not know: what is in front of them.

use super::clean::clean;
use super::shown::{Shown, place, plural};
use crate::report::columns::{WIDTH, wrap};
use crate::report::fold;
use crate::scan::{Finding, Grade, PatchResult, Standing, Status};
use std::collections::{BTreeMap, HashMap};

/// `text` folded behind `head`, which takes `width`; ends lines. A head that is
/// wider is folded with it.
pub fn hang(head: &str, width: usize, text: &str) -> String {
    if head.chars().count() > width || width > WIDTH / 2 {
        return fold(2, &format!("{head} {text}"));
    }
    let rows = wrap(text, WIDTH - width);
    let head = |nth| if nth == 0 { head } else { "" };
    let row = |(nth, row): (usize, &String)| format!("{:width$}{row}\n", head(nth));
    rows.iter().enumerate().map(row).collect()
}

/// Calls whose lock state the patches change; no text if there are none.
pub fn changes(shown: &Shown<'_>) -> String {
    let changes = &shown.report.changes;
    if changes.is_empty() {
        return String::new();
    }
    let before = |text: &str| clean(text).chars().count();
    let widest =
        |least: usize, sizes: &mut dyn Iterator<Item = usize>| sizes.fold(least, usize::max);
    let first = widest(6, &mut changes.iter().map(|change| before(&change.before)));
    let second = widest(5, &mut changes.iter().map(|change| before(&change.after)));
    let row = |a: &str, b: &str| format!("  {a:first$}  {b:second$}  ");
    let mut text = String::from("BQL at calls, changed by the patches:\n");
    text += &hang(&row("before", "after"), first + second + 6, "call");
    for change in changes {
        let head = row(&clean(&change.before), &clean(&change.after));
        let call = format!("{}() in {}()", clean(&change.callee), clean(&change.caller));
        let where_ = format!("{}, {}", clean(&change.thread), place(&change.path, change.line));
        text += &hang(&head, first + second + 6, &call);
        text += &hang("", first + second + 6, &where_);
    }
    text
}

/// What each patch adds and removes, and the series as a whole; no text without
/// patches.
pub fn patches(shown: &Shown<'_>) -> String {
    let patches = &shown.report.patches;
    if patches.is_empty() {
        return String::new();
    }
    let findings: HashMap<&str, &Finding> = shown
        .report
        .findings
        .iter()
        .map(|finding| (finding.fingerprint.as_str(), finding))
        .collect();
    let mut text = String::from("What the patches add and remove:\n");
    for patch in patches {
        text += &fold(2, &clean(&patch.subject));
        if let Some(id) = &patch.message_id {
            text += &fold(4, &format!("Message-ID: {}", clean(id)));
        }
        text += &fold(4, &balance(shown, patch, &findings));
    }
    if patches.len() > 1 {
        let new = shown.report.counted().filter(|finding| finding.status == Status::New);
        let new = codes('+', new);
        let of_old = |finding: &&Finding| shown.report.standing(finding) == Standing::Fixed;
        let fixed = codes('-', shown.report.findings.iter().filter(of_old));
        let parts: Vec<String> = new.into_iter().chain(fixed).collect();
        let sum = if parts.is_empty() { "no change".into() } else { parts.join(", ") };
        text += &fold(2, &format!("the whole series: {sum}"));
    }
    text
}

/// `+1 BQL005, -2 BQL001`.
fn codes<'a>(sign: char, findings: impl Iterator<Item = &'a Finding>) -> Vec<String> {
    let mut counts = BTreeMap::new();
    findings.for_each(|finding| *counts.entry(finding.rule).or_insert(0) += 1);
    counts.into_iter().map(|(rule, count)| format!("{sign}{count} {rule}")).collect()
}

/// What one patch adds and removes.
fn balance(shown: &Shown<'_>, patch: &PatchResult, findings: &HashMap<&str, &Finding>) -> String {
    let mut parts = Vec::new();
    // What comes and goes within the series is no finding of the whole.
    for (sign, prints, passing) in [
        ('+', &patch.new, "removed again by a later patch"),
        ('-', &patch.fixed, "added by an earlier patch"),
    ] {
        let there = prints.iter().filter_map(|print| findings.get(print.as_str()).copied());
        let count = |finding: &&Finding| {
            let quiet = finding.suppressed.is_some() || finding.grade == Grade::Note;
            shown.all || !quiet
        };
        parts.extend(codes(sign, there.filter(count)));
        match prints.iter().filter(|print| !findings.contains_key(print.as_str())).count() {
            0 => {}
            passes => parts.push(format!("{sign}{passes} {passing}")),
        }
    }
    if parts.is_empty() {
        parts.push("nothing added or removed".into());
    }
    if patch.unchanged > 0 {
        parts.push(format!("{} unchanged", plural(patch.unchanged, "finding")));
    }
    parts.join(", ")
}
