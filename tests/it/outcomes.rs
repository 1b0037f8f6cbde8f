//! What a side of the simulator's migration can come to: all of it, pinned; the same
//! with and without the reduction; and how it is listed on the command line.

use crate::cli::run;
use bqlcheck::explore::{Limits, outcomes, outcomes_unreduced};
use bqlcheck::runtime::World;
use bqlcheck::sim::{Migration, Moves, Outcome, Plan, Projected, Scenario, Side, Size};
use std::collections::BTreeSet;
use std::sync::Arc;

fn program(plan: &str, scenario: &str, size: &str, side: Side) -> Arc<Projected> {
    let plan = Plan::built_in(plan).expect("built in");
    let mut scenario = Scenario::built_in(scenario).expect("built in");
    if scenario.hostile_section {
        scenario.environment = Moves::Any;
    }
    let size = Size::named(size).expect("built in");
    let migration = Migration::new(plan, scenario, size).expect("fits");
    Arc::new(migration.seen_from(side).expect("it has one"))
}

/// All outcomes, as they are written.
fn all(plan: &str, scenario: &str, size: &str, side: Side) -> Vec<String> {
    let found = outcomes(&program(plan, scenario, size, side), &Limits::default());
    assert!(found.exploration.complete, "{plan} in {scenario}");
    found.all.keys().map(Outcome::to_string).collect()
}

const DESTINATION: &str = "active > ADVISE > DISCARD > LISTENING > postcopy-active";

/// Those of a destination in postcopy: what comes after what they have in common.
fn later(plan: &str, scenario: &str, size: &str) -> Vec<String> {
    let all = all(plan, scenario, size, Side::Destination);
    let first = if plan == "qemu-7.2" { "none" } else { "setup" };
    let head = format!("{first} > {DESTINATION}");
    all.iter().map(|text| text.strip_prefix(&head).unwrap_or(text).to_string()).collect()
}

#[test]
fn a_migration_that_nothing_disturbs_has_one_outcome() {
    let done = " > RUNNING > completed > END; rests";
    for plan in ["qemu-7.2", "qemu-10.0", "qemu-10.2", "bql-around-loadvm"] {
        let late = plan == "qemu-10.2";
        if !late {
            assert_eq!(later(plan, "postcopy", "l"), [done], "{plan}");
        }
    }
    assert_eq!(
        all("qemu-10.2", "postcopy", "l", Side::Destination),
        ["setup > active > ADVISE > DISCARD > LISTENING > postcopy-device > postcopy-active \
          > RUNNING > completed > END; rests"]
    );
    let source = |plan| all(plan, "postcopy", "l", Side::Source);
    assert_eq!(source("qemu-7.2"), ["setup > active > postcopy-active > completed; rests"]);
    assert_eq!(
        source("qemu-10.0"),
        ["setup > active > device > postcopy-active > completed; rests"]
    );
}

#[test]
fn a_precopy_ends_as_its_version_has_it() {
    let of = |plan, side| all(plan, "precopy", "l", side);
    assert_eq!(of("qemu-7.2", Side::Source), ["setup > active > completed; rests"]);
    assert_eq!(of("qemu-10.0", Side::Source), ["setup > active > device > completed; rests"]);
    assert_eq!(of("qemu-7.2", Side::Destination), ["none > active > completed; rests"]);
    assert_eq!(of("qemu-10.0", Side::Destination), ["setup > active > completed; rests"]);
}

#[test]
fn a_cancelled_migration_may_have_failed_or_completed() {
    assert_eq!(
        all("qemu-10.0", "precopy-cancel", "l", Side::Source),
        [
            "setup > active > cancelling > cancelled; rests",
            "setup > active > device > cancelling > cancelled; rests",
            "setup > active > device > cancelling > completed; rests",
            "setup > active > device > completed; rests",
            "setup > active > device > failed; rests",
            "setup > active > failed; rests",
            "setup > cancelling > cancelled; rests",
        ]
    );
    // No state between the two, and it completes only if it is ACTIVE still.
    assert_eq!(
        all("qemu-7.2", "precopy-cancel", "l", Side::Source),
        [
            "setup > active > cancelling > cancelled; rests",
            "setup > active > completed; rests",
            "setup > active > failed; rests",
            "setup > cancelling > cancelled; rests",
        ]
    );
}

#[test]
fn a_network_that_breaks_anywhere_gives_twelve_to_a_destination() {
    let eleven = [
        " > RUNNING; waits",
        " > RUNNING > completed > END; rests",
        " > RUNNING > failed; waits",
        " > RUNNING > failed; exits",
        " > RUNNING > postcopy-paused; waits",
        " > RUNNING > postcopy-paused > postcopy-recover > postcopy-active > completed > END; rests",
        " > failed; exits",
        " > failed > RUNNING; waits",
        " > failed > RUNNING; exits",
    ];
    for (plan, first) in [("qemu-7.2", "none"), ("qemu-10.0", "setup")] {
        let mut wanted: Vec<String> = eleven.map(String::from).to_vec();
        for early in ["active > ADVISE > DISCARD", "active > ADVISE", "active"] {
            wanted.push(format!("{first} > {early} > failed; exits"));
        }
        assert_eq!(later(plan, "postcopy-break-anytime", "l"), wanted, "{plan}");
    }
}

#[test]
fn only_the_lock_round_the_load_hangs_the_main_loop() {
    let hangs = |plan| {
        let all = later(plan, "postcopy-break-anytime", "l");
        all.into_iter().filter(|text| text.ends_with("hangs")).collect::<Vec<_>>()
    };
    assert_eq!(hangs("bql-around-loadvm"), [" > RUNNING > postcopy-paused; hangs"]);
    assert_eq!(hangs("qemu-10.0"), [""; 0]);
    let main_accept = later("bql-around-loadvm-main-accept", "postcopy-recover", "l");
    assert_eq!(
        main_accept,
        [" > RUNNING > completed > END; rests", " > RUNNING > postcopy-paused; hangs"]
    );
}

#[test]
fn a_section_that_is_not_postcopiable_aborts_before_or_after_run() {
    for plan in ["qemu-7.2", "qemu-10.0"] {
        assert_eq!(later(plan, "hostile-source", "m"), ["; aborts", " > RUNNING; aborts"]);
    }
    let refused = later("check-postcopiable", "hostile-source", "m");
    assert!(refused.iter().all(|text| !text.ends_with("aborts")), "{refused:?}");
}

#[test]
fn the_reduction_leaves_no_outcome_out() {
    for plan in ["qemu-7.2", "qemu-10.0", "bql-around-loadvm"] {
        for (scenario, size, side) in [
            ("precopy-cancel", "l", Side::Source),
            ("precopy-break-anytime", "l", Side::Source),
            ("precopy-break-anytime", "l", Side::Destination),
            ("postcopy-recover", "l", Side::Destination),
            ("postcopy-recover", "l", Side::Source),
            ("hostile-source", "m", Side::Destination),
        ] {
            let program = program(plan, scenario, size, side);
            let reduced = outcomes(&program, &Limits::default());
            let whole = outcomes_unreduced(&program, &Limits::default());
            assert!(reduced.exploration.complete && whole.exploration.complete);
            let set = |all: &std::collections::BTreeMap<Outcome, _>| {
                all.keys().cloned().collect::<BTreeSet<_>>()
            };
            assert_eq!(set(&reduced.all), set(&whole.all), "{plan} in {scenario}, {side}");
        }
    }
}

#[test]
fn what_is_not_watched_leaves_no_trail() {
    let plan = Plan::built_in("qemu-10.0").expect("built in");
    let scenario = Scenario::built_in("postcopy").expect("built in");
    let size = Size::named("l").expect("built in");
    let migration = Migration::new(plan, scenario, size).expect("fits");
    let mut world = World::new(bqlcheck::runtime::Timing::Any);
    bqlcheck::runtime::Program::setup(&migration, &mut world);
    assert!(world.trail.values.is_empty());
}

#[test]
fn an_outcome_is_read_as_it_is_written() {
    for text in ["setup; rests", "setup > active > ADVISE > failed; exits", "none; hangs"] {
        assert_eq!(text.parse::<Outcome>().expect("well formed").to_string(), text);
    }
    for bad in ["", "setup", "setup; sleeps", "; rests", "setup >  > active; rests", "a b; rests"] {
        assert!(bad.parse::<Outcome>().is_err(), "{bad}");
    }
}

/// The command line of a cell's outcomes.
fn listed(plan: &str, scenario: &str, side: &str, more: &[&str]) -> (i32, String, String) {
    let cell = ["explore", "--plan", plan, "--scenario", scenario, "--outcomes", side];
    run(&[&cell, more].concat())
}

#[test]
fn the_command_lists_them() {
    let (code, said, _) = listed("qemu-10.0", "precopy-break-anytime", "source", &[]);
    assert_eq!(code, 0);
    assert!(said.starts_with("qemu-10.0 in precopy-break-anytime: 3 outcomes of the source\n"));
    assert!(said.ends_with("setup > active > failed; rests\n"), "{said}");
    assert!(said.lines().all(|line| line.len() <= 76));
    let json = listed("qemu-10.0", "postcopy", "destination", &["--format", "json"]).1;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["complete"], true);
    assert_eq!(json["outcomes"].as_array().map(Vec::len), Some(1));
}

#[test]
fn the_command_says_what_it_needs() {
    let (code, _, said) = run(&["explore", "--outcomes", "source"]);
    assert_eq!(code, 2);
    assert!(said.contains("--outcomes needs --plan and --scenario"), "{said}");
    for (scenario, side, more, wanted) in [
        ("postcopy", "source", ["--engine", "dpor"], "--outcomes needs --engine exhaustive"),
        ("postcopy", "source", ["--size", "m"], "size m has no source"),
        ("precopy", "destination", ["--size", "m"], "has no script, which needs a source"),
    ] {
        let (code, _, said) = listed("qemu-10.0", scenario, side, &more);
        assert_eq!(code, 2, "{scenario} {more:?}");
        assert!(said.contains(wanted), "{said}");
    }
    let budget = ["--budget", "1ms"];
    let (code, said, _) = listed("qemu-10.0", "postcopy-break-anytime", "source", &budget);
    assert_eq!(code, 3);
    assert!(said.contains("not complete: the budget ran out"), "{said}");
}
