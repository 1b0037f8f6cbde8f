//! `bqlcheck trace` on logs of real QEMUs, with the numbers that are in them.

use crate::cli::run;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The recordings, where they are: they are not part of the repository.
pub fn capture(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures").join(name);
    if path.is_file() {
        return Some(path);
    }
    eprintln!("skipped: there is no {}", path.display());
    None
}

fn json(name: &str, more: &[&str]) -> Option<(i32, Value)> {
    let path = capture(name)?.display().to_string();
    let mut words = vec!["trace", &path, "--format", "json"];
    words.extend(more);
    let (code, text, errors) = run(&words);
    let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {errors}"));
    Some((code, value))
}

const NAIVE: &str = "postcopy.qemu10-naive.destination.log.xz";
const CORRECT: [(&str, u64, u64); 3] = [
    ("postcopy.qemu10.destination.log.xz", 37_397, 23_002),
    ("postcopy-recover.qemu10.destination.log.xz", 47_088, 28_772),
    ("postcopy.qemu10.source.log.xz", 15_568, 14_375),
];

#[test]
fn the_naive_patch_holds_the_bql_for_six_seconds() {
    let Some((code, report)) = json(NAIVE, &[]) else { return };
    assert_eq!((code, &report["exit"], &report["verdict"]), (1, &1.into(), &"violated".into()));
    assert_eq!((&report["lines"], &report["unknown_lines"]), (&89_120.into(), &0.into()));
    let findings = report["findings"].as_array().expect("an array");
    assert_eq!(findings.len(), 1);
    let finding = &findings[0];
    assert_eq!(finding["rule"], "BQL006");
    assert_eq!(finding["thread"], "mig/dst/listen");
    assert_eq!(finding["site"], "migration/savevm.c:2059");
    assert_eq!(finding["held_us"], 6_205_494);
    let waiters: Vec<(&str, &str, u64)> = finding["waiters"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|w| {
            let word = |key: &str| w[key].as_str().expect("a string");
            (word("thread"), word("kind"), w["waited_us"].as_u64().expect("a number"))
        })
        .collect();
    assert_eq!(
        waiters,
        [
            ("main", "condition", 6_205_494),
            ("call_rcu", "lock", 6_155_203),
            ("CPU 0", "idle", 6_205_494)
        ]
    );
    let end = finding["at_us"].as_u64().expect("a number") + 6_205_494;
    let after = finding["after"].as_array().expect("an array");
    let run = after.iter().find(|m| m["event"] == "loadvm_postcopy_handle_run");
    assert_eq!(run.expect("it comes after")["at_us"], end + 1_339);
}

#[test]
fn correct_runs_are_clean_and_their_longest_holds_are_listed() {
    for (name, lines, locks) in CORRECT {
        let Some((code, report)) = json(name, &[]) else { return };
        assert_eq!((code, &report["verdict"]), (0, &"clean".into()), "{name}");
        assert_eq!(report["lines"], lines, "{name}");
        assert_eq!(report["logs"][0]["lock_events"], locks, "{name}");
        assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{name}");
        let longest = report["longest"].as_array().expect("an array");
        assert_eq!(longest.len(), 10, "{name}");
        let begun = longest.iter().filter(|hold| hold["startup"] == false);
        let most = begun.filter_map(|hold| hold["held_us"].as_u64()).max();
        assert!(most.is_some_and(|us| us < 100_000), "{name}: {most:?}");
    }
}

#[test]
fn a_bound_that_is_low_enough_makes_findings_and_a_window_leaves_them_out() {
    let name = CORRECT[0].0;
    let Some((code, report)) = json(name, &["--max-hold", "1ms"]) else { return };
    let count = report["findings"].as_array().map_or(0, Vec::len);
    assert_eq!((code, count > 0), (i32::from(count > 0), count > 0));
    let (code, report) = json(NAIVE, &["--until", "4"]).expect("it is there");
    assert_eq!((code, &report["verdict"]), (0, &"clean".into()));
    let (_, report) = json(NAIVE, &["--thread", "CPU"]).expect("it is there");
    let rows = report["holds"].as_array().expect("an array");
    assert!(!rows.is_empty() && rows.iter().all(|row| row["thread"] == "CPU 0"));
}

#[test]
fn source_and_destination_together() {
    let (Some(source), Some(destination)) = (capture(CORRECT[2].0), capture(CORRECT[0].0)) else {
        return;
    };
    let [source, destination] = [source, destination].map(|path| path.display().to_string());
    let (code, text, _) = run(&["trace", &source, &destination, "--format", "json", "--conform"]);
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((code, &report["lines"]), (0, &(15_568 + 37_397).into()));
    assert_eq!(report["logs"][0]["side"], "source");
    assert_eq!(report["logs"][1]["side"], "destination");
    assert!(report["conform"].as_array().expect("an array").iter().all(|c| c["accepted"] == true));
}

#[test]
fn the_text_fits_a_mail() {
    let Some(path) = capture(NAIVE) else { return };
    // Paths are as long as they are.
    let (_, text, _) = run(&["trace", &path.display().to_string(), "--conform"]);
    assert!(text.starts_with("verdict: violated: BQL006\n"), "{text}");
    for line in text.lines().filter(|line| !line.contains("captures")) {
        assert!(line.chars().count() <= 76, "{line}");
    }
    assert!(text.contains("bql held for 6.21 s by mig/dst/listen"));
}

#[test]
fn timelines_are_documents() {
    let Some(path) = capture(CORRECT[0].0) else { return };
    let path = path.display().to_string();
    let (code, text, _) = run(&["trace", &path, "--format", "perfetto"]);
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let events = value["traceEvents"].as_array().expect("an array");
    assert_eq!(code, 0);
    let count = |phase: &str| events.iter().filter(|event| event["ph"] == phase).count();
    assert_eq!(count("b"), count("e"), "what begins, ends");
    assert_eq!(count("s"), count("f"), "what is handed over, arrives");
    assert!(count("X") > 7_000 && count("i") > 10_000);
    let (code, page, _) = run(&["trace", &path, "--format", "html"]);
    assert_eq!(code, 0);
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    assert!(!page.contains("http://") && !page.contains("https://"), "no network");
}
