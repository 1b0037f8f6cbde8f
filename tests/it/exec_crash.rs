//! The kernel of `exec`, by small programs of C (`exec/crash.c`): crashes that leave
//! no stack to be read are outcomes like any other, and the run goes on.

use crate::cli::directory;
use crate::exec_kernel::{NOTHING, run, twins_of};
use crate::made_build::trial;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn image() -> Option<&'static Path> {
    static IMAGE: OnceLock<Option<PathBuf>> = OnceLock::new();
    // Frames are found by their pointers, and no call is a jump.
    let flags = "-fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-stack-protector";
    let sources = [("trial.c", include_str!("exec/crash.c"), flags)];
    IMAGE.get_or_init(|| trial(&directory("exec crash"), &sources)).as_deref()
}

/// Right and wrong, 200 schedules at random.
fn twins(program: &str, right: &str, wrong: &str) {
    twins_of(image(), 200, program, right, wrong);
}

#[test]
fn a_call_of_what_is_no_code_is_told_with_its_caller() {
    let wrong = "crash SIGSEGV: goes to _ where no code is in call < calls < run_chosen \"\"";
    twins("calls", r#"exit 0 "2""#, wrong);
}

#[test]
fn a_return_to_nowhere_has_no_place_in_the_program() {
    let wrong = "crash SIGSEGV: goes to 0xe, where no code is at  \"\"";
    twins("returns", r#"exit 0 "1""#, wrong);
}

#[test]
fn a_spoilt_stack_ends_a_backtrace_and_not_the_run() {
    let wrong = "crash SIGSEGV at _ in read_null < spoils_and_reads \"\"";
    twins("reads", r#"exit 0 "1""#, wrong);
    let wrong = "crash trial.c: locks: assertion `!wrong' failed in locks < spoils_and_locks \"\"";
    twins("asserts", r#"exit 0 "1""#, wrong);
}

#[test]
fn a_stack_that_overflows_is_an_outcome() {
    let Some(image) = image() else { return };
    for program in ["recurses", "thread_recurses"] {
        let seen = |way| run(image, "1:200", NOTHING, &format!("{program} {way}")).seen;
        let right = seen("right");
        assert_eq!(right[r#"exit 0 "55""#].0, 200, "{right:?}");
        let wrong = seen("wrong");
        let (ending, (many, _)) = wrong.first_key_value().expect("it ended");
        // As many frames as a backtrace has.
        let begin = "crash SIGSEGV: its stack overflows in deeper < deeper < deeper";
        assert!(*many == 200 && ending.starts_with(begin), "{wrong:?}");
    }
}
