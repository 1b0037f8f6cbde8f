//! The simulator: what the discussion about `postcopy_ram_listen_thread()` asked
//! of it, beyond verdicts.

use bqlcheck::explore::{
    Exploration, Found, Limits, exhaustive, is_minimal, name_schedule, replay, switches, witness,
};
use bqlcheck::lock::Rule;
use bqlcheck::sim::{Migration, Plan, Scenario, Size};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn model(plan: &str, scenario: &str, size: &str) -> Arc<Migration> {
    let plan = Plan::built_in(plan).expect("built in");
    let scenario = Scenario::built_in(scenario).expect("built in");
    Arc::new(Migration::new(plan, scenario, Size::named(size).expect("built in")).expect("fits"))
}

fn explore(plan: &str, scenario: &str, size: &str) -> Exploration {
    let result = exhaustive(&model(plan, scenario, size), &Limits::default());
    assert!(result.complete, "{plan} {scenario} {size}: {:?}", result.cut);
    result
}

#[test]
fn the_stall_grows_with_the_pages_and_is_not_there_without_the_patch() {
    let longest = |plan, size| {
        let facts = explore(plan, "postcopy", size).facts;
        facts.get("longest_bql_wait_ticks").map(|range| range.1)
    };
    let naive = ["l", "xl", "xxl"].map(|size| longest("bql-around-loadvm", size));
    assert_eq!(naive, [Some(4), Some(5), Some(6)]);
    assert_eq!(["l", "xl", "xxl"].map(|size| longest("qemu-10.0", size)), [None; 3]);
}

#[test]
fn run_on_cpu_lets_the_listen_thread_in_before_the_guest_starts() {
    let missing =
        |plan| explore(plan, "postcopy-run-on-cpu", "xl").facts["pages_missing_at_vm_start"];
    assert_eq!(missing("qemu-10.0"), (2, 2));
    // In some executions no page is missing any more when the guest starts.
    assert_eq!(missing("bql-around-loadvm").0, 0);
}

#[test]
fn a_vcpu_that_faults_under_the_bql_is_counted_not_forbidden() {
    let result = explore("qemu-10.0", "postcopy-mmio-dma", "xl");
    assert!(result.found.is_empty());
    assert_eq!(result.facts["vcpu_page_faults_under_bql"].1, 2);
}

#[test]
fn the_recovery_deadlock_shows_in_eight_switches_with_its_owners() {
    let program = model("bql-around-loadvm-main-accept", "postcopy-recover", "xl");
    let result = exhaustive(&program, &Limits::default());
    let found = result.found.iter().find(|f| f.violation.rule == Rule::WaitForever);
    let found = found.expect("BQL005");
    let shortest = witness(&program, found, &Limits::default());
    assert!(switches(&shortest) <= 8, "{} switches", switches(&shortest));
    let shown = Found { schedule: shortest.clone(), ..found.clone() };
    assert!(is_minimal(&program, &shown.violation, &shortest), "a step or a switch too many");
    let threads: Vec<u8> = found.violation.cycle.iter().map(|wait| wait.thread.0).collect();
    assert_eq!(threads, [0, 1], "main and mig/dst/listen");
    let [main, listen] = &found.violation.cycle[..] else { panic!("a cycle of two") };
    assert!(main.held_by.has(listen.thread) && main.held_by.len() == 1);
    assert!(listen.held_by.has(main.thread) && listen.held_by.len() == 1);
    assert_eq!(listen.site.function, "postcopy_pause_incoming");
}

/// Every built-in cell, as (plan, scenario, default size).
fn cells() -> Vec<(String, &'static str, String)> {
    Scenario::names()
        .flat_map(|name| {
            let scenario = Scenario::built_in(name).expect("built in");
            let size = scenario.size.clone();
            scenario.expect.into_keys().map(move |plan| (plan, name, size.clone()))
        })
        .collect()
}

#[test]
fn every_violation_has_a_witness_that_replays_to_it() {
    let cells = cells();
    let (next, replayed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((plan, scenario, size)) =
                    cells.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let program = model(plan, scenario, size);
                    for found in exhaustive(&program, &Limits::default()).found {
                        // Where states are many, the schedule that was met will do.
                        let met = *scenario == "postcopy-break-anytime";
                        let shortest = || witness(&program, &found, &Limits::default());
                        let schedule = if met { found.schedule.clone() } else { shortest() };
                        let steps = name_schedule(&program, &schedule);
                        let again = replay(&program, &steps)
                            .unwrap_or_else(|divergence| panic!("{plan} {scenario}: {divergence}"));
                        assert!(
                            again.violations.iter().any(|v| v.is_like(&found.violation)),
                            "{plan} {scenario}: {} is gone: {}",
                            found.violation.rule,
                            found.violation.message,
                        );
                        replayed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(replayed.into_inner(), 150);
}
