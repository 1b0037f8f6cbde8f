//! What `exec` found, as text.
//! Must not know: how it was found.

use super::recording::{Line, Link, Recording};
use super::text::fold;
use super::timeline::timeline;
use crate::exec::job::Taken;
use crate::exec::job::{Broken, Done, Job};
use crate::exec::known::Races;
use crate::exec::named::{Call, Named, Race, Step};
use crate::lock::{Site, interned};
use serde::Serialize;

/// A job and what came of it.
#[derive(Debug, Serialize)]
pub struct Run {
    /// 1.
    pub schema: u32,
    pub verdict: &'static str,
    pub job: Job,
    pub boot_ms: u64,
    pub violations: Vec<Named>,
    pub done: Done,
    /// With `--races`: those that are known, apart from violations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub races: Option<Races>,
}

/// Calls of a backtrace that are shown.
const CALLS: usize = 10;

/// For people, at most 76 columns.
pub fn text(run: &Run) -> String {
    let Run { job, done, .. } = run;
    let strategy = job.strategy.name();
    let mut out = fold(
        0,
        &format!(
            "{}: QEMU {}, {}, {strategy}, seed {}",
            run.verdict, job.version, job.scenario, job.seed
        ),
    );
    if !job.faults.is_none() {
        out += &fold(0, &format!("with {} in an execution", job.faults));
    }
    let speed = done.executions * 1000 / done.wall_ms.max(1);
    let cut = if done.interrupted { ", interrupted" } else { "" };
    let rule = if run.races.is_some() { "another rule" } else { "a rule" };
    let counts = format!(
        "{} executions in {} ms ({speed} a second, {} operations each), {} broke {rule}{cut}",
        done.executions,
        done.wall_ms,
        done.steps / done.executions.max(1),
        done.violated
    );
    out += &fold(0, &counts);
    if done.memory_kib > 0 {
        let kept = format!("QEMU and its copies took {} MiB at most", done.memory_kib / 1024);
        out += &fold(0, &kept);
    }
    if done.cut > 0 {
        out += &fold(0, &format!("{} did not end within the bound of operations", done.cut));
    }
    if done.longest_stall > 0 {
        let stall = format!(
            "longest stall: the environment moved {} times while the BQL was held for it, {} \
             times while a vCPU waited",
            done.longest_stall, done.longest_for_vcpu
        );
        out += &fold(0, &stall);
    }
    for (outcome, many) in &done.outcomes {
        out += &fold(2, &format!("{many} x {outcome}"));
    }
    if let Some(races) = &run.races {
        out += &self::races(races);
    }
    run.violations.iter().for_each(|violation| out += &self::violation(violation));
    out += &others(done);
    if run.violations.is_empty() {
        out.push_str("No rule was broken in these. They are samples, not a proof.\n");
    }
    if !done.hash.is_empty() {
        out.push_str(&format!("hash of all schedules: {}\n", done.hash));
    }
    out
}

/// One violation: what, the chart, and where the threads are.
pub fn violation(found: &Named) -> String {
    let mut out = format!("\n{}: {}\n", found.rule, found.rule.title());
    out += &fold(2, &found.message);
    if let Some(race) = &found.race {
        return out + &self::race(found, race);
    }
    if !found.circle.is_empty() {
        return out + &circle(found);
    }
    let (steps, forced) = (found.steps.len(), found.forced);
    let lasting = match found.ticks {
        0 => String::new(),
        1 => "; the environment moved once meanwhile".into(),
        ticks => format!("; the environment moved {ticks} times meanwhile"),
    };
    let execution = execution(found);
    let head = format!("{execution}; {steps} operations, {forced} forced picks{lasting}");
    out += &fold(2, &head);
    out.push('\n');
    out += &timeline(&recording(found));
    for wait in &found.waits {
        out += &backtrace(&format!("{} is in", found.threads[wait.step.thread]), &wait.step.calls);
    }
    if let Some((thread, calls)) = &found.by {
        out += &backtrace(&format!("{} was in", found.threads[*thread]), calls);
    }
    out
}

/// In which execution it was first, and in how many.
fn execution(found: &Named) -> String {
    let first = found.execution;
    match found.executions {
        0 | 1 => format!("execution {first}"),
        many => format!("execution {first}, the first of {many}"),
    }
}

/// What else was broken: no schedule was looked for.
fn others(done: &Done) -> String {
    let others: Vec<&Broken> = done.broken.iter().filter(|broken| !broken.shown).collect();
    let mut out = String::new();
    if !others.is_empty() {
        out += "\nbroken besides, without a schedule:\n";
    }
    for Broken { rule, message, executions, .. } in others {
        out += &fold(2, &format!("{rule} in {executions}: {message}"));
    }
    if done.further > 0 {
        out += &fold(2, &format!("and further ones in {} executions", done.further));
    }
    out
}

/// How many data races there were, and what is known of them.
fn races(races: &Races) -> String {
    let (new, known, unused) = (races.new, races.known.len(), races.unused.len());
    let head = format!(
        "data races: {new} new, {known} known; {unused} entries of models/exec/races.json not met"
    );
    let mut out = fold(0, &head);
    let mut reasons: Vec<&str> = races.known.iter().map(|seen| &*seen.why).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for why in reasons {
        let alike = || races.known.iter().filter(|seen| seen.why == why);
        let most = alike().map(|seen| seen.executions).max().unwrap_or(0);
        let pairs = match alike().count() {
            1 => "1 pair of places".into(),
            many => format!("{many} pairs of places"),
        };
        out += &fold(2, &format!("{pairs}, in up to {most} executions: {why}"));
    }
    out
}

/// Both accesses of a data race.
fn race(found: &Named, race: &Race) -> String {
    let mut out = format!("  execution {}, {} forced picks\n", found.execution, found.forced);
    for access in &race.accesses {
        let with = match &access.holds[..] {
            [] => "without a lock".into(),
            held => format!("with {}", held.join(", ")),
        };
        let head = format!("{} {} it {with}", found.threads[access.thread], access.what);
        out.push('\n');
        out += &fold(2, &head);
        out += &fold(6, &access.line);
        out += &listed(&access.calls);
    }
    out
}

/// Where each thread of a circle took both of its locks.
fn circle(found: &Named) -> String {
    let mut out = format!("  {}; {} forced picks\n", execution(found), found.forced);
    for Taken { thread, holds, held_at, takes, taken_at } in &found.circle {
        let who = &found.threads[*thread as usize];
        out += &backtrace(&format!("{who} has taken {holds} in"), held_at);
        out += &backtrace(&format!("{who} takes {takes} with it in"), taken_at);
    }
    out
}

fn backtrace(head: &str, calls: &[Call]) -> String {
    if calls.is_empty() {
        return String::new();
    }
    format!("\n  {head}\n{}", listed(calls))
}

/// The innermost calls, a line each.
fn listed(calls: &[Call]) -> String {
    let mut out = String::new();
    for call in calls.iter().take(CALLS) {
        out += &fold(4, &format!("{} {}", call.function, call.place));
    }
    if calls.len() > CALLS {
        out += &format!("    and {} more\n", calls.len() - CALLS);
    }
    out
}

/// Where a step is: the function that is not plumbing, and its line.
fn site(step: &Step) -> Site {
    let (function, place) = match step.calls.first() {
        Some(call) => (call.function.as_str(), call.place.as_str()),
        None => ("", ""),
    };
    Site { function: interned(function), step: interned(place) }
}

/// What the chart is made of: the operations that tell the story. Locks that have
/// no part in it are left out, and so is what only passes time.
fn recording(found: &Named) -> Recording {
    let waited_for = |object: &str| found.waits.iter().any(|wait| wait.step.object == object);
    let tells = |step: &&Step| match step.what.as_str() {
        "lock" | "trylock" | "unlock" => is_big(&step.object) || waited_for(&step.object),
        "yield" | "park" | "sleep" | "poll" | "ioctl" | "close" | "sigwait" => false,
        "cond_signal" | "cond_broadcast" => waited_for(&step.object),
        _ => true,
    };
    let line = |(nth, step): (usize, &Step)| Line {
        thread: step.thread,
        step: nth as u32 + 1,
        chosen: true,
        operation: interned(&step.what),
        object: step.object.clone(),
        site: site(step),
        detail: String::new(),
        big: is_big(&step.object),
    };
    let link = |wait: &crate::exec::named::Wait| Link {
        thread: wait.step.thread,
        operation: interned(&wait.step.what),
        object: wait.step.object.clone(),
        site: site(&wait.step),
        held_by: wait.held_by.iter().map(|holder| found.threads[*holder].clone()).collect(),
        holds: wait.holds.clone(),
    };
    let by = found.by.as_ref();
    let place = |calls: &[Call]| {
        calls
            .first()
            .map(|call| Site { function: interned(&call.function), step: interned(&call.place) })
    };
    Recording {
        threads: found.threads.clone(),
        lines: found.steps.iter().filter(tells).enumerate().map(line).collect(),
        cycle: found.waits.iter().map(link).collect(),
        breach: by.map(|(thread, calls)| (found.rule, Some(*thread), place(calls))),
        alternatives: Vec::new(),
    }
}

/// The Big QEMU Lock, as it is called in QEMU: since 9.0, and before.
fn is_big(object: &str) -> bool {
    matches!(object, "bql" | "qemu_global_mutex")
}
