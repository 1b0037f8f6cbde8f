//! `--format text`: the matrix, one cell in full, a rule's page.
//! Must not know: what an engine does, or where the text goes.

use super::cell::{Agreement, Cell};
use super::columns::{WIDTH, wrap};
use super::finding::Finding;
use super::timeline::timeline;
use crate::lock::Rule;
use crate::sim::{Expectation, Plan, Scenario, Size, Verdict};
use std::fmt::Write;

/// A verdict's name.
fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Clean => "clean",
        Verdict::Violated => "violated",
        Verdict::Inconclusive => "inconclusive",
    }
}

/// `BQL005,6,7` for several rules; `-` for none.
fn codes(rules: &[Rule]) -> String {
    let mut text = String::new();
    for rule in rules {
        match text.is_empty() {
            true => text.push_str(rule.code()),
            false => {
                let _ = write!(text, ",{}", rule.code()[3..].trim_start_matches('0'));
            }
        }
    }
    if text.is_empty() { "-".into() } else { text }
}

/// 1234 as `1234`, 87654 as `88k`, 5000000 as `5.0M`: five letters at most.
fn short(number: u64) -> String {
    match number {
        0..=9_999 => number.to_string(),
        10_000..=999_499 => format!("{}k", (number + 500) / 1000),
        999_500..=99_949_999 => format!("{:.1}M", number as f64 / 1e6),
        _ => format!("{:.0}M", number as f64 / 1e6),
    }
}

/// Milliseconds as `0.03 s`.
fn seconds(ms: u64) -> String {
    format!("{:.2} s", ms as f64 / 1000.0)
}

/// What a declared result looks like in a sentence.
fn declaration(declared: &Expectation) -> String {
    match declared.rules.as_slice() {
        [] => verdict(declared.verdict).into(),
        rules => format!("{} {}", verdict(declared.verdict), codes(rules)),
    }
}

/// `text` at `indent`, folded, each row with a line end.
pub fn fold(indent: usize, text: &str) -> String {
    let rows = wrap(text, WIDTH - indent);
    rows.into_iter().map(|row| format!("{:indent$}{row}\n", "")).collect()
}

/// The matrix: the cells of each plan under a heading, then how many of them
/// are as declared. `about` says what a plan is; `skipped` what was left out.
pub fn matrix(
    cells: &[Cell],
    about: impl Fn(&str) -> String,
    skipped: &[String],
    wall_ms: u64,
) -> String {
    let wide = cells.iter().map(|cell| cell.scenario.len()).max().unwrap_or(0).max(8);
    let rules = cells.iter().map(|cell| codes(&cell.rules()).len()).max().unwrap_or(0).max(5);
    let mut text = format!(
        "  {:wide$} {:12} {:rules$} {:>3} {:>5} {:>5} {:>6}\n",
        "scenario", "verdict", "rules", "thr", "state", "execs", "time"
    );
    for plan in cells.chunk_by(|a, b| a.plan == b.plan) {
        text += "\n";
        text += &fold(0, &format!("{}: {}", plan[0].plan, about(&plan[0].plan)));
        for cell in plan {
            let mark = if cell.agreement() == Agreement::Differs { '!' } else { ' ' };
            let _ = writeln!(
                text,
                "{mark} {:wide$} {:12} {:rules$} {:>3} {:>5} {:>5} {:>6}",
                cell.scenario,
                verdict(cell.verdict),
                codes(&cell.rules()),
                cell.threads,
                short(cell.states),
                short(cell.executions),
                format!("{:.2}s", cell.wall_ms as f64 / 1000.0),
            );
            text += &remarks(cell);
        }
    }
    text += &totals(cells, skipped, wall_ms);
    text
}

/// The rows under a cell: what was broken, why it is not complete, what was
/// declared instead.
fn remarks(cell: &Cell) -> String {
    let mut text = String::new();
    for rule in cell.rules() {
        let first = cell.violations.iter().find(|finding| finding.rule == rule);
        let message = first.map_or("", |finding| finding.message.as_str());
        text += &fold(6, &format!("{rule} {message}"));
    }
    if let Some(reason) = &cell.reason {
        text += &fold(6, reason);
    }
    if let (Agreement::Differs, Some(declared)) = (cell.agreement(), &cell.declared) {
        text += &fold(6, &format!("declared: {}", declaration(declared)));
    }
    text
}

fn totals(cells: &[Cell], skipped: &[String], wall_ms: u64) -> String {
    let mut text = String::from("\n");
    skipped.iter().for_each(|reason| text += &fold(0, &format!("left out: {reason}")));
    let count = |wanted| cells.iter().filter(|cell| cell.agreement() == wanted).count();
    let mut parts = vec![format!("{} as declared", count(Agreement::AsDeclared))];
    for (agreement, what) in [
        (Agreement::Differs, "not as declared (!)"),
        (Agreement::NotContradicted, "not complete, nothing undeclared found"),
        (Agreement::Undeclared, "without a declared verdict"),
    ] {
        if count(agreement) > 0 {
            parts.push(format!("{} {what}", count(agreement)));
        }
    }
    let line = format!("{} cells: {}; {}", cells.len(), parts.join(", "), seconds(wall_ms));
    text += &fold(0, &line);
    text += "To see a schedule: bqlcheck explore --plan PLAN --scenario SCENARIO\n";
    text
}

/// One cell in full, with a chart of the first violation of each rule.
pub fn cell(cell: &Cell, plan: &Plan, scenario: &Scenario, size: &Size) -> String {
    let agreement = match (cell.agreement(), &cell.declared) {
        (Agreement::AsDeclared, _) => " (as declared)".into(),
        (Agreement::NotContradicted, Some(declared)) => {
            format!(" (declared: {}; nothing found contradicts it)", declaration(declared))
        }
        (Agreement::Differs, Some(declared)) => {
            format!(" (not as declared: {})", declaration(declared))
        }
        _ => String::new(),
    };
    let mut text = fold(
        0,
        &format!("{} in {}: {}{agreement}", cell.plan, cell.scenario, verdict(cell.verdict)),
    );
    text += &fold(2, &format!("plan: {}", plan.about));
    text += &fold(2, &format!("scenario: {}", scenario.about));
    text += &fold(2, &extent(cell, size));
    if let Some(reason) = &cell.reason {
        text += &fold(2, &format!("not complete: {reason}"));
    }
    for (name, (least, most)) in &cell.facts {
        let range = if least == most { least.to_string() } else { format!("{least} to {most}") };
        text += &fold(2, &format!("{}: {range}", name.replace('_', " ")));
    }
    let mut drawn: Vec<Rule> = Vec::new();
    for finding in &cell.violations {
        let first = !drawn.contains(&finding.rule);
        drawn.push(finding.rule);
        text += &violation(finding, first);
    }
    text
}

/// How much was explored.
fn extent(cell: &Cell, size: &Size) -> String {
    let plural = |number: u64, what: &str| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    format!(
        "engine {}, size {}: {}, {}, {}; {} {}{} in {}",
        cell.engine,
        cell.size,
        plural(cell.threads as u64, "thread"),
        plural(u64::from(size.vcpus), "vCPU"),
        plural(u64::from(size.pages), "page"),
        if cell.complete { "complete:" } else { "saw" },
        // Engines that keep no states say 0.
        if cell.states > 0 { plural(cell.states, "state") + ", " } else { String::new() },
        plural(cell.executions, "execution"),
        seconds(cell.wall_ms),
    )
}

/// A violation: what it is and, where `draw`n, how it comes about.
pub fn violation(finding: &Finding, draw: bool) -> String {
    let mut text = format!("\n{}: {}\n", finding.rule, finding.rule.title());
    text += &fold(2, &finding.message);
    match &finding.recording {
        Some(recording) if draw => {
            let steps = finding.schedule.len();
            let switches = finding.switches;
            text += &format!("  {steps} steps, {switches} switches between threads\n\n");
            text += &timeline(recording);
        }
        Some(_) => text += "  (its schedule is in the file that --out writes)\n",
        None => text += "  (no schedule is known)\n",
    }
    text
}

/// What `bqlcheck explain` prints.
pub fn explanation(rule: Rule) -> String {
    let page = rule.explanation();
    let code = |text: &str| -> String {
        text.lines().map(|line| format!("  {line}").trim_end().to_string() + "\n").collect()
    };
    format!(
        "{rule}: {}\n\n{}\n\nBad:\n\n{}\nGood:\n\n{}\nFixed in QEMU:\n\n{}\n",
        page.title,
        page.why,
        code(page.bad),
        code(page.good),
        page.fixed,
    )
}
