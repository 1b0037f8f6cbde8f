//! What in a log breaks a rule, and the verdict.
//! Must not know: how a finding is shown.

use super::handler;
use super::mutex::NONE;
use super::report::{Cycle, Finding, Report};
use super::run::Run;
use super::span::Observer;
use super::tables::Tables;
use crate::lock::Rule;
use crate::lock::order::Edge;
use crate::sim::Verdict;

/// `6.21 s`, `18.0 ms`, `350 us`.
pub fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

impl Report {
    /// Of `runs`, each of which has come to its end.
    pub fn of<O: Observer>(runs: &[Run<O>]) -> Report {
        let mut report = Report {
            schema: 1,
            verdict: Verdict::Clean,
            exit: 0,
            lines: 0,
            unknown_lines: 0,
            logs: Vec::new(),
            threads: Vec::new(),
            holds: Vec::new(),
            waits: Vec::new(),
            conditions: Vec::new(),
            longest: Vec::new(),
            milestones: Vec::new(),
            handlers: Vec::new(),
            held_at_end: Vec::new(),
            findings: Vec::new(),
            problems: Vec::new(),
            conform: Vec::new(),
        };
        for (number, run) in runs.iter().enumerate() {
            let tables = Tables::of(run, number);
            let d = &run.discipline;
            report.lines += run.log.lines;
            report.unknown_lines += run.log.unknown_lines;
            let mut log = run.log.clone();
            log.orders = d.order.len(|class| class_root(run, class));
            report.logs.push(log);
            report.threads.extend(tables.threads());
            report.holds.extend(tables.rows(&d.holds));
            report.waits.extend(tables.rows(&d.waits));
            report.conditions.extend(tables.rows(&d.conditions));
            let longest = d.longest.iter().filter(|hold| tables.wanted(hold.thread));
            report.longest.extend(longest.map(|hold| tables.hold(hold)));
            report.milestones.extend(tables.milestones());
            report.handlers.extend(tables.handlers());
            report.held_at_end.extend(tables.held_at_end());
            report.findings.extend(findings(&tables));
            report.problems.extend(tables.problems());
            report.conform.extend(run.conform.as_ref().map(|conform| conform.outcome(number)));
        }
        both_sides(runs, &mut report);
        let refused = report.conform.iter().any(|outcome| !outcome.accepted);
        report.verdict = match (report.findings.is_empty() && !refused, report.problems.is_empty())
        {
            (false, _) => Verdict::Violated,
            (true, true) => Verdict::Clean,
            (true, false) => Verdict::Inconclusive,
        };
        report
    }
}

/// A source's and a destination's log, given together, are of one migration. Not
/// compared where a log is not whole: what is not there may have been in it.
fn both_sides<O: Observer>(runs: &[Run<O>], report: &mut Report) {
    let ([first, second], [of_first, of_second]) = (runs, &mut report.conform[..]) else { return };
    let (Some(a), Some(b)) = (&first.conform, &second.conform) else { return };
    if !report.problems.is_empty() || !of_first.accepted || !of_second.accepted {
        return;
    }
    let compared = if a.is_source_of(b) {
        a.compare(of_first, b, of_second)
    } else if b.is_source_of(a) {
        b.compare(of_second, a, of_first)
    } else {
        return;
    };
    if !compared {
        let message = "the logs have too many messages to be compared".into();
        report.problems.push(super::Problem { log: 0, message, count: 1, line: 0 });
    }
}

fn root<O: Observer>(run: &Run<O>, class: u32) -> u32 {
    if class == NONE { NONE } else { run.discipline.mutexes.root(class) }
}

/// The same for the order of locks.
fn class_root<O: Observer>(run: &Run<O>, class: u64) -> u64 {
    root(run, class as u32).into()
}

/// All findings of a log: by rule, the worst first.
fn findings<O: Observer>(tables: &Tables<O>) -> Vec<Finding> {
    let mut all = contracts(tables);
    all.extend(taken_twice(tables));
    all.extend(stuck(tables));
    all.extend(held_waiting(tables));
    all.extend(circles(tables));
    all.sort_by(|a, b| (a.rule, b.held_us, a.at_us).cmp(&(b.rule, a.held_us, b.at_us)));
    all
}

fn blank<O: Observer>(tables: &Tables<O>, rule: Rule, thread: u32, message: String) -> Finding {
    Finding {
        rule,
        message,
        log: tables.log,
        thread: tables.thread(thread),
        site: String::new(),
        held_us: None,
        at_us: None,
        waiters: Vec::new(),
        inside: Vec::new(),
        after: Vec::new(),
        cycle: Vec::new(),
    }
}

/// BQL006: the BQL is held too long while somebody waits.
fn held_waiting<O: Observer>(tables: &Tables<O>) -> Vec<Finding> {
    let holds = tables.run.discipline.held_waiting.iter().filter(|hold| {
        tables.wanted(hold.thread) || hold.waiters.iter().any(|w| tables.wanted(w.thread))
    });
    let findings = holds.map(|hold| {
        let waiters = tables.waiters(hold);
        let real: Vec<&str> =
            waiters.iter().filter(|w| w.kind != "idle").map(|w| w.thread.as_str()).collect();
        let still = if hold.open { ", and still when the log ends" } else { "" };
        let site = tables.site(hold.site);
        let message = format!(
            "bql held for {} by {} from {site}, while {} {}{still}",
            time(hold.us),
            tables.thread(hold.thread),
            real.join(", "),
            if real.len() == 1 { "waits" } else { "wait" },
        );
        Finding {
            site,
            held_us: Some(hold.us),
            at_us: Some(hold.start),
            waiters,
            inside: tables.inside(hold),
            after: tables
                .milestones()
                .filter(|m| m.at_us >= hold.start + hold.us)
                .take(3)
                .collect(),
            ..blank(tables, Rule::HeldWaiting, hold.thread, message)
        }
    });
    findings.collect()
}

/// BQL003: whoever has the BQL waits for it.
fn taken_twice<O: Observer>(tables: &Tables<O>) -> Vec<Finding> {
    let all = tables.run.discipline.taken_twice.iter().filter(|(t, ..)| tables.wanted(*t));
    let findings = all.map(|(thread, site, us)| {
        let site = tables.site(*site);
        let message = format!("{} takes bql at {site} and has it", tables.thread(*thread));
        let finding = blank(tables, Rule::TakenTwice, *thread, message);
        Finding { site, at_us: Some(*us), ..finding }
    });
    findings.collect()
}

/// BQL001 and BQL002: a handler ran without the BQL, or with it.
fn contracts<O: Observer>(tables: &Tables<O>) -> Vec<Finding> {
    let run = tables.run;
    let mut keys: Vec<_> = run.handlers.iter().filter(|(_, seen)| seen.broken_line > 0).collect();
    keys.sort_by_key(|(_, seen)| seen.broken_line);
    let findings = keys.into_iter().filter_map(|((kind, section, thread), seen)| {
        let event = &run.kinds[*kind as usize].name;
        let role = run.discipline.threads[*thread as usize].role;
        let text: &[u8] = if *section == 1 { b"ram" } else { b"" };
        // By what the thread turned out to be.
        let contract = handler::contract(event.as_bytes(), text, role);
        let rule = contract.broken(seen.broken_held)?;
        let (count, how) = match seen.broken_held {
            true => (seen.held, "with the BQL"),
            false => (seen.not_held, "without the BQL"),
        };
        let name = tables.thread(*thread);
        let times = if count == 1 { String::new() } else { format!(" {count} times") };
        let message =
            format!("{event} runs{times} {how} in {name}: its contract is {}", { contract.text() });
        let finding = blank(tables, rule, *thread, message);
        let site = format!("line {}", seen.broken_line);
        tables.wanted(*thread).then_some(Finding { site, at_us: Some(seen.first_us), ..finding })
    });
    findings.collect()
}

/// BQL005: threads that wait for one another when the log ends.
fn stuck<O: Observer>(tables: &Tables<O>) -> Vec<Finding> {
    let d = &tables.run.discipline;
    let findings = d.stuck().into_iter().map(|circle| {
        let mut links = Vec::new();
        let mut start = u64::MAX;
        for (nth, thread) in circle.iter().enumerate() {
            let before = circle[(nth + circle.len() - 1) % circle.len()];
            let wanted = d.threads[before as usize].waits.map(|wait| wait.mutex);
            let state = &d.threads[*thread as usize];
            let held = state.held.iter().find(|held| Some(held.mutex) == wanted);
            let Some(wait) = state.waits else { continue };
            start = start.min(wait.since);
            let class = |mutex: u32| tables.lock(d.mutexes.get(mutex).class);
            links.push(Cycle {
                thread: tables.thread(*thread),
                holds: held.map_or_else(String::new, |held| class(held.mutex)),
                holds_site: held.map_or_else(String::new, |held| tables.site(held.site)),
                takes: class(wait.mutex),
                takes_site: tables.site(wait.site),
                line: 0,
                count: 1,
            });
        }
        let names: Vec<String> = circle.iter().map(|thread| tables.thread(*thread)).collect();
        let message = match &names[..] {
            [one] => format!("{one} waits for a lock that it has, when the log ends"),
            _ => format!("{} wait for one another when the log ends", names.join(", ")),
        };
        let site = links.first().map_or_else(String::new, |link| link.takes_site.clone());
        let finding = blank(tables, Rule::WaitForever, circle[0], message);
        Finding { site, at_us: Some(start), cycle: links, ..finding }
    });
    findings.collect()
}

/// BQL008: locks taken in orders that go round in a circle.
fn circles<O: Observer>(tables: &Tables<O>) -> Vec<Finding> {
    // A log does not say which thread began or joined which: all may be there at once.
    let order = &tables.run.discipline.order;
    let circles = order.circles(|class| class_root(tables.run, class), |_, _| true);
    let findings = circles.into_iter().take(100).map(|circle| {
        let link = |edge: &Edge<(u32, u32)>| Cycle {
            thread: tables.thread(edge.thread),
            holds: tables.lock(edge.from as u32),
            holds_site: tables.site(edge.place.0),
            takes: tables.lock(edge.to as u32),
            takes_site: tables.site(edge.place.1),
            line: edge.first,
            count: edge.count,
        };
        let names: Vec<String> = circle.iter().map(|edge| tables.lock(edge.from as u32)).collect();
        let message = format!("{} are taken in orders that make a circle", names.join(", "));
        // The edge seen last is the one that closes it.
        let last = circle.iter().max_by_key(|edge| edge.first).expect("a circle has edges");
        let finding = blank(tables, Rule::OrderInversion, last.thread, message);
        let site = tables.site(last.place.1);
        Finding { site, cycle: circle.iter().map(link).collect(), ..finding }
    });
    findings.collect()
}
