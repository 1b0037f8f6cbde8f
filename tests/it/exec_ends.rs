//! The kernel of `exec`, by small programs of C (`exec/ends.c`): how threads and
//! blocks of memory end. And memory of its own, which does not grow.

use crate::cli::directory;
use crate::exec_kernel::{self, NOTHING, ends_of, run};
use crate::made_build::trial;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn image() -> Option<&'static Path> {
    static IMAGE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let sources = [
        ("trial.c", include_str!("exec/ends.c"), ""),
        ("frames.c", include_str!("exec/frames.c"), "-fexceptions"),
    ];
    IMAGE.get_or_init(|| trial(&directory("exec ends"), &sources)).as_deref()
}

/// Right and wrong, by so many schedules at random.
fn twins(many: usize, program: &str, right: &str, wrong: &str) {
    let Some(image) = image() else { return };
    for (way, ending) in [("right", right), ("wrong", wrong)] {
        let program = format!("{program} {way}");
        ends_of(image, &format!("1:{many}"), NOTHING, &program, &[(many, ending)]);
    }
}

#[test]
fn threads_that_have_ended_leave_their_stacks_to_others() {
    twins(10, "many", r#"exit 0 "2000""#, r#"exit 0 "EAGAIN""#);
}

#[test]
fn a_thread_cleans_up_when_it_ends() {
    let wrong = r#"exit 0 "second first key 8""#;
    twins(200, "cleanup", r#"exit 0 "inner outer second first key 7""#, wrong);
    twins(200, "unwinds", r#"exit 0 "inner outer 7""#, r#"exit 0 "not 8""#);
    let wrong = r#"quiet ""; BQL004 thread 2 ends and holds a variable"#;
    twins(200, "held", r#"exit 0 "done""#, wrong);
}

#[test]
fn a_write_to_freed_memory_is_seen_though_nobody_reads_it() {
    let said = |said: &str, bytes, first, place| {
        format!(
            "exit 0 \"{said}\"; BQL012 byte {first} of {bytes} that were freed in {place} is \
             written to after that"
        )
    };
    twins(200, "stays", r#"exit 0 """#, &said("", 40, 8, "free_it"));
    twins(200, "reused", r#"exit 0 "the same""#, &said("the same", 40, 8, "free_it"));
    twins(200, "grown", r#"exit 0 """#, &said("", 40, 0, "grow_it"));
}

#[test]
fn a_thread_that_nobody_joins_is_told() {
    twins(200, "joined", r#"exit 0 """#, r#"exit 0 ""; BQL013 thread 2 is never joined"#);
}

#[test]
fn executions_leave_no_memory_behind() {
    for program in ["pipes right", "sockets wrong", "deadlock wrong", "assert wrong"] {
        let Some(image) = exec_kernel::image() else { return };
        let after = |many| run(image, &format!("1:{many}"), NOTHING, program).memory_kib;
        let (few, many) = (after(200), after(10_000));
        assert!(many < few + 256, "{program}: {few} KiB after 200, {many} KiB after 10,000");
    }
}
