//! Two processes with one kernel, by small programs of C (`exec/pair.c`): what they
//! share and what not, their ends, and that all of it is had again.

use crate::cli::directory;
use crate::made_build::trial;
use bqlcheck::exec::kernel::shared::VARIABLE;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program, linked with the runtime; none where there is no compiler or ninja.
fn image() -> Option<&'static Path> {
    static IMAGE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let sources = [("pair.c", include_str!("exec/pair.c"), "")];
    IMAGE.get_or_init(|| trial(&directory("exec pair"), &sources)).as_deref()
}

/// All that a run says.
fn text(image: &Path, strategy: &str, program: &str) -> String {
    let mut command = Command::new(image);
    command.env(VARIABLE, "1").args([&format!("pair:{strategy}"), "0,0,0,0"]);
    let output = command.args(program.split(' ')).output().expect("it was just linked");
    let text = String::from_utf8(output.stdout).expect("text");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {text} {errors} {:?}", output.status);
    assert!(text.ends_with("memory as it was\n"), "{program}: {text}");
    text
}

/// How often it ended how, and the schedule of the first of each.
fn seen(text: &str) -> BTreeMap<&str, (usize, String)> {
    let lines = text.lines().filter_map(|line| line.split_once(" x "));
    lines
        .map(|(many, rest)| {
            let (ending, picked) = rest.rsplit_once(" replay").expect("its form");
            // Where a crash was: the address depends on the machine.
            let ending = ending.split_once(" at +").map_or(ending, |(what, _)| what);
            (ending, (many.parse().expect("a number"), format!("replay{picked}")))
        })
        .collect()
}

fn ends(strategy: &str, program: &str, expected: &[(usize, &str)]) {
    let Some(image) = image() else { return };
    let text = text(image, strategy, program);
    let seen: Vec<(usize, &str)> =
        seen(&text).iter().map(|(ending, (many, _))| (*many, *ending)).collect();
    assert_eq!(seen, expected, "{program}");
}

/// Right and wrong, 200 schedules at random.
fn twins(program: &str, right: &str, wrong: &[(usize, &str)]) {
    ends("1:200", &format!("{program} right"), &[(200, right)]);
    ends("1:200", &format!("{program} wrong"), wrong);
}

#[test]
fn each_side_has_memory_of_its_own() {
    ends("1:200", "apart right", &[(200, r#"quiet 0 0 "a b 1" "b a 2""#)]);
    ends("1:3:200", "apart right", &[(200, r#"quiet 0 0 "a b 1" "b a 2""#)]);
}

#[test]
fn a_lock_of_one_side_is_not_the_others_at_the_same_address() {
    let wrong = r#"quiet - - "" ""; BQL013 0/thread 4 is never joined"#;
    twins("locks", r#"quiet 0 0 "done" "done""#, &[(200, wrong)]);
}

#[test]
fn who_waits_for_the_other_side_is_answered_or_waits_for_ever() {
    twins("answer", r#"quiet 0 0 "a" "q""#, &[(200, r#"quiet - - "" """#)]);
}

#[test]
fn one_scheduler_has_the_threads_of_both() {
    let wrong = [
        (41, r#"quiet 0 0 "" "-""#),
        (93, r#"quiet 0 0 "" "x""#),
        (66, r#"quiet 0 0 "lost " "-""#),
    ];
    twins("race", r#"quiet 0 0 "" "x""#, &wrong);
}

#[test]
fn the_end_of_one_side_is_an_outcome() {
    twins("end", r#"quiet 0 0 "yz" """#, &[(200, r#"quiet 0 3 "y-" """#)]);
    twins("crash", r#"quiet 0 0 "0" "1""#, &[(200, "crash SIGSEGV at 0x0")]);
}

#[test]
fn a_process_that_is_gone_ends_the_run() {
    let Some(image) = image() else { return };
    ends("1:200", "vanish right", &[(200, r#"quiet 0 0 "0" "1""#)]);
    let mut command = Command::new(image);
    command.env(VARIABLE, "1").args(["pair:1:200", "0,0,0,0", "vanish", "wrong"]);
    let output = command.output().expect("it was just linked");
    assert_eq!(output.status.code(), Some(101));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors, "the process of the other side has ended, with status 0x700\n");
}

#[test]
fn without_a_heap_that_is_shared_there_is_no_pair() {
    let Some(image) = image() else { return };
    let output = Command::new(image).args(["pair:1:2", "0,0,0,0", "apart", "right"]).output();
    let output = output.expect("it was just linked");
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("the heap of this process is its own"), "{errors}");
}

#[test]
fn the_same_seed_has_the_same_schedules_and_what_was_picked_is_had_again() {
    let Some(image) = image() else { return };
    for strategy in ["7:300", "7:3:300"] {
        let once = text(image, strategy, "race wrong");
        assert_eq!(once, text(image, strategy, "race wrong"));
        let hash = |text: &str| text.lines().find(|l| l.starts_with("sched")).map(String::from);
        let other = text(image, &strategy.replacen('7', "8", 1), "race wrong");
        assert!(hash(&once).is_some());
        assert_ne!(hash(&once), hash(&other));
        for (ending, (_, replay)) in seen(&once) {
            let again = text(image, &replay, "race wrong");
            assert_eq!(seen(&again), BTreeMap::from([(ending, (1, replay))]));
        }
    }
}
