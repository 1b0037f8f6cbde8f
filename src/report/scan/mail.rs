//! `--format mail`: plain text to reply with on a mailing list. The line of a
//! finding is quoted, what is said of it stands beneath.
//! Must not know: who reads it.

use super::clean::clean;
use super::help::help;
use super::shown::{Shown, frame, grade, place, plural, root};
use super::tables::{changes, hang, patches};
use crate::lock::Rule;
use crate::report::columns::WIDTH;
use crate::report::fold;
use crate::scan::{Finding, Standing};

/// All of it.
pub fn render(shown: &Shown<'_>) -> String {
    let mut parts = vec![fold(0, &shown.closing()), patches(shown)];
    parts.extend(shown.findings().enumerate().map(|(nth, found)| finding(shown, nth + 1, found)));
    let faults = shown.faults().map(|(useless, fault)| {
        fold(0, &format!("{}: {fault}", place(&useless.path, useless.line)))
    });
    parts.push(faults.collect());
    parts.extend([fixed(shown), changes(shown), unread(shown)]);
    let (first, last) = (Rule::ALL[0], Rule::ALL[Rule::ALL.len() - 1]);
    let version = env!("CARGO_PKG_VERSION");
    parts.push(format!("Tested-with: bqlcheck {version} (rules {first} to {last})\n"));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// A finding in full.
fn finding(shown: &Shown<'_>, nth: usize, finding: &Finding) -> String {
    let mut text = String::new();
    if let Some((line, _)) = shown.lines.line(&finding.path, finding.line, finding.column) {
        let line = line.replace('\t', "        ");
        let fits = line.chars().count() + 2 <= WIDTH;
        let cut = || line.trim_start().chars().take(WIDTH - 5).collect::<String>() + "...";
        let short = line.trim_start().chars().count() + 2 <= WIDTH;
        let quoted = if fits {
            line.clone()
        } else if short {
            line.trim_start().into()
        } else {
            cut()
        };
        text += &format!("> {}\n\n", quoted.trim_end());
    }
    let place = place(&finding.path, finding.line);
    let (rule, grade) = (finding.rule, grade(finding.grade));
    let standing = match shown.report.standing(finding) {
        Standing::Counted | Standing::Fixed => "",
        Standing::Unchanged => ", unchanged",
        Standing::Known => ", in the baseline",
        Standing::Suppressed => ", suppressed",
        Standing::Note => ", not counted",
    };
    let head = format!("[{nth}] {rule} {grade}{standing}: {}", clean(&finding.message));
    text += &fold(0, &head);
    text += &fold(4, &format!("{place} in {}()", clean(&finding.function)));
    finding.root.iter().for_each(|from| text += &fold(4, &root(from)));
    let digits = finding.call_path.len().to_string().len();
    for (nth, at) in finding.call_path.iter().enumerate() {
        let head = format!("    {:>digits$}. ", nth + 1);
        text += &hang(&head, head.len(), &frame(at));
    }
    shown.wakers(finding).iter().for_each(|who| text += &fold(4, who));
    finding.notes.iter().for_each(|note| text += &fold(4, &clean(note)));
    if let Some(contract) = &finding.contract {
        let (says, source) = (clean(&contract.text), clean(&contract.source));
        text += &fold(4, &format!("contract: {says} ({source})"));
    }
    if let Some(reason) = &finding.suppressed {
        text += &fold(4, &format!("reason: {}", clean(reason)));
    }
    text + &fold(4, &format!("help: {}", help(finding, &shown.report.version)))
}

/// What the patches fix.
fn fixed(shown: &Shown<'_>) -> String {
    let rows: String = shown
        .fixed()
        .map(|finding| {
            let place = place(&finding.path, finding.line);
            let text =
                format!("{}, {place} {}()", clean(&finding.message), clean(&finding.function));
            hang(&format!("  {}  ", finding.rule), 10, &text)
        })
        .collect();
    if rows.is_empty() { rows } else { format!("Fixed:\n{rows}") }
}

/// What was not read: whoever answers must know.
fn unread(shown: &Shown<'_>) -> String {
    let problems = &shown.report.problems;
    let row = |problem: &crate::scan::Problem| {
        let place = place(&problem.path, problem.line);
        fold(2, &format!("{place}: {}", clean(&problem.message)))
    };
    match problems.len() {
        0 => String::new(),
        count => format!(
            "{}:\n{}",
            plural(count, "problem"),
            problems.iter().map(row).collect::<String>()
        ),
    }
}
