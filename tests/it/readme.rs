//! The README says what the program does: options, exit codes, keys of files and
//! of JSON.

use crate::cli::run;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(path).expect("part of the repository")
}

#[test]
fn every_option_is_in_the_readme_and_no_other() {
    let mut offered = BTreeSet::new();
    for verb in [
        &["--help"][..],
        &["explore", "--help"],
        &["replay", "--help"],
        &["trace", "--help"],
        &["lab", "--help"],
        &["exec", "--help"],
        &["agree", "--help"],
    ] {
        let (code, help, _) = run(verb);
        assert_eq!(code, 0);
        let words = help.split(|c: char| !(c.is_ascii_alphabetic() || c == '-'));
        let options = words.filter(|word| word.starts_with("--") && word.len() > 2);
        offered.extend(options.map(String::from));
    }
    let readme = read("README.md");
    let (_, section) = readme.split_once("## The command line").expect("a section");
    let (section, _) = section.split_once("\n## ").expect("and another");
    for option in &offered {
        assert!(section.contains(&format!("`{option}")), "{option} is not in the README");
    }
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `--"));
    for row in rows {
        let name = row.split(|c: char| !(c.is_ascii_alphabetic() || c == '-')).next();
        let option = format!("--{}", name.expect("split gives one"));
        assert!(offered.contains(&option), "{option} is only in the README");
    }
}

#[test]
fn the_exit_codes_are_in_the_readme() {
    let (_, help, _) = run(&["--help"]);
    let (_, table) = help.split_once("Exit codes:\n").expect("a table");
    let readme = read("README.md");
    let rows: Vec<(&str, &str)> =
        table.lines().filter_map(|row| row.trim().split_once(' ')).collect();
    assert_eq!(rows.len(), 8);
    for (code, meaning) in rows {
        let row = format!("| {code} | {}", meaning.trim());
        assert!(readme.contains(&row), "{row}");
    }
}

/// Every key of `value`, but not of what is under `except`.
fn keys(value: &Value, except: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (key, below) in value.as_object().into_iter().flatten() {
        all.insert(key.clone());
        if key != except {
            all.extend(keys(below, except));
        }
    }
    value.as_array().into_iter().flatten().for_each(|item| all.extend(keys(item, except)));
    all
}

#[test]
fn every_key_of_plans_scenarios_and_json_is_in_the_readme() {
    let readme = read("README.md");
    let (_, json, _) =
        run(&["explore", "--plan", "qemu-7.2", "--scenario", "postcopy", "--format", "json"]);
    for text in [read("models/plans/qemu-10.0.json"), read("models/scenarios/postcopy.json"), json]
    {
        let value: Value = serde_json::from_str(&text).expect("JSON");
        for key in keys(&value, "expect") {
            let fact = value["facts"].get(&key).is_some();
            assert!(fact || readme.contains(&format!("`{key}`")), "{key} is not in the README");
        }
    }
    for key in ["return-path-capacity", "spurious-wakeups", "reason", "rules", "precopy", "cancel"]
    {
        assert!(readme.contains(&format!("`{key}`")), "{key} is not in the README");
    }
}

#[test]
fn every_key_of_a_scan_s_json_is_in_the_readme() {
    let readme = read("README.md");
    let (_, section) = readme.split_once("\n## The scan\n").expect("a section");
    let (section, _) = section.split_once("\n## ").expect("and another");
    let value: Value =
        serde_json::from_str(&read("tests/it/expect/scan/series.json")).expect("JSON");
    let all = keys(&value, "");
    assert!(all.len() > 40, "{all:?}");
    for key in all {
        assert!(section.contains(&format!("`{key}`")), "{key} is not in the README");
    }
}

#[test]
fn every_key_of_trace_is_in_the_readme() {
    let folder = std::env::temp_dir().join(format!("bqlcheck-readme-{}", std::process::id()));
    let out = folder.display().to_string();
    let scenario = ["--plan", "qemu-7.2", "--scenario", "postcopy-recover"];
    let (code, ..) = run(&[&["explore", "--emit-log", &out], &scenario[..]].concat());
    assert_eq!(code, 0);
    let log = folder.join("destination.log").display().to_string();
    let (_, json, _) = run(&["trace", &log, "--conform", "--format", "json"]);
    std::fs::remove_dir_all(folder).expect("it was made");
    let readme = read("README.md");
    let value: Value = serde_json::from_str(&json).expect("JSON");
    for key in keys(&value, "") {
        assert!(readme.contains(&format!("`{key}`")), "{key} is not in the README");
    }
}

#[test]
fn its_first_block_has_the_two_commands() {
    let readme = read("README.md");
    let (_, block) = readme.split_once("```sh\n").expect("a block");
    let commands: Vec<&str> = block.lines().take(2).collect();
    assert!(commands[0].starts_with("cargo run --release"));
    assert!(commands[1].starts_with("cargo test"));
}
