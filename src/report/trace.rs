//! The report of a log as text: the five lines that matter, then the tables.
//! Must not know: how the log was read.

use super::columns::WIDTH;
use super::text::fold;
use super::trace_splat as splat;
use crate::sim::Verdict;
use crate::trace::{Hold, Report, Row, time};
use std::fmt::Write as _;

/// `report` as text, with at most `top` rows of each table.
pub fn trace(report: &Report, top: usize) -> String {
    let mut text = head(report);
    for finding in &report.findings {
        text += "\n";
        text += &splat::finding(report, finding);
    }
    for outcome in &report.conform {
        text += "\n";
        text += &splat::conform(report, outcome);
    }
    for number in 0..report.logs.len() {
        log(&mut text, report, number, top);
    }
    problems(&mut text, report);
    text
}

/// At most `width` letters of `text`, its end where it is a place.
pub fn short(text: &str, width: usize) -> String {
    let letters = text.chars().count();
    if letters <= width {
        return text.into();
    }
    let end: String = text.chars().skip(letters + 2 - width).collect();
    format!("..{end}")
}

/// The five lines that matter.
fn head(report: &Report) -> String {
    let mut text = String::new();
    let rules: Vec<String> = report.findings.iter().map(|f| f.rule.to_string()).collect();
    let mut rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    rules.dedup();
    let verdict = match report.verdict {
        Verdict::Clean if report.logs.is_empty() => "nothing to check".into(),
        Verdict::Clean => "clean".into(),
        Verdict::Violated if rules.is_empty() => "violated: not a run of the plan".into(),
        Verdict::Violated => format!("violated: {}", rules.join(", ")),
        Verdict::Inconclusive => {
            format!("inconclusive: {}", report.problems.first().map_or("", |p| &p.message))
        }
    };
    text += &fold(0, &format!("verdict: {verdict}"));
    let locks: u64 = report.logs.iter().map(|log| log.lock_events).sum();
    let _ = writeln!(
        text,
        "log: {} lines, {locks} lock operations, {} threads, {} unknown lines",
        report.lines,
        report.threads.len(),
        report.unknown_lines
    );
    let begun = report.longest.iter().filter(|hold| !hold.startup);
    let longest = begun.max_by_key(|hold| hold.held_us).or(report.longest.first());
    text += &match longest {
        Some(hold) => fold(
            0,
            &format!(
                "bql: held longest {} by {} from {}{}",
                time(hold.held_us),
                hold.thread,
                hold.site,
                if hold.startup { ", at start-up" } else { "" }
            ),
        ),
        None => "bql: no hold of it\n".into(),
    };
    text += &fold(0, &format!("waiting: {}", longest.map_or("nobody".into(), waiting)));
    let states = report.logs.iter().map(|log| {
        let side = if log.side.is_empty() { "this side" } else { &log.side };
        let status = log.status.as_deref().unwrap_or("no migration seen");
        format!("{side}: {status}")
    });
    let states: Vec<String> = states.collect();
    text += &fold(0, &format!("state: {}", states.join("; ")));
    text
}

/// Who waited in `hold`, in words.
pub fn waiting(hold: &Hold) -> String {
    let real = hold.waiters.iter().filter(|waiter| waiter.kind != "idle");
    let waiters: Vec<String> = real
        .map(|waiter| {
            let how = if waiter.kind == "condition" { " in a condition" } else { "" };
            format!("{} {}{how}", waiter.thread, time(waiter.waited_us))
        })
        .collect();
    match &waiters[..] {
        [] => "nobody".into(),
        all => all.join(", "),
    }
}

/// The tables of one log.
fn log(text: &mut String, report: &Report, number: usize, top: usize) {
    let log = &report.logs[number];
    let side = if log.side.is_empty() { String::new() } else { format!(" ({})", log.side) };
    let span = log.end_us - log.start_us;
    *text += "\n";
    *text += &fold(0, &format!("== {}{side}, {}", log.file, time(span)));
    let at = |us: u64| format!("{:.6}", us.saturating_sub(log.start_us) as f64 / 1e6);

    let _ = writeln!(text, "\nlongest holds of the bql, at seconds from the start");
    for hold in report.longest.iter().filter(|hold| hold.log == number).take(top) {
        let mark = if hold.startup { " start-up" } else { "" };
        let open = if hold.open { " open" } else { "" };
        let _ = writeln!(
            text,
            "  {:>9} {:>11}  {:15} {}{mark}{open}",
            time(hold.held_us),
            at(hold.at_us),
            short(&hold.thread, 15),
            short(&hold.site, 25)
        );
        if !hold.inside.is_empty() {
            let inside = hold.inside.iter().take(4);
            let inside: Vec<String> =
                inside.map(|event| format!("{} x{}", event.event, event.count)).collect();
            *text += &fold(13, &format!("in it: {}", inside.join(", ")));
        }
        if hold.waiters.iter().any(|waiter| waiter.kind != "idle") {
            *text += &fold(13, &format!("waiting: {}", waiting(hold)));
        }
    }
    table(text, "held", &report.holds, number, top);
    table(text, "waited for", &report.waits, number, top);
    table(text, "condition waits, by the lock they release", &report.conditions, number, top);
    handlers(text, report, number);
    let held: Vec<_> = report.held_at_end.iter().filter(|held| held.log == number).collect();
    if !held.is_empty() {
        let _ = writeln!(text, "\nwhen the log ends");
        for held in held.iter().take(top) {
            let line = format!(
                "{} {} {} from {} since {}",
                held.thread,
                held.kind,
                held.lock,
                held.site,
                at(held.since_us)
            );
            *text += &fold(2, &line);
        }
    }
    let _ = writeln!(text, "\n{} pairs of lock classes in an order", log.orders);
}

fn table(text: &mut String, title: &str, rows: &[Row], number: usize, top: usize) {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.log == number).collect();
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n{title}\n  {:22} {:14} {:>7} {:>9} {:>8} {:>9}",
        "site", "thread", "count", "total", "p99", "max"
    );
    for row in rows.iter().take(top) {
        let bql = if row.lock == "bql" { '*' } else { ' ' };
        let _ = writeln!(
            text,
            " {bql}{:22} {:14} {:>7} {:>9} {:>8} {:>9}",
            short(&row.site, 22),
            short(&row.thread, 14),
            row.count,
            time(row.total_us),
            time(row.p99_us),
            time(row.max_us)
        );
    }
    if rows.len() > top {
        let _ = writeln!(text, "  and {} rows more (* is the bql)", rows.len() - top);
    } else {
        let _ = writeln!(text, "  (* is the bql)");
    }
}

fn handlers(text: &mut String, report: &Report, number: usize) {
    let rows: Vec<_> = report.handlers.iter().filter(|row| row.log == number).collect();
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\nhandlers, and the bql when they run\n  {:33} {:14} {:>6} {:>8}  contract",
        "event", "thread", "held", "not held"
    );
    for row in rows {
        let mark = if row.broken { '!' } else { ' ' };
        let line = format!(
            " {mark}{:33} {:14} {:>6} {:>8}  {}",
            short(&row.event, 33),
            short(&row.thread, 14),
            row.held,
            row.not_held,
            row.contract
        );
        let _ = writeln!(text, "{}", &line[..line.len().min(WIDTH)]);
    }
}

fn problems(text: &mut String, report: &Report) {
    if report.problems.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nproblems: the log does not show all");
    for problem in &report.problems {
        let file = &report.logs[problem.log].file;
        let place = match problem.line {
            0 => file.clone(),
            line => format!("{file}:{line}"),
        };
        *text += &fold(2, &format!("{place}: {} ({})", problem.message, problem.count));
    }
}
