//! The replay: real runs and all runs of the simulator are accepted, corrupted
//! ones are not.

use crate::trace::capture;
use bqlcheck::explore;
use bqlcheck::report::{QemuLogs, Recording, qemu_logs};
use bqlcheck::sim::{Migration, Plan, Scenario, Size};
use bqlcheck::trace::conform::Conform;
use bqlcheck::trace::{Options, Report, Run};
use std::sync::Arc;

fn conform(log: &str, plan: &Plan) -> Report {
    let options = Options { conform: Some(plan.clone()), ..Options::default() };
    let mut run = Run::new("log", &options, ());
    run.feed(log.as_bytes());
    // What ends inside a migration is a run too.
    run.end().expect("it has locks");
    Report::of(&[run])
}

/// A run of `plan` in `scenario`, as its logs.
pub fn emitted(plan: &Plan, scenario: &Scenario, seed: u64) -> QemuLogs {
    let size = Size::named(&scenario.size).expect("built in");
    let program = Migration::new(plan.clone(), scenario.clone(), size);
    let program = Arc::new(program.expect("they go together"));
    let run = explore::random_run(&program, seed);
    qemu_logs(&Recording::run(&program, &run), plan)
}

#[test]
fn every_run_of_the_simulator_is_accepted() {
    for name in Scenario::names() {
        let scenario = Scenario::built_in(name).expect("built in");
        for plan in scenario.expect.keys() {
            let plan = Plan::built_in(plan).expect("built in");
            for seed in 1..=5 {
                let logs = emitted(&plan, &scenario, seed);
                for log in [&logs.destination, &logs.source] {
                    if log.is_empty() {
                        continue;
                    }
                    let report = conform(log, &plan);
                    let outcome = &report.conform[0];
                    let end = outcome.refused.as_ref().map_or(0, |refused| refused.line as usize);
                    let lines: Vec<&str> =
                        log.lines().take(end).filter(|line| !line.contains("qemu_mutex")).collect();
                    let last = &lines[lines.len().saturating_sub(12)..];
                    assert!(
                        outcome.accepted,
                        "{} in {name}, seed {seed}: {:?}\n{}",
                        plan.name,
                        outcome.refused,
                        last.join("\n")
                    );
                    assert_eq!(report.unknown_lines, 0);
                }
            }
        }
    }
}

/// Logs with the plan that each is a run of.
const LOGS: [(&str, &str); 3] = [
    ("postcopy.qemu10-naive.destination.log.xz", "bql-around-loadvm"),
    ("postcopy.qemu10.destination.log.xz", "qemu-10.0"),
    ("postcopy-recover.qemu10.destination.log.xz", "qemu-10.0"),
];

/// Events that a run may have or not: one for each RAM block, and what not every
/// version or transport has.
const OPTIONAL: [&str; 9] = [
    "postcopy_init_range",
    "postcopy_nhp_range",
    "postcopy_cleanup_range",
    "postcopy_ram_fault_thread_fds_core",
    "postcopy_ram_incoming_cleanup_join",
    "postcopy_ram_incoming_cleanup_closeuf",
    "postcopy_ram_incoming_cleanup_blocktime",
    "migration_socket_incoming_accepted",
    "process_incoming_migration_co_postcopy_end_main",
];

/// An event: thread and text, without its time.
type Event = (String, String);

fn events(name: &str) -> Option<Vec<Event>> {
    let packed = std::fs::read(capture(name)?).expect("readable");
    let mut text = Vec::new();
    lzma_rs::xz_decompress(&mut &packed[..], &mut text).expect("xz");
    let text = String::from_utf8(text).expect("text");
    let events = text.lines().filter_map(|line| {
        let (thread, rest) = line.split_once('@')?;
        let text = rest.split_once(':')?.1;
        Conform::knows(text.split(' ').next()?).then(|| (thread.into(), text.into()))
    });
    Some(events.collect())
}

fn line((thread, text): &Event, nth: usize) -> String {
    format!("{thread}@1700000000.{nth:06}:{text}")
}

/// Whether `event` is a fault at a page that has come: nothing follows from it.
fn is_idle_fault(events: &[Event], at: usize) -> bool {
    let (thread, text) = &events[at];
    let next = events[at + 1..].iter().find(|(other, _)| other == thread);
    let asks = |text: &str| {
        text.starts_with("postcopy_page_req_add") || text.starts_with("migrate_send_rp_message")
    };
    text.starts_with("postcopy_ram_fault_thread_request")
        && !next.is_some_and(|(_, text)| asks(text))
}

#[test]
fn corrupted_runs_are_refused() {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    const EVERY: usize = 250;
    let mut logs = Vec::new();
    for (name, plan) in LOGS {
        let Some(events) = events(name) else { return };
        let mut replay = Conform::new(Plan::built_in(plan).expect("built in"));
        let mut checkpoints = Vec::new();
        for (nth, event) in events.iter().enumerate() {
            if nth % EVERY == 0 {
                checkpoints.push(replay.clone());
            }
            replay.read(line(event, nth).as_bytes(), nth as u64);
        }
        assert!(replay.outcome(0).accepted, "{name}: {:?}", replay.outcome(0).refused);
        logs.push((events, checkpoints));
    }
    let (mut refused, mut total) = (0, 0);
    let mut missed: std::collections::BTreeMap<String, u32> = Default::default();
    while total < 10_000 {
        let (events, checkpoints) = &logs[random(LOGS.len())];
        let at = random(events.len());
        let name = events[at].1.split(' ').next().unwrap_or("").to_string();
        if OPTIONAL.contains(&name.as_str()) || is_idle_fault(events, at) {
            continue;
        }
        let mut tail = events[at..].to_vec();
        let what = ["delete", "duplicate", "swap"][random(3)];
        match what {
            "delete" => drop(tail.remove(0)),
            "duplicate" => tail.insert(0, tail[0].clone()),
            _ => {
                // With the same thread's next: what two threads do at once may come
                // in either order.
                let other = (1..tail.len()).find(|other| tail[*other].0 == tail[0].0);
                let Some(other) = other else { continue };
                let next = tail[other].1.split(' ').next().unwrap_or("");
                let same = tail[other].1 == tail[0].1 || OPTIONAL.contains(&next);
                if same || is_idle_fault(events, at + other) {
                    continue;
                }
                let text = std::mem::take(&mut tail[0].1);
                tail[0].1 = std::mem::replace(&mut tail[other].1, text);
            }
        }
        total += 1;
        let mut replay = checkpoints[at / EVERY].clone();
        let head = events[at / EVERY * EVERY..at].iter().chain(&tail);
        let mut caught = false;
        for (nth, event) in head.enumerate() {
            replay.read(line(event, nth).as_bytes(), nth as u64);
            if nth % 64 == 0 && !replay.outcome(0).accepted {
                caught = true;
                break;
            }
        }
        if caught || !replay.outcome(0).accepted {
            refused += 1;
        } else {
            *missed.entry(format!("{what} {name}")).or_default() += 1;
        }
    }
    println!("{refused} of {total} corruptions are refused; not: {missed:?}");
    assert!(refused * 100 >= total * 95, "{refused} of {total}; not refused: {missed:?}");
}

#[test]
fn the_naive_run_is_one_of_its_plan_alone() {
    let Some(path) = capture(LOGS[0].0) else { return };
    let path = path.display().to_string();
    let json = |plan: &str| {
        let words = ["trace", &path, "--conform", "--plan", plan, "--format", "json"];
        let (_, text, _) = crate::cli::run(&words);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        value["conform"][0].clone()
    };
    assert_eq!(json("bql-around-loadvm")["accepted"], true);
    assert_eq!(json("bql-around-loadvm")["events"], 16_624);
    let refused = &json("qemu-10.0")["refused"];
    assert_eq!(refused["line"], 995);
    assert_eq!(refused["event"], "qemu_mutex_locked bql (../migration/savevm.c:2059)");
    for (log, plan) in &LOGS[1..] {
        let path = capture(log).expect("it is there").display().to_string();
        let words = ["trace", &path, "--conform", "--plan", plan];
        assert_eq!(crate::cli::run(&words).0, 0, "{log}");
        let words = ["trace", &path, "--conform", "--plan", "bql-around-loadvm"];
        assert_eq!(crate::cli::run(&words).0, 1, "{log}");
    }
}
