//! What of a report is shown, and the words that several forms share.
//! Must not know: the form.

use super::Source;
use super::clean::clean;
use super::lines::Lines;
use crate::scan::{Finding, Frame, Grade, Report, Root, Standing, Suppression, Verdict, Waker};

/// How many of those who could end a wait are named without `--all`.
const WAKERS: usize = 8;

/// A report as it is shown.
pub struct Shown<'a> {
    pub report: &'a Report,
    /// Also what does not count.
    pub all: bool,
    pub lines: Lines<'a>,
}

impl<'a> Shown<'a> {
    /// `report` with its sources.
    pub fn new(report: &'a Report, source: &'a Source<'a>, all: bool) -> Shown<'a> {
        Shown { report, all, lines: Lines::new(source) }
    }

    /// The findings that are there, in the report's order: those that count, with
    /// `--all` the others too. Not those that a patch fixes.
    pub fn findings(&self) -> impl Iterator<Item = &'a Finding> {
        let (report, all) = (self.report, self.all);
        report.findings.iter().filter(move |finding| match report.standing(finding) {
            Standing::Counted => true,
            _ => all && finding.status != crate::scan::Status::Fixed,
        })
    }

    /// The findings that a patch fixes; with `--all` also those that did not
    /// count.
    pub fn fixed(&self) -> impl Iterator<Item = &'a Finding> {
        let (report, all) = (self.report, self.all);
        report.findings.iter().filter(move |finding| {
            let counted = report.standing(finding) == Standing::Fixed;
            counted || (all && finding.status == crate::scan::Status::Fixed)
        })
    }

    /// For programs that keep findings apart themselves: all that are not notes;
    /// with `--all`, those too.
    pub fn data(&self) -> impl Iterator<Item = &'a Finding> {
        let all = self.all;
        self.report.findings.iter().filter(move |finding| all || finding.grade != Grade::Note)
    }

    /// Suppressions that are of no use, with what is wrong.
    pub fn faults(&self) -> impl Iterator<Item = (&'a Suppression, String)> {
        self.report.suppressions.iter().filter_map(|suppression| {
            let fault = suppression.fault.as_ref()?;
            let rule = clean(&suppression.rule);
            Some((suppression, format!("the suppression of {rule} {}", clean(fault))))
        })
    }

    /// Who could end the wait: the first of them, with `--all` every one.
    pub fn wakers(&self, finding: &Finding) -> Vec<String> {
        let most = if self.all { usize::MAX } else { WAKERS };
        let mut rows: Vec<String> = finding.wakers.iter().take(most).map(waker).collect();
        if finding.wakers.len() > most {
            rows.push(format!("and {} more; --all names them", finding.wakers.len() - most));
        }
        rows
    }

    /// The last sentence: the verdict and how much there was.
    pub fn closing(&self) -> String {
        let report = self.report;
        let of = |grade: Grade| report.counted().filter(|finding| finding.grade == grade).count();
        let mut counts = vec![plural(of(Grade::Error), "error")];
        counts.push(plural(of(Grade::Warning), "warning"));
        match self.faults().count() {
            0 => {}
            faults => counts.push(plural(faults, "useless suppression")),
        }
        let mut parts = vec![counts.join(", ")];
        let mut others = Vec::new();
        for (standing, name) in [
            (Standing::Fixed, "fixed"),
            (Standing::Unchanged, "unchanged"),
            (Standing::Known, "in the baseline"),
            (Standing::Suppressed, "suppressed"),
            (Standing::Note, "of grade note"),
        ] {
            let is = |finding: &&Finding| report.standing(finding) == standing;
            match report.findings.iter().filter(is).count() {
                0 => {}
                count => others.push(format!("{count} {name}")),
            }
        }
        if !others.is_empty() {
            parts.push(format!("not counted: {}", others.join(", ")));
        }
        let functions = plural(report.functions, "function");
        parts.push(format!("{}, {functions}", plural(report.files, "file")));
        let verdict = report.verdict();
        let (tree, version) = (clean(&report.tree), clean(&report.version));
        let mut text = format!("{tree} (QEMU {version}): {}: ", verdict.name());
        text += &parts.join("; ");
        text.push('.');
        if let Some(gap) = self.gap() {
            text += &format!(" {gap}");
        }
        text
    }

    /// What was not understood, and what follows from it.
    pub fn gap(&self) -> Option<String> {
        let unparsed = self.report.functions_unparsed.len();
        let problems = self.report.problems.len();
        let mut parts = Vec::new();
        if unparsed > 0 {
            let verb = if unparsed == 1 { "was" } else { "were" };
            parts.push(format!("{} {verb} not understood", plural(unparsed, "function")));
        }
        if problems > 0 {
            parts.push(plural(problems, "problem"));
        }
        match (parts.is_empty(), self.report.verdict()) {
            (true, Verdict::Nothing) => Some("There was no file to scan.".into()),
            (true, _) => None,
            (_, Verdict::Inconclusive) => {
                Some(format!("Not clean, since {}.", parts.join(" and there are ")))
            }
            _ => Some(format!("Incomplete: {}.", parts.join(", "))),
        }
    }
}

/// `1 file`, `2 files`.
pub fn plural(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// A grade's name.
pub fn grade(grade: Grade) -> &'static str {
    match grade {
        Grade::Error => "error",
        Grade::Warning => "warning",
        Grade::Note => "note",
    }
}

/// `path:line`, or the path alone where no line is known.
pub fn place(path: &str, line: u32) -> String {
    match line {
        0 => clean(path).into_owned(),
        _ => format!("{}:{line}", clean(path)),
    }
}

/// `in mig/dst/listen, from postcopy_ram_listen_thread(), BQL not held`.
pub fn root(root: &Root) -> String {
    let (thread, entry, lock) = (clean(&root.thread), clean(&root.entry), clean(&root.lock));
    format!("in {thread}, from {entry}(), entered with the BQL {lock}")
}

/// A frame of a call path.
pub fn frame(frame: &Frame) -> String {
    let mark = if frame.conditional { " (conditional)" } else { "" };
    format!("{}() {}{mark}", clean(&frame.function), place(&frame.path, frame.line))
}

/// Somebody who could end the wait.
pub fn waker(waker: &Waker) -> String {
    let (function, thread) = (clean(&waker.function), clean(&waker.thread));
    let place = place(&waker.path, waker.line);
    let lock = match clean(&waker.lock) {
        lock if lock == "takes it" => "takes the BQL".into(),
        lock => format!("BQL {lock}"),
    };
    format!("woken by {function}() in {thread}, {lock}, {place}")
}
