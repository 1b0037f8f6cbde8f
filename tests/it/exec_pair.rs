//! Two processes with one kernel, by small programs of C (`exec/pair.c`): what they
//! share and what not, their ends, and that all of it is had again.

use crate::exec_kernel::linked;
use bqlcheck::exec::kernel::shared::VARIABLE;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program, linked with the runtime; none where there is no compiler or ninja.
fn image() -> Option<&'static Path> {
    static IMAGE: OnceLock<Option<PathBuf>> = OnceLock::new();
    IMAGE.get_or_init(|| linked("exec pair", include_str!("exec/pair.c"))).as_deref()
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
            let ending = ending.split_once(" at ").map_or(ending, |(what, _)| what);
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

#[test]
fn first() {
    ends("1:200", "apart right", &[]);
}
