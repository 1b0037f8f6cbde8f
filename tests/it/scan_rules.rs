//! Every case of tests/rules: what was wrong in the shape of the tree before a
//! fix is found, at its place and nothing else; what is right is left alone.

use crate::literate::{Case, Half, Place, read};
use bqlcheck::lock::Rule;
use bqlcheck::scan::{Grade, Report, Sources, scan};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Fixed bugs that a scan can find.
const BUGS: [&str; 22] = [
    "M01",
    "M02",
    "M05",
    "M07",
    "M19",
    "M22",
    "M30",
    "M31",
    "M33",
    "M36",
    "M37",
    "P01",
    "P02",
    "S01",
    "S02",
    "S03",
    "S04",
    "S13",
    "S17",
    "S21",
    "S22",
    "BQL005-accept-in-main-loop",
];

/// Right, and looking wrong.
const RIGHT: [&str; 8] = ["D01", "D02", "D03", "D04", "D07", "D08", "D10", "D13"];

/// What the scan does not see yet. A case that it sees is to leave the list.
const OPEN: [&str; 2] = ["BQL005-answer-needs-mutex", "BQL005-vfio-cleanup"];

/// The rules that a scan reports.
const SCANNED: [Rule; 7] = [
    Rule::NeedsBql,
    Rule::MustNotHold,
    Rule::TakenTwice,
    Rule::Unbalanced,
    Rule::WaitForever,
    Rule::HeldWaiting,
    Rule::OrderInversion,
];

/// All cases, by the name of the file.
fn cases() -> BTreeMap<String, Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let mut cases = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).expect("part of the repository") {
        let path = entry.expect("readable").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("UTF-8").to_string();
        if name != "README" {
            let text = std::fs::read_to_string(&path).expect("readable");
            let case = read(&text).unwrap_or_else(|error| panic!("{name}.md: {error}"));
            cases.insert(name, case);
        }
    }
    cases
}

#[test]
fn every_case_says_what_is_wrong_and_what_is_right() {
    let cases = cases();
    for name in BUGS.iter().chain(&RIGHT) {
        assert!(cases.contains_key(*name), "{name}.md is missing");
    }
    for (name, case) in &cases {
        let right = RIGHT.contains(&&name[..]);
        let wrong = case.before.as_ref().is_some_and(|half| !half.expected.is_empty());
        assert!(right != wrong, "{name}: expects something before, or is one of the right ones");
        let number = name.len() == 3;
        assert!(
            !number || case.title.starts_with(name),
            "{name}: its title begins with its number"
        );
        assert!(case.after.expected.is_empty(), "{name}: expects something after");
        assert!(case.after.via.is_empty(), "{name}: marks a call after");
    }
}

#[test]
fn every_rule_has_bad_and_good_twins() {
    let cases = cases();
    for rule in SCANNED {
        let found = cases
            .values()
            .filter_map(|case| case.before.as_ref())
            .filter(|half| half.expected.iter().any(|place| place.rule == rule))
            .count();
        assert!(found >= 8, "{rule}: {found} cases");
    }
}

#[test]
fn a_case_that_is_not_in_form_is_refused() {
    let block = "```c\n/* file: a.c */\nint f(void)\n{\n    g();\n}\n```\n";
    assert!(read(&format!("# T\n\n## After\n\n{block}")).is_ok());
    for (text, message) in [
        (block.to_string(), "line 1: a title is missing"),
        (format!("# T\n{block}"), "line 2: a block outside of a section"),
        (format!("# T\n## Before\n{block}"), "there is no section 'After'"),
        ("# T\n## Later\n".into(), "line 2: no section is called 'Later'"),
        ("# T\nversion: 9.1\n".into(), "line 2: a version is 7.2, 10.0 or 10.2, at the top"),
        (format!("# T\n## After\n{block}{block}"), "line 11: a second file a.c"),
        (format!("# T\n## Both\n{block}## After\n{block}"), "a.c is in 'Both' too"),
        ("# T\n## After\n```c\nint f;\n".into(), "line 3: the block does not end"),
        (
            format!("# T\n## After\n{}", block.replace("g();", "g(); /* expect: BQL999 */")),
            "line 4: no rule is called 'BQL999'",
        ),
        (
            format!("# T\n## After\n{}", block.replace("int f(void)", "x; /* expect: BQL001 */")),
            "line 4: 'expect: BQL001' is in no function",
        ),
    ] {
        assert_eq!(read(&text).expect_err(message), message);
    }
}

#[test]
fn a_mark_is_a_place() {
    let text = "# T\n## After\n```c\n/* file: a.c */\nstatic int coroutine_fn\nf(int a,\n  int b)\n\
                {\n    g(); /* expect: BQL001, BQL006 */\n}\n```\n";
    let case = read(text).expect("in form");
    let place = |rule| Place { rule, path: "a.c".into(), function: "f".into(), line: 5 };
    let expected = BTreeSet::from([place(Rule::NeedsBql), place(Rule::HeldWaiting)]);
    assert_eq!(case.after.expected, expected);
}

/// The scan of half a case.
fn scanned(half: &Half, version: &str) -> Report {
    let mut sources = Sources::new();
    for (path, text) in &half.files {
        sources.insert(path.clone(), Arc::from(text.as_bytes()));
    }
    sources.insert("VERSION".into(), Arc::from(format!("{version}.0\n").as_bytes()));
    scan(&sources)
}

/// What is wrong with a report, as lines.
fn differences(half: &Half, report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for function in &report.functions_unparsed {
        lines.push(format!("{}:{} is not parsed", function.path, function.line));
    }
    let shown: Vec<_> = report.findings.iter().filter(|one| one.grade != Grade::Note).collect();
    let found: BTreeSet<Place> = shown
        .iter()
        .map(|one| Place {
            rule: one.rule,
            path: one.path.clone(),
            function: one.function.clone(),
            line: one.line,
        })
        .collect();
    for place in half.expected.difference(&found) {
        lines.push(format!("not found: {place:?}"));
    }
    for one in &shown {
        let place = Place {
            rule: one.rule,
            path: one.path.clone(),
            function: one.function.clone(),
            line: one.line,
        };
        if !half.expected.contains(&place) {
            lines.push(format!("not expected: {place:?}: {}", one.message));
        }
    }
    for via in &half.via {
        let on_path = shown.iter().any(|one| {
            one.rule == via.rule
                && one.call_path.iter().any(|frame| {
                    (&frame.path, &frame.function, frame.line)
                        == (&via.path, &via.function, via.line)
                })
        });
        if !on_path {
            lines.push(format!("no path goes through {via:?}"));
        }
    }
    lines
}

#[test]
fn the_scan_finds_what_was_wrong_and_nothing_else() {
    let mut wrong = Vec::new();
    let only = std::env::var("CASE").ok();
    for (name, case) in cases() {
        if only.as_ref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let before = case.before.iter().flat_map(|half| {
            differences(half, &scanned(half, &case.version))
                .into_iter()
                .map(|line| ("before", line))
        });
        let after = differences(&case.after, &scanned(&case.after, &case.version));
        let lines: Vec<_> = before.chain(after.into_iter().map(|line| ("after", line))).collect();
        let open = OPEN.contains(&&name[..]);
        if open && lines.is_empty() {
            wrong.push(format!("{name} is found now: it is to leave the list of open ones"));
        } else if !open || only.is_some() {
            wrong.extend(lines.into_iter().map(|(which, line)| format!("{name} {which}: {line}")));
        }
    }
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
}
