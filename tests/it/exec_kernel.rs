//! The kernel of `exec`, by small programs of C that are linked like a QEMU
//! (`exec/trial.c`): each thing that it does, once right and once wrong.

use crate::cli::directory;
use crate::made_build::trial;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program, linked with the runtime; none where there is no compiler or ninja.
pub fn image() -> Option<&'static Path> {
    static IMAGE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let sources = [("trial.c", include_str!("exec/trial.c"), "")];
    IMAGE.get_or_init(|| trial(&directory("exec kernel"), &sources)).as_deref()
}

/// What became of a run.
pub struct Outcome {
    /// How often each ending was had, and the schedule of the first.
    pub seen: BTreeMap<String, (usize, String)>,
    /// All that was said.
    pub text: String,
    /// The greatest resident size in KiB.
    pub memory_kib: u64,
}

pub const NOTHING: &str = "0,0,0,0";

pub fn run(image: &Path, strategy: &str, choices: &str, program: &str) -> Outcome {
    let mut command = Command::new(image);
    command.args([strategy, choices]).args(program.split(' '));
    let output = command.output().expect("it was just linked");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{program}: {text} {:?}", output.status);
    assert!(text.ends_with("memory as it was\n"), "{program}: {text}");
    let mut seen = BTreeMap::new();
    for line in text.lines() {
        if let Some((many, rest)) = line.split_once(" x ") {
            let (ending, picked) = rest.rsplit_once(" replay").expect("its form");
            let ending = freed(image, &places(image, ending));
            // Where in a loop it is may be here or there.
            let of_it = seen.entry(ending).or_insert((0, format!("replay{picked}")));
            of_it.0 += many.parse::<usize>().expect("a number");
        }
    }
    let said = String::from_utf8(output.stderr).expect("text");
    let memory = said.strip_prefix("memory ").and_then(|rest| rest.strip_suffix(" KiB\n"));
    let memory_kib = memory.and_then(|number| number.parse().ok()).expect("its size");
    Outcome { seen, text, memory_kib }
}

/// The functions at the offsets of a crash, innermost first, without what is ours;
/// addresses, which depend on the machine, become `_`.
fn places(image: &Path, ending: &str) -> String {
    let Some((what, rest)) = ending.split_once(" at +") else { return ending.into() };
    let (offsets, said) = rest.split_once(' ').expect("what it said");
    let mut command = Command::new("addr2line");
    command.arg("-fe").arg(image).args(offsets.split('+'));
    let names = String::from_utf8(command.output().expect("binutils").stdout).expect("text");
    let names: Vec<&str> = names.lines().step_by(2).collect();
    let what: Vec<&str> = what
        .split(' ')
        .map(|word| if word.starts_with("0x") { "_" } else { word })
        .map(|word| word.rsplit('/').next().unwrap_or(word))
        .collect();
    let what = what.join(" ");
    // `trial.c:403:`: a line may move.
    let line = |word: &str| match word.split_once(".c:") {
        Some((file, _)) => format!("{file}.c:"),
        None => word.into(),
    };
    let what: Vec<String> = what.split(' ').map(line).collect();
    format!("{} in {} {said}", what.join(" "), names.join(" < "))
}

/// The functions that freed what was written to later, in place of offsets.
fn freed(image: &Path, ending: &str) -> String {
    let Some((before, rest)) = ending.split_once(" freed at +") else { return ending.into() };
    let (offset, after) = rest.split_once(' ').expect("what came of it");
    let mut command = Command::new("addr2line");
    command.arg("-fe").arg(image).arg(offset);
    let names = String::from_utf8(command.output().expect("binutils").stdout).expect("text");
    let name = names.lines().next().unwrap_or_default();
    format!("{before} freed in {name} {after}")
}

/// Runs a program with seed 1 and compares how often it ended how.
fn ends(strategy: &str, choices: &str, program: &str, expected: &[(usize, &str)]) {
    if let Some(image) = image() {
        ends_of(image, strategy, choices, program, expected);
    }
}

/// The same of any program.
pub fn ends_of(
    image: &Path,
    strategy: &str,
    choices: &str,
    program: &str,
    expected: &[(usize, &str)],
) {
    let outcome = run(image, strategy, choices, program);
    let seen: Vec<(usize, &str)> =
        outcome.seen.iter().map(|(ending, (many, _))| (*many, ending.as_str())).collect();
    assert_eq!(seen, expected, "{program}");
}

/// The same of a program's right and wrong way, each of which has one end in so many
/// schedules at random.
pub fn twins_of(image: Option<&Path>, many: usize, program: &str, right: &str, wrong: &str) {
    let Some(image) = image else { return };
    for (way, ending) in [("right", right), ("wrong", wrong)] {
        let (strategy, program) = (format!("1:{many}"), format!("{program} {way}"));
        ends_of(image, &strategy, NOTHING, &program, &[(many, ending)]);
    }
}

/// Right and wrong, 200 schedules at random.
fn twins(program: &str, right: &str, wrong: &[(usize, &str)]) {
    ends("1:200", NOTHING, &format!("{program} right"), &[(200, right)]);
    ends("1:200", NOTHING, &format!("{program} wrong"), wrong);
}

#[test]
fn a_mutex_keeps_others_out() {
    twins("mutex", r#"exit 0 "2""#, &[(67, r#"exit 0 "1""#), (133, r#"exit 0 "2""#)]);
    let recursive = r#"quiet ""; BQL003 main takes the heap, which it holds"#;
    twins("recursive", r#"exit 0 "0""#, &[(200, recursive)]);
    let takes = |who| format!("{who} takes a variable while it holds a variable");
    let order = format!("; BQL008 {}; {}", takes("thread 3"), takes("thread 2"));
    let [well, stuck] = [r#"exit 0 "done""#, r#"quiet """#].map(|end| end.to_string() + &order);
    twins("deadlock", r#"exit 0 "done""#, &[(145, &well), (55, &stuck)]);
}

#[test]
fn a_try_finds_a_mutex_taken_or_free() {
    let both = [(103, r#"exit 0 "busy done""#), (97, r#"exit 0 "done""#)];
    ends("1:200", NOTHING, "trylock right", &both);
    ends("1:200", NOTHING, "trylock wrong", &[(200, r#"exit 0 "done""#)]);
}

#[test]
fn a_signal_that_nobody_waits_for_is_lost() {
    twins("lost", r#"exit 0 "done""#, &[(143, r#"exit 0 "done""#), (57, r#"quiet """#)]);
    twins("futex", r#"exit 0 "done""#, &[(142, r#"exit 0 "done""#), (58, r#"quiet """#)]);
}

#[test]
fn pipes_and_sockets_carry_what_was_sent() {
    twins("pipes", r#"exit 0 "abc""#, &[(45, r#"exit 0 "a""#), (155, r#"exit 0 "abc""#)]);
    let wrong = [(99, r#"exit 0 """#), (101, r#"exit 0 "refused""#)];
    twins("sockets", r#"exit 0 "done hello""#, &wrong);
}

#[test]
fn threads_begin_end_and_are_joined() {
    let wrong = [
        (101, r#"exit 0 "0""#),
        (42, r#"exit 0 "0said ""#),
        (57, r#"exit 0 "0said "; BQL013 thread 2 is never joined"#),
    ];
    twins("join", r#"exit 0 "said 7""#, &wrong);
    let wrong = [(133, r#"exit 0 "6 7 5""#), (67, r#"exit 0 "7 7 5""#)];
    twins("local", r#"exit 0 "6 6 5""#, &wrong);
    twins("keys", r#"exit 0 "destroyed 3 done""#, &[(200, r#"exit 0 "done""#)]);
    let wrong = [(67, r#"exit 0 "0 1 ""#), (133, r#"exit 0 "1 1 ""#)];
    twins("once", r#"exit 0 "1 1 ""#, &wrong);
}

#[test]
fn the_rarer_locks_keep_others_out() {
    let wrong = [(55, r#"exit 0 "1""#), (145, r#"exit 0 "2""#)];
    twins("rwlock", r#"exit 0 "2""#, &wrong);
    twins("semaphore", r#"exit 0 "2""#, &wrong);
    let wrong = [(62, r#"exit 0 "1""#), (138, r#"exit 0 "2""#)];
    twins("spin", r#"exit 0 "2""#, &wrong);
}

#[test]
fn an_hour_takes_no_time() {
    ends("1:200", NOTHING, "time right", &[(200, r#"exit 0 "timeout after 3600 s""#)]);
}

#[test]
fn a_bad_free_and_a_use_after_it_are_told_with_their_place() {
    let wrong = r#"crash double free of _ in free_it < double_free < run_chosen """#;
    twins("double_free", r#"exit 0 "done""#, &[(200, wrong)]);
    let wrong = "crash SIGSEGV at no address that can be, like those that fill freed memory \
                 in follow < use_after_free < run_chosen \"\"";
    twins("use_after_free", r#"exit 0 "0""#, &[(200, wrong)]);
}

#[test]
fn a_missing_page_is_waited_for_until_somebody_brings_it() {
    twins("fault", r#"exit 0 "brought in""#, &[(200, r#"quiet """#)]);
    twins("into", r#"exit 0 "piped in""#, &[(200, r#"quiet """#)]);
}

#[test]
fn every_end_of_a_process_is_an_outcome_and_the_run_goes_on() {
    let wrong = "crash trial.c: asserts: assertion `!wrong' failed in asserts < run_chosen \"\"";
    twins("assert", r#"exit 0 """#, &[(200, wrong)]);
    twins("exit", r#"exit 0 """#, &[(200, r#"exit 3 """#)]);
    twins("abort", r#"exit 0 """#, &[(200, r#"crash abort() in aborts < run_chosen """#)]);
    twins(
        "null",
        r#"exit 0 "0""#,
        &[(200, r#"crash SIGSEGV at _ in follow < null < run_chosen """#)],
    );
    ends("1:2", NOTHING, "loop right", &[(2, r#"exit 0 """#)]);
    ends("1:2", NOTHING, "loop wrong", &[(2, r#"steps """#)]);
}

#[test]
fn what_rarely_happens_is_a_choice_with_a_bound() {
    let right = |choices, program: &str, ending| {
        ends("1:400", choices, &format!("{program} right"), &[(400, ending)]);
        ends("1:400", NOTHING, &format!("{program} right"), &[(400, ending)]);
    };
    right("2,0,0,0", "timeouts", r#"exit 0 "done""#);
    right("0,2,0,0", "pipes", r#"exit 0 "abc""#);
    right("0,0,2,0", "pipes", r#"exit 0 "abc""#);
    right("0,0,0,1", "spurious", r#"exit 0 "1""#);
    right("2,2,2,2", "pipes", r#"exit 0 "abc""#);
    let done = (395, r#"exit 0 "done""#);
    let early = "crash trial.c: wait_timed: assertion `ready' failed in \
                 wait_timed < with < timeouts < run_chosen \"\"";
    ends("1:400", "2,0,0,0", "timeouts wrong", &[(5, early), done]);
    ends("1:400", NOTHING, "timeouts wrong", &[(400, r#"exit 0 "done""#)]);
    let interrupted = [(3, r#"exit 0 """#), (119, r#"exit 0 "a""#), (278, r#"exit 0 "abc""#)];
    ends("1:400", "0,2,0,0", "pipes wrong", &interrupted);
    let short = [(130, r#"exit 0 "a""#), (32, r#"exit 0 "ab""#), (238, r#"exit 0 "abc""#)];
    ends("1:400", "0,0,2,0", "pipes wrong", &short);
    ends("1:400", "0,0,0,1", "spurious wrong", &[(5, r#"exit 0 "0""#), (395, r#"exit 0 "1""#)]);
    ends("1:400", NOTHING, "spurious wrong", &[(400, r#"exit 0 "1""#)]);
}

#[test]
fn the_same_seed_has_the_same_schedules() {
    let Some(image) = image() else { return };
    for strategy in ["7:300", "7:3:300"] {
        for (choices, program) in
            [(NOTHING, "deadlock wrong"), (NOTHING, "sockets right"), ("2,2,2,2", "pipes wrong")]
        {
            let once = run(image, strategy, choices, program).text;
            assert_eq!(once, run(image, strategy, choices, program).text);
            let other = strategy.replacen('7', "8", 1);
            let hash =
                |text: &str| text.lines().find(|line| line.starts_with("sched")).map(String::from);
            assert!(hash(&once).is_some());
            assert_ne!(hash(&once), hash(&run(image, &other, choices, program).text));
        }
    }
}

#[test]
fn what_was_picked_has_the_execution_again() {
    let Some(image) = image() else { return };
    for strategy in ["3:300", "3:3:300"] {
        for (choices, program) in [
            (NOTHING, "deadlock wrong"),
            (NOTHING, "join wrong"),
            ("2,2,2,2", "pipes wrong"),
            ("2,0,0,2", "timeouts wrong"),
        ] {
            for (ending, (_, replay)) in run(image, strategy, choices, program).seen {
                let again = run(image, &replay, choices, program).seen;
                assert_eq!(again, BTreeMap::from([(ending, (1, replay))]), "{program}");
            }
        }
    }
}

/// The names after `prefix` in `text`, as far as they are names.
fn names<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = String> + 'a {
    text.split(prefix)
        .skip(1)
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
}

#[test]
fn the_list_of_wrapped_names_is_what_is_implemented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: PathBuf| fs::read_to_string(path).expect("part of the repository");
    let folder = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(root.join(folder)).expect("part of the repository");
        let paths = entries.map(|entry| entry.expect("readable").path());
        paths.filter(|path| path.is_file()).map(read).collect()
    };
    let mut implemented = BTreeSet::new();
    for text in folder("src/exec/kernel/wrap") {
        implemented.extend(names(&text, "fn __wrap_"));
    }
    let glue = [folder("src/exec/glue"), folder("src/exec/glue/qemu")].concat();
    for text in glue {
        let of_line = |line: &str| names(line, "__wrap_").next();
        let own = text.lines().filter(|line| !line.starts_with(['#', ' ', '*', '/']));
        implemented.extend(own.filter_map(of_line).filter(|name| !name.is_empty()));
        let lines = text.lines().filter(|line| line.starts_with("WRAP_"));
        implemented.extend(lines.filter_map(|line| names(line, "(").next()));
    }
    let json: serde_json::Value =
        serde_json::from_str(&read(root.join("models/exec/libc.json"))).expect("JSON");
    let list = |value: &serde_json::Value| -> BTreeSet<String> {
        let all = value.as_array().expect("a list").iter();
        all.map(|name| name.as_str().expect("a name").to_string()).collect()
    };
    let listed = list(&json["wrap"]);
    assert_eq!(listed, implemented);
    // What is left out is not wrapped, and each has a reason.
    for left in json["left"].as_array().expect("a list") {
        assert!(left["why"].as_str().is_some_and(|why| !why.is_empty()));
        assert!(list(&left["names"]).is_disjoint(&listed));
    }
}
