//! The replay of both sides: what one has received, the other had sent.

use crate::trace_conform::emitted;
use bqlcheck::report;
use bqlcheck::sim::{Plan, Scenario, Verdict};
use bqlcheck::trace::{Options, Report, Run};

fn plan() -> Plan {
    Plan::built_in("qemu-10.0").expect("built in")
}

/// `logs` given together.
fn together(logs: &[&str], plan: &Plan) -> Report {
    let options = Options { conform: Some(plan.clone()), ..Options::default() };
    let run = |log: &&str| {
        let mut run = Run::new("log", &options, ());
        run.feed(log.as_bytes());
        run.end().expect("it has locks");
        run
    };
    Report::of(&logs.iter().map(run).collect::<Vec<_>>())
}

/// Which log is refused, at which event, why; none if both are accepted.
fn refused(source: &str, destination: &str) -> Option<(usize, String, String)> {
    let report = together(&[source, destination], &plan());
    assert_eq!(report.problems.len(), 0, "{:?}", report.problems);
    let refused = report.conform.iter().find_map(|outcome| {
        let refused = outcome.refused.clone()?;
        assert!(!outcome.accepted);
        Some((outcome.log, refused.event, refused.reason))
    });
    assert!(refused.is_none() || report.verdict == Verdict::Violated);
    // In the other order it is the same.
    let turned = together(&[destination, source], &plan());
    let outcome = turned.conform.iter().find(|outcome| !outcome.accepted);
    assert_eq!(outcome.map(|outcome| 1 - outcome.log), refused.as_ref().map(|it| it.0));
    refused
}

/// A whole run of the simulator: source and destination.
fn run(scenario: &str) -> (String, String) {
    let scenario = Scenario::built_in(scenario).expect("built in");
    let plan = plan();
    let fits = |(source, destination): &(String, String)| {
        let requests = destination.contains("migrate_send_rp_message 3");
        requests && together(&[source, destination], &plan).problems.is_empty()
    };
    let runs = (1..100).map(|seed| emitted(&plan, &scenario, seed));
    let mut runs = runs.map(|logs| (logs.source, logs.destination));
    runs.find(fits).expect("one of a hundred")
}

/// `log` with the source's receipt of a page request, in front of an event.
fn receipt(log: &str, before: &str) -> String {
    let at = log.find(before).expect("it is there");
    let line = log[..at].rfind('\n').map_or(0, |end| end + 1);
    let stamp = log[line..].split(':').next().expect("thread and time");
    let text = "migrate_handle_rp_req_pages in pc.ram at 0x0 len 0x1000";
    format!("{}{stamp}:{text}\n{}", &log[..line], &log[line..])
}

#[test]
fn both_sides_of_every_run_of_the_simulator_fit() {
    let mut compared = 0;
    for name in Scenario::names() {
        let scenario = Scenario::built_in(name).expect("built in");
        for plan in scenario.expect.keys() {
            let plan = Plan::built_in(plan).expect("built in");
            for seed in 1..=3 {
                let logs = emitted(&plan, &scenario, seed);
                if logs.source.is_empty() || logs.destination.is_empty() {
                    continue;
                }
                let report = together(&[&logs.source, &logs.destination], &plan);
                compared += u32::from(report.problems.is_empty());
                for outcome in &report.conform {
                    assert!(outcome.accepted, "{name}, {}: {:?}", plan.name, outcome.refused);
                }
            }
        }
    }
    println!("{compared} whole runs");
    assert!(compared >= 20, "{compared} whole runs");
}

#[test]
fn a_destination_needs_what_it_received_to_be_sent() {
    let (source, destination) = run("postcopy");
    assert_eq!(refused(&source, &destination), None);
    let (other_source, other) = run("postcopy-recover");
    assert_eq!(refused(&other_source, &other), None);
    let (log, event, reason) = refused(&source, &other).expect("it has recovered");
    assert_eq!(log, 1);
    assert!(event.starts_with("loadvm_process_command com=RECV_BITMAP"), "{event}");
    let wanted = "the source's log does not send RECV_BITMAP; are both logs of one migration?";
    assert_eq!(reason, wanted);
    // And a source that has recovered, with one that did not answer.
    let (log, event, reason) = refused(&other_source, &destination).expect("no answer");
    assert_eq!((log, event.as_str()), (0, "migrate_set_state new state postcopy-active"));
    assert!(reason.starts_with("the destination's log does not send RESUME_ACK"), "{reason}");
}

#[test]
fn a_source_needs_what_it_received_to_be_sent() {
    let (source, destination) = run("postcopy");
    let asked = destination.matches(":migrate_send_rp_message 3").count()
        + destination.matches(":migrate_send_rp_message 4").count();
    let end = ":migration_completion_postcopy_end ";
    let mut received = source.clone();
    for _ in 0..asked - source.matches(":migrate_handle_rp_req_pages").count() {
        received = receipt(&received, end);
    }
    assert_eq!(refused(&received, &destination), None, "as many as were sent");
    let one_more = receipt(&received, end);
    let (log, _, reason) = refused(&one_more, &destination).expect("one more than was sent");
    assert_eq!(log, 0);
    assert!(reason.contains(&format!("sends a page request only {asked} times")), "{reason}");
}

#[test]
fn no_order_of_both_logs_is_an_order_without_clocks() {
    let (source, destination) = run("postcopy");
    // The number is right; but the request is received before anything is sent.
    let early = receipt(&source, ":savevm_state_header");
    let (log, event, reason) = refused(&early, &destination).expect("it cannot be asked for yet");
    assert_eq!(log, 1);
    assert!(event.starts_with("loadvm_state_setup"), "{event}");
    assert!(reason.contains("needs the stream's header, which the source sends only after"));
    let late = receipt(&source, ":migration_completion_postcopy_end ");
    assert_eq!(refused(&late, &destination), None);
    // The clocks of the two machines are years apart.
    let elsewhere = destination.replace("@1700000", "@1500000");
    assert_eq!(refused(&late, &elsewhere), None);
    assert!(refused(&early, &elsewhere).is_some());
}

#[test]
fn an_advised_postcopy_may_end_as_a_precopy() {
    // Of QEMU 10.0.13, whose user asked for postcopy when all was sent.
    let source = include_str!("expect/trace/advised.source.log");
    let destination = include_str!("expect/trace/advised.destination.log");
    assert_eq!(refused(source, destination), None);
    let report = together(&[source, destination], &plan());
    assert_eq!(report.conform.iter().map(|it| it.events).collect::<Vec<_>>(), [31, 43]);
    // What was never advised is not torn down.
    let advise = "migrate_set_state new state active";
    let at = destination.find(advise).expect("it is there");
    let (before, after) = destination.split_at(at);
    let from = after.find(":qemu_loadvm_state_section 1\n").expect("RAM's");
    let line = |text: &str, at: usize| text[..at].rfind('\n').map_or(0, |end| end + 1);
    let setup = after.find("loadvm_state_setup").expect("it is there");
    let setup = after[setup..].find('\n').expect("a line") + setup + 1;
    let plain = format!("{before}{}{}", &after[..setup], &after[line(after, from)..]);
    let (_, event, reason) = refused(source, &plain).expect("nothing was set up");
    assert_eq!(event, "postcopy_ram_incoming_cleanup_entry");
    assert_eq!(reason, "no thread comes to this here");
    // 10.2 completes first, and all teardown comes after.
    let completed = ":migrate_set_state new state completed\n";
    let line_of = |what: &str| {
        let start = line(destination, destination.find(what).expect("it is there"));
        &destination[start..start + destination[start..].find('\n').expect("a line") + 1]
    };
    let cleanup = line_of(":postcopy_ram_incoming_cleanup_entry");
    let later = destination.replace(line_of(completed), "");
    let later = later.replace(cleanup, &format!("{}{cleanup}", line_of(completed)));
    let (_, event, _) = refused(source, &later).expect("10.0 tears down before");
    assert_eq!(event, "postcopy_ram_incoming_cleanup_entry");
    let newer = Plan::built_in("qemu-10.2").expect("built in");
    let outcome = |log: &str| together(&[log], &newer).conform[0].accepted;
    assert!(outcome(&later));
    assert!(!outcome(destination));
}

#[test]
fn what_is_not_whole_is_not_compared() {
    let (source, _) = run("postcopy");
    let (_, other) = run("postcopy-recover");
    assert!(refused(&source, &other).is_some());
    let cut = source.len() - 30;
    let report = together(&[&source[..cut], &other], &plan());
    assert!(report.conform.iter().all(|outcome| outcome.accepted));
    assert!(report.problems.iter().any(|problem| problem.message.contains("middle of a line")));
}

#[test]
fn a_log_without_a_migration_says_so() {
    let log = "1@1700000000.000001:qemu_mutex_locked taken mutex 0x40 (util/main-loop.c:308)\n\
               1@1700000000.000002:qemu_mutex_unlock released mutex 0x40 (system/cpus.c:566)\n";
    let report = together(&[log], &plan());
    assert_eq!(report.verdict, Verdict::Inconclusive);
    let text = report::trace(&report, 5);
    assert!(text.contains("conform: inconclusive: there is no event of a migration"), "{text}");
}
