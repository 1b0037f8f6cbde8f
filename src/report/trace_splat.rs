//! A finding of a log in full; circles of locks in the look of the kernel's
//! lockdep.
//! Must not know: how the log was read.

use super::columns::WIDTH;
use super::text::fold;
use super::trace::short;
use crate::trace::{Cycle, Finding, Report, conform, time};
use std::fmt::Write as _;

/// `finding` with all that explains it.
pub fn finding(report: &Report, finding: &Finding) -> String {
    let mut text = fold(0, &format!("error[{}]: {}", finding.rule, finding.message));
    if finding.cycle.len() > 1 {
        circle(&mut text, finding);
    }
    let log = &report.logs[finding.log];
    if !finding.site.is_empty() {
        text += &fold(2, &format!("--> {} in {}", finding.site, log.file));
    }
    let from_start = |us: u64| us.saturating_sub(log.start_us) as f64 / 1e6;
    if let Some(at) = finding.at_us {
        let _ = writeln!(text, "  = at {:.6} s from the start", from_start(at));
    }
    for waiter in &finding.waiters {
        let how = match waiter.kind {
            "lock" => "waits",
            "condition" => "is in a condition wait that needs it",
            _ => "is idle",
        };
        let line = format!(
            "= {} {how}, {} of it, at {}",
            waiter.thread,
            time(waiter.waited_us),
            waiter.site
        );
        text += &fold(2, &line);
    }
    if !finding.inside.is_empty() {
        let inside = finding.inside.iter().take(6);
        let inside: Vec<String> =
            inside.map(|event| format!("{} x{}", event.event, event.count)).collect();
        text += &fold(2, &format!("= in it: {}", inside.join(", ")));
    }
    let end = finding.at_us.unwrap_or(0) + finding.held_us.unwrap_or(0);
    for milestone in &finding.after {
        let line = format!(
            "= only then: {} {} in {}, {} after its end",
            milestone.event,
            milestone.text,
            milestone.thread,
            time(milestone.at_us.saturating_sub(end))
        );
        text += &fold(2, &line.replace("  ", " "));
    }
    text += &fold(2, &format!("= explain: bqlcheck explain {}", finding.rule));
    text
}

/// The circle of a finding, as lockdep prints one.
fn circle(text: &mut String, finding: &Finding) {
    let rule = "=".repeat(56);
    let links = &finding.cycle;
    let last = links.iter().max_by_key(|link| link.line).unwrap_or(&links[0]);
    let stuck = links.iter().all(|link| link.line == 0);
    let title = match stuck {
        true => "WARNING: circular wait when the log ends",
        false => "WARNING: possible circular locking dependency detected",
    };
    let _ = writeln!(text, "\n{rule}\n{title}\n{}", "-".repeat(56));
    *text += &fold(0, &format!("{} is trying to acquire lock:", last.thread));
    *text += &fold(1, &format!("({}), at: {}", last.takes, last.takes_site));
    *text += "\nbut task is already holding lock:\n";
    *text += &fold(1, &format!("({}), at: {}", last.holds, last.holds_site));
    *text += "\nwhich lock already depends on the new lock.\n\n";
    *text += "the existing dependency chain (in reverse order) is:\n";
    let mut chain: Vec<&Cycle> = links.iter().collect();
    chain.sort_by_key(|link| std::cmp::Reverse(link.line));
    for (nth, link) in chain.iter().enumerate() {
        let _ = writeln!(text, "\n-> #{} ({}):", chain.len() - 1 - nth, link.takes);
        let seen = if link.line > 0 {
            format!(", line {}, {} times", link.line, link.count)
        } else {
            String::new()
        };
        let line = format!("{} at {}{seen}", link.thread, link.takes_site);
        *text += &fold(7, &line);
        *text += &fold(7, &format!("with {} from {}", link.holds, link.holds_site));
    }
    scenario(text, links);
    let _ = writeln!(text, "{rule}\n");
}

/// The two columns in which a kernel developer looks first.
fn scenario(text: &mut String, links: &[Cycle]) {
    let half = WIDTH / 2 - 4;
    let lock = |name: &str| format!("lock({});", short(name, half - 8));
    *text += "\n possible unsafe locking scenario:\n\n";
    let mut row = |left: &str, right: &str| {
        let line = format!("  {left:half$}  {right}");
        let _ = writeln!(text, "{}", line.trim_end());
    };
    let (first, rest) = (&links[0], &links[1..]);
    row(&short(&first.thread, half), &short(&rest[0].thread, half));
    row("----", "----");
    row(&lock(&first.holds), "");
    for link in rest {
        row("", &lock(&link.holds));
    }
    row(&lock(&first.takes), "");
    row("", &lock(&rest[rest.len() - 1].takes));
    *text += "\n *** DEADLOCK ***\n\n";
}

/// What a replay against the simulator's states came to.
pub fn conform(report: &Report, outcome: &conform::Outcome) -> String {
    let log = &report.logs[outcome.log];
    let (plan, events) = (&outcome.plan, outcome.events);
    if outcome.refused.is_none() && events == 0 {
        let text = "conform: inconclusive: there is no event of a migration to replay in ";
        return fold(0, &format!("{text}{}", log.file));
    }
    let Some(refused) = &outcome.refused else {
        return fold(0, &format!("conform: a run of {plan}: all {events} events in {}", log.file));
    };
    let mut text = fold(0, &format!("conform: not a run of {plan}, after {events} events"));
    text += &fold(2, &format!("--> {}:{}", log.file, refused.line));
    let thread = report.threads.iter().find(|t| t.log == outcome.log && t.id == refused.thread);
    let thread = thread.map_or("", |thread| &thread.role);
    let at = refused.at_us.saturating_sub(log.start_us) as f64 / 1e6;
    text += &fold(2, &format!("= refused: {} in {thread}, at {at:.6} s", refused.event));
    text += &fold(2, &format!("= because: {}", refused.reason));
    if !refused.allowed.is_empty() {
        text += &fold(2, &format!("= allowed: {}", refused.allowed.join("; ")));
    }
    text
}
