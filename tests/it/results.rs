//! `proofs/results.json` against a fresh exploration of every cell, and both
//! against what the scenarios declare. `scripts/results` writes the file anew.

use bqlcheck::explore::{Limits, exhaustive};
use bqlcheck::lock::Rule;
use bqlcheck::report::verdict;
use bqlcheck::sim::{Migration, Plan, Scenario, Size, Verdict};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A cell of the matrix, as the file has it.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    plan: String,
    scenario: String,
    size: String,
    verdict: Verdict,
    rules: BTreeSet<Rule>,
    threads: usize,
    states: u64,
    executions: u64,
}

fn pinned() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proofs/results.json");
    let text = std::fs::read_to_string(path).expect("part of the repository");
    serde_json::from_str(&text).expect("scripts/results wrote it")
}

fn scenario(name: &str) -> Scenario {
    Scenario::built_in(name).expect("built in")
}

/// Every plan in every scenario that declares it, in the order of the matrix.
fn cells() -> Vec<(&'static str, &'static str)> {
    let declares = |s: &str, plan: &str| scenario(s).expect.contains_key(plan);
    let of = |plan| Scenario::names().filter(move |s| declares(s, plan)).map(move |s| (plan, s));
    Plan::names().flat_map(of).collect()
}

fn explored((plan, name): (&str, &str)) -> Row {
    let scenario = scenario(name);
    let size = scenario.size.clone();
    let plan_of = Plan::built_in(plan).expect("built in");
    let program = Migration::new(plan_of, scenario, Size::named(&size).expect("checked"));
    let program = Arc::new(program.expect("its own size fits"));
    let result = exhaustive(&program, &Limits::default());
    assert!(result.complete, "{plan} in {name}: {:?}", result.cut);
    Row {
        plan: plan.into(),
        scenario: name.into(),
        size,
        verdict: verdict(&result),
        rules: result.found.iter().map(|found| found.violation.rule).collect(),
        threads: program.threads(),
        states: result.states,
        executions: result.executions,
    }
}

#[test]
fn every_cell_comes_out_as_written_down() {
    let (cells, pinned) = (cells(), pinned());
    let written: Vec<(&str, &str)> =
        pinned.iter().map(|row| (row.plan.as_str(), row.scenario.as_str())).collect();
    assert_eq!(written, cells, "cells of proofs/results.json; see scripts/results");
    let next = AtomicUsize::new(0);
    let work = || {
        let turns = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let mine = turns.take_while(|n| *n < cells.len()).map(|n| (n, explored(cells[n])));
        mine.filter(|(n, row)| *row != pinned[*n]).map(|(_, row)| row).collect::<Vec<Row>>()
    };
    let differ = std::thread::scope(|scope| {
        let hands = [scope.spawn(work), scope.spawn(work)];
        hands.map(|hand| hand.join().expect("no panic")).concat()
    });
    assert!(differ.is_empty(), "not as in proofs/results.json; see scripts/results: {differ:#?}");
}

#[test]
fn what_is_written_down_is_what_the_scenarios_declare() {
    for row in pinned() {
        let declared = &scenario(&row.scenario).expect[&row.plan];
        let rules: BTreeSet<Rule> = declared.rules.iter().copied().collect();
        let cell = format!("{} in {}", row.plan, row.scenario);
        assert_eq!((row.verdict, row.rules), (declared.verdict, rules), "{cell}");
    }
}

#[test]
fn what_is_not_clean_has_a_reason() {
    for name in Scenario::names() {
        for (plan, declared) in scenario(name).expect {
            let proposed = ["io-drops-bql", "vfio-takes-bql"].contains(&plan.as_str());
            if declared.verdict != Verdict::Clean || proposed {
                let length = declared.reason.chars().count();
                assert!((1..=200).contains(&length), "{plan} in {name}: {length} characters");
            }
        }
    }
}
