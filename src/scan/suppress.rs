//! Suppressions: which findings a comment or an entry of `bqlcheck.toml` covers,
//! and which of these are of no use.
//! Must not know: how a finding came about, what a patch does to it.
//!
//! `/* bqlcheck: allow(BQL004): reason */` covers, for that rule,
//! - behind code: what is found on its own line;
//! - directly in front of a function: what is found in that function;
//! - else: what is found on the next line of code.

use super::config::Config;
use super::finding::{Finding, Suppression};
use super::fingerprint::Fingerprints;
use super::ir::{Allow, FileFacts};
use crate::lock::Rule;
use std::ops::RangeInclusive;

/// A scanned file.
#[derive(Clone, Copy)]
pub struct File<'a> {
    /// Below the tree's root, with `/`.
    pub path: &'a str,
    pub facts: &'a FileFacts,
    /// Looked at only if the facts have an `allow`.
    pub text: &'a [u8],
}

/// Marks in `findings`, which are all of one tree, those that are suppressed.
/// Gives every suppression with what it covers. With patches, do this for either
/// tree before they are compared. An entry of `config` whose file is not
/// `looked_at` is not judged.
pub fn suppress(
    findings: &mut [Finding],
    files: &[File<'_>],
    config: &Config,
    looked_at: impl Fn(&str) -> bool,
) -> Vec<Suppression> {
    let mut prints = Fingerprints::default();
    let mut all = Vec::new();
    for file in files {
        for allow in &file.facts.allows {
            all.push(comment(findings, file, allow, &mut prints));
        }
    }
    for allow in &config.allow {
        let is = |wanted: &Option<String>, have: &str| wanted.as_deref().is_none_or(|w| w == have);
        let fits = |finding: &Finding| {
            let place = finding.path == allow.path && is(&allow.function, &finding.function);
            finding.rule == allow.rule && place && is(&allow.fingerprint, &finding.fingerprint)
        };
        let covers = cover(findings, &allow.reason, fits);
        let unused = covers.is_empty() && looked_at(&allow.path);
        let function = allow.function.as_deref().unwrap_or_default();
        let rule = allow.rule.code();
        all.push(Suppression {
            path: config.file.clone(),
            line: allow.line,
            rule: rule.into(),
            reason: allow.reason.clone(),
            fingerprint: prints.of(&["suppression", &config.file, rule, &allow.path, function]),
            fault: unused.then(|| "covers no finding".into()),
            covers,
        });
    }
    all.sort();
    all
}

/// Suppresses what `fits`; gives the fingerprints. What is suppressed already
/// keeps its reason, and is covered all the same.
fn cover(findings: &mut [Finding], reason: &str, fits: impl Fn(&Finding) -> bool) -> Vec<String> {
    let mut covers = Vec::new();
    for finding in findings.iter_mut().filter(|finding| fits(finding)) {
        finding.suppressed.get_or_insert_with(|| reason.into());
        covers.push(finding.fingerprint.clone());
    }
    covers
}

/// What the comment `allow` does.
fn comment(
    findings: &mut [Finding],
    file: &File<'_>,
    allow: &Allow,
    prints: &mut Fingerprints,
) -> Suppression {
    let mut suppression = Suppression {
        path: file.path.into(),
        line: allow.line,
        rule: allow.rule.clone(),
        reason: allow.reason.clone(),
        fingerprint: prints.of(&["suppression", file.path, &allow.rule]),
        covers: Vec::new(),
        fault: None,
    };
    let Some(rule) = Rule::from_code(&allow.rule) else {
        suppression.fault = Some(format!("names no rule: \"{}\"", allow.rule));
        return suppression;
    };
    if allow.reason.trim().is_empty() {
        suppression.fault = Some("gives no reason, and so covers nothing".into());
        return suppression;
    }
    let Some(lines) = reach(file, allow.line) else {
        suppression.fault = Some("has no code behind it".into());
        return suppression;
    };
    suppression.covers = cover(findings, &allow.reason, |finding| {
        finding.rule == rule && finding.path == file.path && lines.contains(&finding.line)
    });
    if suppression.covers.is_empty() && understood(file.facts, *lines.start()) {
        suppression.fault = Some("covers no finding".into());
    }
    suppression
}

/// Whether what stands at `line` parsed clean: else there could be no finding.
fn understood(facts: &FileFacts, line: u32) -> bool {
    let functions = facts.functions.iter();
    if functions.clone().any(|function| (function.line..=function.end_line).contains(&line)) {
        return true;
    }
    // The name of a function stands up to two lines below its beginning.
    let last = |lines: &mut dyn Iterator<Item = u32>| {
        lines.filter(|at| *at <= line.saturating_add(2)).max()
    };
    let function = last(&mut functions.map(|function| function.line));
    last(&mut facts.unparsed.iter().map(|(_, at)| *at)) <= function
}

/// The lines that the comment at `line` speaks of; none if there is no code
/// behind it.
fn reach(file: &File<'_>, line: u32) -> Option<RangeInclusive<u32>> {
    let start = start_of(file.text, line)?;
    let rest = &file.text[start..];
    let marker = find(rest, b"bqlcheck:")?;
    let own = line + count(&rest[..marker]);
    let begin = rest[..marker].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    // A comment of several lines opens above its marker: no code is before it.
    let head = &rest[begin..marker];
    let opener = head.windows(2).position(|two| matches!(two, b"/*" | b"//"));
    if opener.is_some_and(|at| head[..at].iter().any(|byte| !blank(*byte))) {
        return Some(own..=own);
    }
    let to_line_end = opener.is_some_and(|at| head[at..].starts_with(b"//"));
    let ends: &[u8] = if to_line_end { b"\n" } else { b"*/" };
    let end = marker + find(&rest[marker..], ends)? + ends.len();
    let code = end + skip_comments(&rest[end..])?;
    let next = line + count(&rest[..code]);
    let mut functions = file.facts.functions.iter();
    if functions.any(|function| (function.line..=function.end_line).contains(&line)) {
        return Some(next..=next);
    }
    let after = file.facts.functions.iter().filter(|function| function.line >= next);
    let heads = after.min_by_key(|function| function.line).filter(|function| {
        // Nothing but the rest of its own head stands between.
        let name = start_of(file.text, function.line).unwrap_or(file.text.len());
        !file.text[start + code..name.max(start + code)].iter().any(|byte| b";}#".contains(byte))
    });
    Some(heads.map_or(next..=next, |function| next..=function.end_line.max(next)))
}

fn blank(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|part| part == what)
}

/// How many lines end in `text`.
fn count(text: &[u8]) -> u32 {
    text.iter().filter(|byte| **byte == b'\n').count() as u32
}

/// Where the 1-based `line` begins.
fn start_of(text: &[u8], line: u32) -> Option<usize> {
    let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let start = std::iter::once(0).chain(ends).nth(line.checked_sub(1)? as usize);
    start.filter(|start| *start < text.len())
}

/// Where code begins behind blanks and comments.
fn skip_comments(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += text[at..].iter().position(|byte| !blank(*byte))?;
        let end: &[u8] = match &text[at..] {
            [b'/', b'*', ..] => b"*/",
            [b'/', b'/', ..] => b"\n",
            _ => return Some(at),
        };
        at += 2 + find(&text[at + 2..], end)? + end.len();
    }
}
