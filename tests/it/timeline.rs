//! The chart of a schedule, to the letter: people paste it into mails.

use bqlcheck::explore::{Limits, exhaustive, witness};
use bqlcheck::lock::{Rule, at};
use bqlcheck::report::{Finding, Line, Link, Recording, timeline, violation};
use std::sync::Arc;

fn line(thread: usize, step: u32, operation: &'static str, object: &str) -> Line {
    let (function, step_name) = match (thread, object) {
        (0, "bql") => ("os_host_main_loop_wait", "bql_lock"),
        (0, _) => ("process_incoming_migration_co", "qemu_get_byte"),
        (1, _) => ("qemu_loadvm_state_main", "qemu_get_byte"),
        _ => ("qmp_migrate_recover", "qmp_migrate_recover"),
    };
    Line {
        thread,
        step,
        chosen: step > 0,
        operation,
        object: object.into(),
        site: at(function, step_name),
        detail: String::new(),
        big: object == "bql",
    }
}

/// The recovery deadlock, by hand.
fn recovery() -> Recording {
    let mut lines = vec![line(0, 1, "lock", "bql"), line(0, 0, "unlock", "bql")];
    lines.extend((2..8).map(|step| line(2, step, "load", "mis->state")));
    lines.push(line(1, 8, "lock", "bql"));
    lines.push(Line { detail: "Page(0)".into(), ..line(1, 9, "recv", "from_src_file") });
    lines.push(line(2, 10, "send", "main_loop"));
    lines.push(line(0, 11, "recv", "main_loop"));
    let link = |thread, operation, object: &str, site, by: &str, holds: &[&str]| Link {
        thread,
        operation,
        object: object.into(),
        site,
        held_by: vec![by.into()],
        holds: holds.iter().map(|lock| (*lock).to_string()).collect(),
    };
    let wait = at("os_host_main_loop_wait", "bql_lock");
    let pause = at("postcopy_pause_incoming", "qemu_sem_wait");
    Recording {
        threads: ["main", "mig/dst/listen", "mon_iothread", "vcpu[0]"].map(String::from).into(),
        lines,
        cycle: vec![
            link(0, "lock", "bql", wait, "mig/dst/listen", &[]),
            link(1, "sem_wait", "postcopy_pause_sem_dst", pause, "main", &["bql"]),
        ],
        breach: Some((Rule::WaitForever, None, None)),
        alternatives: Vec::new(),
    }
}

#[test]
fn a_deadlock_is_drawn_to_the_letter() {
    let expected = include_str!("expect/recovery.txt");
    let drawn = timeline(&recovery());
    assert_eq!(drawn, expected, "drawn:\n{drawn}");
}

#[test]
fn a_breach_ends_in_a_mark_where_it_is() {
    let mut recording = recovery();
    recording.cycle.clear();
    let site = at("qemu_loadvm_state_main", "qemu_get_byte");
    recording.breach = Some((Rule::HeldWaiting, Some(1), Some(site)));
    let drawn = timeline(&recording);
    assert!(drawn.contains("! BQL006 qemu_get_byte"), "{drawn}");
    assert!(drawn.contains("! breaks the rule"), "{drawn}");
    assert!(!drawn.contains("waits for"), "{drawn}");
}

#[test]
fn what_the_cycle_locks_and_waits_for_is_never_folded() {
    let mut recording = recovery();
    let many = (0..40).map(|nth| line(1, 20 + nth, "lock", "page_request_mutex"));
    recording.lines.extend(many);
    let drawn = timeline(&recording);
    assert_eq!(drawn.matches("lock page_request_mutex").count(), 40, "{drawn}");
}

#[test]
fn a_chart_fits_a_mail_however_many_threads_there_are() {
    let names: Vec<String> =
        (0..31).map(|nth| format!("a_thread_with_a_long_name[{nth}]")).collect();
    for count in 1..=names.len() {
        let lines = (0..count).map(|thread| Line {
            detail: "Page { index: 0, content: \u{e9} }".repeat(3),
            ..line(thread, thread as u32 + 1, "lock", "a_lock_with_quite_a_long_name_of_its_own")
        });
        let recording =
            Recording { threads: names.clone(), lines: lines.collect(), ..Recording::default() };
        for row in timeline(&recording).lines() {
            assert!(row.is_ascii() && row.len() <= 76, "{count} threads: {row}");
        }
    }
}

#[test]
fn a_toy_deadlock_is_reported_with_its_cycle() {
    let program = Arc::new(crate::toys::TwoLocks { inverted: true });
    let result = exhaustive(&program, &Limits::default());
    let schedule = witness(&program, &result.found[0], &Limits::default());
    let wanted = &result.found[0].violation;
    let (recording, seen) = Recording::of(&program, &schedule, wanted);
    let finding = Finding::recorded(&seen.expect("it shows"), recording);
    assert_eq!((finding.switches, finding.schedule.len()), (1, 2));
    let text = violation(&finding, true);
    assert!(text.contains("first waits for b (held by second)"), "{text}");
    assert!(text.contains("in toy: inner, holding a"), "{text}");
}
