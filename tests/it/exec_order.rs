//! The kernel of `exec`, by small programs of C (`exec/order.c`): in which order locks
//! are taken. An order that can deadlock is told in executions that do not, too.

use crate::cli::directory;
use crate::exec_kernel::{NOTHING, ends_of};
use crate::made_build::trial;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn image() -> Option<&'static Path> {
    static IMAGE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let sources = [("trial.c", include_str!("exec/order.c"), "")];
    IMAGE.get_or_init(|| trial(&directory("exec order"), &sources)).as_deref()
}

/// Threads that each take one lock of a circle while they hold the one before.
fn circle(threads: &[&str]) -> String {
    let takes = |who: &&str| format!("{who} takes a variable while it holds a variable");
    let all: Vec<String> = threads.iter().map(takes).collect();
    format!("; BQL008 {}", all.join("; "))
}

/// Right and wrong, 200 schedules at random: so many end well and so many in a
/// deadlock, and all of them tell the circle that these threads make.
fn twins(program: &str, threads: &[&str], well: usize) {
    let Some(image) = image() else { return };
    let right = format!("{program} right");
    ends_of(image, "1:200", NOTHING, &right, &[(200, r#"exit 0 """#)]);
    let endings = [r#"exit 0 """#, r#"quiet """#];
    let [well_told, stuck_told] = endings.map(|ending| ending.to_string() + &circle(threads));
    let wrong = [(well, &*well_told), (200 - well, &*stuck_told)];
    let wrong: Vec<(usize, &str)> = wrong.into_iter().filter(|(many, _)| *many > 0).collect();
    ends_of(image, "1:200", NOTHING, &format!("{program} wrong"), &wrong);
}

#[test]
fn two_locks_both_ways_round() {
    twins("inverted", &["thread 3", "thread 2"], 145);
}

#[test]
fn one_thread_alone_is_not_stuck() {
    twins("alone", &["thread 2", "thread 3"], 145);
}

#[test]
fn a_lock_in_common_keeps_them_apart() {
    twins("gate", &["thread 2", "thread 3"], 138);
}

#[test]
fn a_thread_that_was_joined_is_over() {
    twins("joined", &["thread 3", "thread 2"], 145);
}

#[test]
fn what_was_done_before_a_thread_began_is_over() {
    twins("begun", &["main", "thread 2"], 121);
}

#[test]
fn who_tries_a_lock_does_not_wait_for_it() {
    twins("tried", &["thread 3", "thread 2"], 145);
}

#[test]
fn a_wait_takes_its_mutex_again() {
    let Some(image) = image() else { return };
    ends_of(image, "1:200", NOTHING, "wait right", &[(200, r#"exit 0 """#)]);
    // In 68 the signal comes before the wait.
    let stuck = r#"quiet """#.to_string() + &circle(&["thread 2", "thread 3"]);
    ends_of(image, "1:200", NOTHING, "wait wrong", &[(68, r#"exit 0 """#), (132, &stuck)]);
}

#[test]
fn a_mutex_that_is_initialised_again_is_another_one() {
    twins("fresh", &["thread 3", "thread 2"], 200);
}

#[test]
fn three_locks_and_three_threads() {
    twins("three", &["thread 2", "thread 3", "thread 4"], 176);
}
