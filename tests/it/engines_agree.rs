//! The migration under all engines: they agree on every cell, and their sizes
//! change only when they or the model do. `BLESS=1 cargo test` writes the tables
//! in `tests/it/expect/` anew.

use crate::agree::findings;
use bqlcheck::explore::{Exploration, Limits, dpor, exhaustive, sample, unreduced};
use bqlcheck::report::verdict;
use bqlcheck::runtime::shuttle::Strategy;
use bqlcheck::sim::{Migration, Plan, Scenario, Size};
use rayon::prelude::*;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Cells with more states than this are not explored without a reduction.
const UNREDUCED: u64 = 2_000;
/// dpor stops after so many executions, and shows less than all.
const EXECUTIONS: u64 = 6_000;
/// Where there are more states than this it stops earlier.
const LARGE: u64 = 10_000;
const SAMPLE: u64 = 500;

type Findings = BTreeSet<(&'static str, String)>;

/// A cell of the matrix at a size.
#[derive(Clone, Copy)]
struct Cell {
    size: &'static str,
    scenario: &'static str,
    plan: &'static str,
}

impl Cell {
    /// The program, if the scenario can be had at this size.
    fn program(self) -> Option<Arc<Migration>> {
        let size = Size::named(self.size).expect("a built-in size");
        let scenario = Scenario::built_in(self.scenario).expect("a built-in scenario");
        let plan = Plan::built_in(self.plan).expect("a built-in plan");
        let fits = scenario.too_small(&size).is_none();
        fits.then(|| Arc::new(Migration::new(plan, scenario, size).expect("it fits")))
    }

    fn name(self) -> String {
        format!("{} {} {}", self.size, self.scenario, self.plan)
    }
}

/// All plans in all scenarios at these sizes, where they fit.
fn cells(sizes: &[&'static str]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for size in sizes {
        for scenario in Scenario::names() {
            cells.extend(Plan::names().map(|plan| Cell { size, scenario, plan }));
        }
    }
    cells.retain(|cell| cell.program().is_some());
    cells
}

/// Each rule with how many violations of it there are.
fn rules(findings: &Findings) -> String {
    let codes: BTreeSet<&str> = findings.iter().map(|(rule, _)| *rule).collect();
    let count = |code: &&str| findings.iter().filter(|(rule, _)| rule == code).count();
    let each: Vec<String> = codes
        .iter()
        .map(|code| match count(code) {
            1 => (*code).to_string(),
            n => format!("{code} x{n}"),
        })
        .collect();
    if each.is_empty() { "clean".into() } else { each.join(", ") }
}

/// In what `other` contradicts `all`, which is complete: nothing may be missing
/// from what is complete, and nothing be new in anything.
fn contradiction(all: &Exploration, other: &Exploration) -> Option<String> {
    let (known, found) = (findings(all), findings(other));
    if let Some(new) = found.difference(&known).next() {
        Some(format!("finds {new:?}, which is not there"))
    } else if !other.terminals.is_subset(&all.terminals) {
        Some("ends where there is no end".into())
    } else if !other.complete {
        None
    } else if let Some(missed) = known.difference(&found).next() {
        Some(format!("misses {missed:?}"))
    } else if other.terminals.len() != all.terminals.len() {
        Some(format!("{} ends of {}", other.terminals.len(), all.terminals.len()))
    } else {
        (verdict(all) != verdict(other)).then(|| "another verdict".into())
    }
}

/// Explores the cell three ways; its line of the table, or what is wrong.
fn explored(cell: Cell) -> Result<String, String> {
    let wrong = |what: String| format!("{}: {what}", cell.name());
    let program = cell.program().expect("only cells that fit");
    let all = exhaustive(&program, &Limits::default());
    if let Some(cut) = all.cut {
        return Err(wrong(format!("exhaustive: {cut}")));
    }
    let whole = (all.states <= UNREDUCED).then(|| unreduced(&program, &Limits::default()));
    let mut limits = Limits::default();
    limits.executions = Some(if all.states <= LARGE { EXECUTIONS } else { SAMPLE });
    let orders = dpor(&program, &limits);
    let stopped = orders.cut.as_ref().is_some_and(|cut| cut.starts_with("stopped after"));
    if !orders.complete && !stopped {
        return Err(wrong(format!("dpor: {:?}", orders.cut)));
    }
    let others = [("unreduced", whole.as_ref()), ("dpor", Some(&orders))];
    for (engine, other) in others {
        if let Some(how) = other.and_then(|other| contradiction(&all, other)) {
            return Err(wrong(format!("{engine} {how}")));
        }
    }
    let states = whole.map_or("-".into(), |whole| whole.states.to_string());
    let orders = match orders.complete {
        true => format!("{}+{}", orders.executions, orders.blocked),
        false => "-".into(),
    };
    Ok(format!(
        "{}: states {} of {states}, dpor {orders}, ends {}, {}",
        cell.name(),
        all.states,
        all.terminals.len(),
        rules(&findings(&all))
    ))
}

/// Compares the lines with those of the table, or writes them there.
fn compare(table: &str, lines: Vec<Result<String, String>>) {
    let (lines, wrong): (Vec<_>, Vec<_>) = lines.into_iter().partition(Result::is_ok);
    let wrong: Vec<String> = wrong.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let text: String = lines.into_iter().flatten().map(|line| line + "\n").collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/expect").join(table);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).expect("the tables can be written");
        return;
    }
    let known = std::fs::read_to_string(&path).expect("the table is there");
    let differing: Vec<(&str, &str)> =
        known.lines().zip(text.lines()).filter(|(a, b)| a != b).collect();
    assert!(differing.is_empty(), "{table}, known and found: {differing:#?}");
    assert_eq!(known.lines().count(), text.lines().count(), "{table}");
}

#[test]
fn three_explorations_of_every_cell_agree() {
    let cells = cells(&["xs", "s", "m", "l"]);
    compare("engines.txt", cells.into_par_iter().map(explored).collect());
}

/// Cells that between them break every rule that the model can break, and some
/// that are clean.
const SAMPLED: [(&str, &str, &str); 10] = [
    ("m", "postcopy", "qemu-7.2"),
    ("s", "postcopy", "bql-around-loadvm"),
    ("m", "postcopy-mmio-dma", "io-drops-bql"),
    ("m", "postcopy-vfio", "vfio-join-under-bql"),
    ("s", "hostile-source", "qemu-10.0"),
    ("m", "hostile-source", "split-load-state"),
    ("s", "postcopy-recover", "qemu-10.2"),
    ("l", "postcopy-recover-mmio-dma", "bql-around-loadvm-main-accept"),
    ("l", "postcopy-break-anytime", "qemu-7.2"),
    ("l", "postcopy-break-anytime", "vfio-takes-bql"),
];

/// Samples the cell; its line of the table, or what is wrong.
fn sampled(
    (size, scenario, plan): (&'static str, &'static str, &'static str),
) -> Result<String, String> {
    let cell = Cell { size, scenario, plan };
    let program = cell.program().expect("only cells that fit");
    let all = findings(&exhaustive(&program, &Limits::default()));
    let found = findings(&sample(&program, Strategy::Pct, 1, 10_000, &Limits::default()));
    match found.difference(&all).next() {
        Some(new) => Err(format!("{}: {new:?} is not there", cell.name())),
        None => Ok(format!("{}: {}, of {}", cell.name(), rules(&found), rules(&all))),
    }
}

#[test]
fn shuttle_finds_what_there_is_and_nothing_else() {
    compare("shuttle.txt", SAMPLED.into_iter().map(sampled).collect());
}

/// Explores the cell with loom, in a process of its own; its line of the table,
/// or what is wrong.
fn loomed(cell: Cell) -> Result<String, String> {
    let wrong = |what: String| format!("{}: {what}", cell.name());
    let program = cell.program().expect("only cells that fit");
    let all = findings(&exhaustive(&program, &Limits::default()));
    let output = Command::new(env!("CARGO_BIN_EXE_bqlcheck"))
        .args(["explore", "--engine", "loom", "--budget", "60s", "--format", "json"])
        .args(["--plan", cell.plan, "--scenario", cell.scenario, "--size", cell.size])
        .output()
        .expect("bqlcheck can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    let said: Value = serde_json::from_str(&text).map_err(|e| wrong(format!("{e}: {text}")))?;
    let reason = said["reason"].as_str().unwrap_or_default();
    if !reason.starts_with("loom saw every execution") {
        return Err(wrong(reason.into()));
    }
    let word = |violation: &Value, key: &str| violation[key].as_str().unwrap_or("").to_string();
    let violations = said["violations"].as_array().cloned().unwrap_or_default();
    let found: BTreeSet<(String, String)> =
        violations.iter().map(|v| (word(v, "rule"), word(v, "message"))).collect();
    let all_of: BTreeSet<(String, String)> =
        all.iter().map(|(rule, message)| ((*rule).to_string(), message.clone())).collect();
    if let Some(new) = found.difference(&all_of).next() {
        return Err(wrong(format!("{new:?} is not there")));
    }
    let executions = &said["executions"];
    let (found, due) = (found.len(), all_of.len());
    Ok(format!("{}: {executions} executions, {found} of {due}: {}", cell.name(), rules(&all)))
}

#[test]
fn loom_agrees_where_it_comes_to_an_end() {
    let all = Plan::names().map(|plan| Cell { size: "xs", scenario: "postcopy-mmio-dma", plan });
    let some = ["qemu-7.2", "qemu-10.0", "qemu-10.2", "vfio-takes-bql"];
    let some = some.map(|plan| Cell { size: "xs", scenario: "postcopy-run-on-cpu", plan });
    let cells: Vec<Cell> = all.chain(some).collect();
    compare("loom.txt", cells.into_iter().map(loomed).collect());
}
