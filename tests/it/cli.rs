//! The program as it is typed: exit codes one by one, bad files, budgets, Ctrl-C,
//! the shape of the JSON, the width of the text.

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs bqlcheck.
pub fn bqlcheck(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_bqlcheck");
    Command::new(program).args(arguments).output().expect("it was just built")
}

/// The exit code and both outputs.
pub fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = bqlcheck(arguments);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

/// A directory of its own for each test.
pub fn directory(test: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("the target directory can be written to");
    directory
}

/// Writes `text` to a file of its own and gives its path.
pub fn file(test: &str, text: &str) -> String {
    let path = directory(test).join("file.json");
    std::fs::write(&path, text).expect("the target directory can be written to");
    path.display().to_string()
}

/// A built-in file of the models, changed by `change`.
fn changed(test: &str, built_in: &str, change: impl FnOnce(&mut Value)) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models").join(built_in);
    let text = std::fs::read_to_string(path).expect("built-in");
    let mut value: Value = serde_json::from_str(&text).expect("built-in");
    change(&mut value);
    file(test, &value.to_string())
}

#[test]
fn a_clean_cell_exits_with_0_and_a_violated_one_with_1() {
    let (code, text, _) = run(&["explore", "--plan", "qemu-10.0", "--scenario", "postcopy"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("qemu-10.0 in postcopy: clean (as declared)"), "{text}");
    let (code, text, _) = run(&["explore", "--plan", "qemu-7.2", "--scenario", "postcopy"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("BQL001: needs the BQL, called without"), "{text}");
    assert!(text.contains("bqlcheck replay DIR/BQL001-1.json"), "{text}");
}

/// Exits with 2 and an error that has `what` in it, and a help line.
fn refused(arguments: &[&str], what: &str) {
    let (code, stdout, stderr) = run(arguments);
    assert_eq!(code, 2, "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("error: "), "{arguments:?}: {stderr}");
    assert!(stderr.contains(what), "{arguments:?}: no {what:?} in {stderr}");
    assert_eq!(stdout, "", "{arguments:?}");
}

#[test]
fn a_bad_invocation_exits_with_2() {
    refused(&["explor"], "unrecognized subcommand");
    refused(&["explore", "--budget", "60"], "a unit is missing");
    refused(&["explore", "--budget", "soon"], "500ms");
    refused(&["explore", "--engine", "spin"], "exhaustive");
    refused(&["explore", "--executions", "0"], "0 is not in 1..");
    refused(&["explore", "--plan", "qemu-11"], "no such plan; a file, or one of: qemu-7.2");
    refused(&["explore", "--scenario", "rdma"], "no such scenario");
    refused(&["explore", "--size", "huge"], "no such size; one of: xs");
    refused(&["explore", "--ram", "x"], "--ram needs --engine threads");
    refused(&["explain", "BQL999"], "BQL001 BQL002");
    refused(&["replay", "nowhere.json"], "nowhere.json: No such file");
}

#[test]
fn bad_files_are_named_with_the_place() {
    let plan = |file: &str, what: &str| {
        refused(&["explore", "--scenario", "postcopy", "--plan", file], what);
    };
    let scenario = |file: &str, what: &str| {
        refused(&["explore", "--plan", "qemu-10.0", "--scenario", file], what);
    };
    plan("./nowhere.json", "./nowhere.json: No such file");
    let path = file("cut", "{\n  \"schema\": 1,\n  \"name\": ");
    plan(&path, &format!("{path}:3:10: EOF"));
    let path = file("unknown-key", "{\n  \"schema\": 1,\n  \"colour\": 2\n}");
    plan(&path, &format!("{path}:3:10: unknown field `colour`"));
    let path = file("wrong-type", "{\n  \"schema\": \"one\"\n}");
    plan(&path, &format!("{path}:2:17: invalid type"));
    let path = changed("newer", "plans/qemu-10.0.json", |plan| plan["schema"] = 2.into());
    plan(&path, "schema 2 is not known");
    let path = changed("contradiction", "plans/qemu-10.0.json", |plan| {
        plan["postcopy-device"] = true.into();
    });
    plan(&path, "\"postcopy-device\" exists from version 10.2 on");
    let path = changed("dma-alone", "scenarios/postcopy.json", |scenario| {
        scenario["dma"] = true.into();
        scenario["mmio"] = false.into();
    });
    scenario(&path, "needs \"mmio\"");
    let path = changed("too-small", "scenarios/postcopy-recover.json", |_| {});
    refused(
        &["explore", "--plan", "qemu-10.0", "--scenario", &path, "--size", "xs"],
        "size s or larger",
    );
}

#[test]
fn loom_says_how_many_threads_it_can_hold() {
    let cell = ["explore", "--plan", "qemu-10.0", "--scenario", "postcopy", "--engine", "loom"];
    refused(&cell, "postcopy in size xl has");
    refused(&cell, "holds at most 5");
    refused(&cell, "--size xs");
}

#[test]
fn loom_runs_in_a_child_and_its_budget_is_kept() {
    let run_on = |plan| {
        let cell = ["explore", "--scenario", "postcopy", "--size", "xs", "--engine", "loom"];
        run(&[&cell[..], &["--budget", "2s", "--plan", plan]].concat())
    };
    let started = Instant::now();
    let (code, text, stderr) = run_on("qemu-10.0");
    assert_eq!(code, 3, "{text}{stderr}");
    assert!(text.contains("not complete: "), "{text}");
    assert!(started.elapsed() < Duration::from_secs(10));
    let (code, text, _) = run_on("qemu-7.2");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("! BQL001"), "the witness comes from another engine: {text}");
}

#[test]
fn a_sample_without_a_finding_is_inconclusive() {
    for engine in ["shuttle", "threads"] {
        let cell = ["explore", "--plan", "qemu-10.0", "--scenario", "postcopy"];
        let (code, text, _) =
            run(&[&cell[..], &["--engine", engine, "--executions", "7"]].concat());
        assert_eq!(code, 3, "{engine}: {text}");
        assert!(text.contains("7 executions sampled"), "{engine}: {text}");
        assert!(text.contains("not a proof"), "{engine}: {text}");
    }
}

#[test]
fn a_budget_that_runs_out_is_inconclusive() {
    let cell = ["explore", "--plan", "qemu-10.0", "--scenario", "postcopy", "--size", "xxl"];
    for engine in ["exhaustive", "dpor", "shuttle"] {
        let (code, text, _) = run(&[&cell[..], &["--engine", engine, "--budget", "1ms"]].concat());
        assert_eq!(code, 3, "{engine}: {text}");
        assert!(text.contains("not complete: "), "{engine}: {text}");
    }
}

#[test]
fn so_many_executions_are_inconclusive() {
    let cell = ["explore", "--plan", "qemu-10.0", "--scenario", "postcopy"];
    for engine in ["exhaustive", "dpor"] {
        let (code, text, _) =
            run(&[&cell[..], &["--engine", engine, "--executions", "2"]].concat());
        assert_eq!(code, 3, "{engine}: {text}");
        assert!(text.contains("stopped after 2 executions"), "{engine}: {text}");
    }
}

#[test]
fn a_scenario_that_concerns_no_plan_leaves_nothing_to_check() {
    let path = changed("nobody", "scenarios/postcopy.json", |scenario| {
        scenario["expect"] = Value::Object(serde_json::Map::new());
    });
    let (code, text, _) = run(&["explore", "--scenario", &path]);
    assert_eq!(code, 4, "{text}");
}

#[test]
fn a_matrix_exits_by_agreement_with_what_is_declared() {
    let declared = |test: &str, verdict: &str| {
        changed(test, "scenarios/postcopy.json", |scenario| {
            scenario["expect"] = serde_json::json!({
                "qemu-7.2": { "verdict": "violated", "rules": ["BQL001"] },
                "qemu-10.0": { "verdict": verdict },
            });
        })
    };
    let right = declared("declared-right", "clean");
    let (code, text, _) = run(&["explore", "--scenario", &right]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("2 cells: 2 as declared"), "{text}");
    assert!(text.contains("bqlcheck explore --plan PLAN --scenario SCENARIO"), "{text}");
    let (code, text, _) = run(&["explore", "--scenario", &declared("declared-wrong", "violated")]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("\n! postcopy "), "{text}");
    assert!(text.contains("declared: violated"), "{text}");
    let (code, text, _) =
        run(&["explore", "--scenario", &right, "--engine", "shuttle", "--executions", "3"]);
    assert_eq!(code, 3, "nothing contradicts it, and it is no proof: {text}");
}

/// Lets a search that would not end run for a while, then interrupts it.
fn interrupted(format: &str) -> (Option<i32>, String) {
    let child = Command::new(env!("CARGO_BIN_EXE_bqlcheck"))
        .args(["explore", "--plan", "qemu-10.0", "--scenario", "postcopy"])
        .args(["--engine", "shuttle", "--executions", "100000000", "--format", format])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it was just built");
    std::thread::sleep(Duration::from_millis(1000));
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status().expect("kill is there");
    assert!(sent.success());
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn ctrl_c_prints_what_is_known_and_exits_with_130() {
    let (code, text) = interrupted("text");
    assert_eq!(code, Some(130), "{text}");
    assert!(text.contains("not complete: interrupted"), "{text}");
    let (code, text) = interrupted("json");
    assert_eq!(code, Some(130), "{text}");
    let cell: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&cell["exit"], &cell["verdict"]), (&130.into(), &"inconclusive".into()));
    assert!(cell["executions"].as_u64() > Some(0), "{text}");
}

/// The keys of an object, sorted.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn sorted(keys: &str) -> Vec<&str> {
    let mut keys: Vec<&str> = keys.split_whitespace().collect();
    keys.sort_unstable();
    keys
}

#[test]
fn the_json_has_exactly_its_keys() {
    let (code, text, _) =
        run(&["explore", "--plan", "qemu-7.2", "--scenario", "postcopy", "--format", "json"]);
    assert_eq!(code, 1, "{text}");
    let cell: Value = serde_json::from_str(&text).expect("JSON");
    let all = "schema scenario plan engine size verdict complete threads executions states \
               steps wall_ms peak_rss_kib facts reason exit violations";
    assert_eq!(keys(&cell), sorted(all));
    assert_eq!(cell["schema"], 1);
    assert_eq!(cell["verdict"], "violated");
    assert_eq!((&cell["complete"], &cell["reason"]), (&true.into(), &Value::Null));
    assert!(cell["peak_rss_kib"].as_u64() > Some(0));
    let violation = &cell["violations"][0];
    assert_eq!(keys(violation), sorted("rule message threads cycle switches schedule"));
    assert_eq!(violation["rule"], "BQL001");
    assert_eq!(violation["threads"][0], "mig/dst/listen");
    let step = &violation["schedule"][0];
    assert_eq!(keys(step), sorted("thread operation object site"));
}

#[test]
fn the_json_of_a_deadlock_has_its_cycle() {
    let (code, text, _) = run(&[
        "explore",
        "--plan",
        "vfio-join-under-bql",
        "--scenario",
        "postcopy-vfio",
        "--format",
        "json",
    ]);
    assert_eq!(code, 1, "{text}");
    let cell: Value = serde_json::from_str(&text).expect("JSON");
    let all = cell["violations"].as_array().expect("an array");
    let deadlock = all.iter().find(|v| v["rule"] == "BQL005").expect("join and BQL");
    let link = &deadlock["cycle"][0];
    assert_eq!(keys(link), sorted("thread operation object held_by"));
    let cycle = deadlock["cycle"].as_array().expect("an array");
    assert!(cycle.len() >= 2, "{deadlock}");
    let held = |link: &Value| link["object"] == "bql" && link["held_by"][0].is_string();
    assert!(cycle.iter().any(held), "{deadlock}");
}

#[test]
fn a_matrix_is_an_array_of_cells_and_the_same_each_time() {
    let matrix = || {
        let (code, text, _) = run(&["explore", "--plan", "qemu-7.2", "--format", "json"]);
        assert!([0, 1].contains(&code), "{text}");
        let mut cells: Value = serde_json::from_str(&text).expect("JSON");
        for cell in cells.as_array_mut().expect("an array") {
            cell["wall_ms"] = 0.into();
            cell["peak_rss_kib"] = 0.into();
        }
        cells
    };
    let cells = matrix();
    assert_eq!(cells[0]["schema"], 1);
    assert_eq!(cells, matrix());
}

#[test]
fn text_fits_a_mail() {
    let fits = |arguments: &[&str]| {
        let (_, text, _) = run(arguments);
        for row in text.lines() {
            assert!(row.len() <= 76 && row.is_ascii(), "{arguments:?}: {} {row}", row.len());
        }
        assert!(!text.is_empty(), "{arguments:?}");
    };
    fits(&["--help"]);
    fits(&["explore", "--help"]);
    fits(&["trace", "--help"]);
    fits(&["lab", "--help"]);
    for verb in ["scan", "callers", "callees", "paths", "explain"] {
        fits(&[verb, "--help"]);
    }
    fits(&["explain"]);
    for code in 1..=14 {
        fits(&["explain", &format!("BQL{code:03}")]);
    }
    fits(&["explore", "--scenario", "postcopy"]);
    fits(&["explore", "--plan", "qemu-7.2", "--scenario", "postcopy-recover"]);
    fits(&["explore", "--plan", "bql-around-loadvm", "--scenario", "postcopy"]);
    fits(&["explore", "--plan", "vfio-join-under-bql", "--scenario", "postcopy-vfio"]);
}

#[test]
fn explain_has_both_examples_of_every_rule() {
    for code in 1..=14 {
        let code = format!("BQL{code:03}");
        let (exit, text, _) = run(&["explain", &code.to_lowercase()]);
        assert_eq!(exit, 0);
        assert!(text.starts_with(&format!("{code}: ")), "{text}");
        assert!(text.contains("\nBad:\n") && text.contains("\nGood:\n"), "{text}");
    }
}

#[test]
fn an_empty_image_is_nothing_to_check() {
    let path = file("empty-image", "");
    let (code, ..) = run(&["explore", "--engine", "threads", "--ram", &path]);
    assert_eq!(code, 4);
}
