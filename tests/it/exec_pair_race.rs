//! Data races of two processes, by small programs of C (`exec/pair_race.c`): those of
//! a side are found and told with its threads; there are none between the sides,
//! though both have all their memory at the same addresses.

use crate::exec_race::{linked, run};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn image() -> Option<&'static Path> {
    static IMAGE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let program = include_str!("exec/pair_race.c");
    IMAGE.get_or_init(|| linked(program, "exec pair race")).as_deref()
}

fn twins(program: &str, right: &[&str], wrong: &[&str]) {
    let Some(image) = image() else { return };
    let run = |twin: &str| run(image, "pair:1:100", &format!("{program} {twin}"));
    assert_eq!(run("right"), right, "{program} right");
    assert_eq!(run("wrong"), wrong, "{program} wrong");
}

/// Both sides have come to their end.
const DONE: &str = r#"100 quiet 0 0 "" """#;

#[test]
fn a_race_is_one_of_the_side_that_it_is_on() {
    let wrong = [
        "53 1/main: Read locked_add 1/thread 5: Write bare_add",
        "47 1/main: Write locked_add 1/thread 5: Read bare_add",
        "100 1/main: Write locked_add 1/thread 5: Write bare_add",
        DONE,
    ];
    twins("add", &[DONE], &wrong);
    let wrong = [
        "50 0/main: Read locked_add 0/thread 4: Write bare_add",
        "50 0/main: Write locked_add 0/thread 4: Read bare_add",
        "100 0/main: Write locked_add 0/thread 4: Write bare_add",
        DONE,
    ];
    twins("add-first", &[DONE], &wrong);
}

#[test]
fn what_both_sides_have_at_an_address_is_not_shared() {
    // The same two instructions are told once an execution.
    let wrong = [
        "50 0/main: Read locked_add 0/thread 4: Write bare_add",
        "50 0/main: Write locked_add 0/thread 4: Read bare_add",
        "100 0/main: Write locked_add 0/thread 4: Write bare_add",
        "26 1/main: Read locked_add 1/thread 5: Write bare_add",
        "29 1/main: Write locked_add 1/thread 5: Read bare_add",
        DONE,
    ];
    twins("alone", &[DONE], &wrong);
}

#[test]
fn an_answer_of_the_other_side_orders() {
    let wrong = ["100 0/main: Read look_when_answered 0/thread 4: Write change_and_ask", DONE];
    twins("answer", &[DONE], &wrong);
}

#[test]
fn a_lock_of_the_other_side_at_the_same_address_does_not() {
    let wrong = ["100 0/main: Read look_locked 0/thread 4: Write change", DONE];
    twins("locks", &[DONE], &wrong);
}
