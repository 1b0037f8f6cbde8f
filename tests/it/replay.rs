//! The files of `--out`, and `bqlcheck replay`.

use crate::cli::{directory, file, run};
use serde_json::Value;

/// Explores a violated cell with `--out` and gives the file of its violation.
fn written(test: &str, plan: &str, scenario: &str, name: &str) -> (String, Value) {
    let directory = directory(test);
    let out = directory.display().to_string();
    let (code, text, _) = run(&["explore", "--plan", plan, "--scenario", scenario, "--out", &out]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("To run it again: bqlcheck replay "), "{text}");
    let report = std::fs::read_to_string(directory.join("report.txt")).expect("written");
    assert_eq!(report, text);
    let result = std::fs::read_to_string(directory.join("result.json")).expect("written");
    let result: Value = serde_json::from_str(&result).expect("JSON");
    assert_eq!(result["plan"], plan);
    let path = directory.join(name);
    let witness = std::fs::read_to_string(&path).expect("written");
    (path.display().to_string(), serde_json::from_str(&witness).expect("JSON"))
}

#[test]
fn every_written_violation_shows_again() {
    for (plan, scenario, name) in [
        ("qemu-7.2", "postcopy", "BQL001-1.json"),
        ("bql-around-loadvm", "postcopy", "BQL006-1.json"),
        ("bql-around-loadvm", "postcopy", "BQL007-1.json"),
        ("vfio-join-under-bql", "postcopy-vfio", "BQL005-1.json"),
    ] {
        let (path, witness) = written(&format!("again-{plan}-{name}"), plan, scenario, name);
        assert_eq!(witness["plan"]["name"], plan);
        assert_eq!(witness["scenario"]["name"], scenario);
        let (code, text, _) = run(&["replay", &path]);
        assert_eq!(code, 1, "{text}");
        assert!(text.starts_with(&format!("{plan} in {scenario}, size ")), "{text}");
        let rule = &name[..6];
        assert!(text.contains(&format!("\n{rule}: ")), "{text}");
    }
}

#[test]
fn a_schedule_that_breaks_nothing_exits_with_0() {
    let (_, mut witness) = written("short", "qemu-7.2", "postcopy", "BQL001-1.json");
    witness["schedule"].as_array_mut().expect("an array").truncate(3);
    let (code, text, _) = run(&["replay", &file("short-file", &witness.to_string())]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("3 steps run; BQL001 does not show"), "{text}");
}

#[test]
fn a_schedule_that_cannot_be_followed_says_where() {
    let (_, mut witness) = written("parts", "qemu-7.2", "postcopy", "BQL001-1.json");
    witness["schedule"][2]["object"] = "another lock".into();
    let (code, text, _) = run(&["replay", &file("parts-file", &witness.to_string())]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("step 3: expected"), "{text}");
    assert!(text.contains("another lock"), "{text}");
}

#[test]
fn a_file_that_is_no_witness_is_refused() {
    let (path, mut witness) = written("refused", "qemu-7.2", "postcopy", "BQL001-1.json");
    let refused = |file: &str, what: &str| {
        let (code, _, stderr) = run(&["replay", file]);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(what) && stderr.contains("help: "), "{stderr}");
    };
    let cut = &std::fs::read_to_string(path).expect("written")[..100];
    refused(&file("refused-cut", cut), "EOF while parsing");
    witness["plan"]["teardown"] = "never".into();
    refused(&file("refused-plan", &witness.to_string()), "unknown variant `never`");
    witness["plan"]["teardown"] = "main-bh-join".into();
    witness["plan"]["version"] = "10.0".into();
    refused(&file("refused-contradiction", &witness.to_string()), "exists from version 10.2 on");
    witness["schema"] = 9.into();
    refused(&file("refused-schema", &witness.to_string()), "schema 9 is not known");
}
