//! The kernel of `exec`, by small programs of C (`exec/spin.c`): a loop that asks for
//! nothing does not stop the run, it ends if what it waits for comes, and is told if
//! not.

use crate::cli::directory;
use crate::exec_kernel::{NOTHING, ends_of, twins_of};
use crate::exec_race;
use crate::made_build::trial;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn image() -> Option<&'static Path> {
    static IMAGE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let sources = [("trial.c", include_str!("exec/spin.c"), "-fno-optimize-sibling-calls")];
    IMAGE.get_or_init(|| trial(&directory("exec spin"), &sources)).as_deref()
}

/// Right and wrong, few schedules: it takes a while to be sure.
fn twins(program: &str, wrong: &str) {
    twins_of(image(), 10, program, ENDS, &format!("spins in {wrong} < run_chosen \"\""));
}

const ENDS: &str = r#"exit 0 "1""#;

#[test]
fn a_loop_lets_others_go_on() {
    twins("spins", "wait_for_flag < spins");
    twins("spins_in_turn", "spins_in_turn");
}

#[test]
fn a_loop_with_what_the_other_needs_does_not_end() {
    let Some(image) = image() else { return };
    ends_of(image, "1:10", NOTHING, "spins_locked right", &[(10, ENDS)]);
    let spins = r#"spins in wait_for_flag < spins_locked < run_chosen """#;
    ends_of(image, "1:10", NOTHING, "spins_locked wrong", &[(4, ENDS), (6, spins)]);
}

#[test]
fn a_loop_lets_time_go_on() {
    twins("spins_for_time", "spins_for_time");
    twins("spins_for_a_sleeper", "wait_for_flag < spins_for_a_sleeper");
}

#[test]
fn a_loop_that_asks_for_something_is_one_as_well() {
    twins("asks", "asks");
    twins("asks_for_time", "asks_for_time");
    twins("asks_often", "asks_often");
}

#[test]
fn each_access_is_an_operation_where_races_are_looked_for() {
    let Some(image) = exec_race::linked(include_str!("exec/spin.c"), "exec spin races") else {
        return;
    };
    for program in ["asks", "spins"] {
        let ends = |way: &str| {
            let all = exec_race::run(&image, "1:10", &format!("{program} {way}"));
            all.into_iter().map(|line| line.split(" at ").next().expect("one").to_string())
        };
        assert!(ends("right").eq(["10 exit 0 \"1\""]), "{program}");
        assert!(ends("wrong").eq(["10 spins"]), "{program}");
    }
}
