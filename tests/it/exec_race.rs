//! Data races, by small programs of C that are compiled and linked as `--races` does
//! it (`exec/race.c`): each thing that orders two accesses, once there and once not.

use crate::cli::directory;
use bqlcheck::exec::kernel::shared::VARIABLE;
use bqlcheck::exec::link::{Build, LinkError, Settings, link};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A build of the program with `flags`; none where there is no compiler or ninja.
fn build(test: &str, flags: &str) -> Option<(Build, PathBuf)> {
    build_of(include_str!("exec/race.c"), test, flags)
}

/// The same of another program.
fn build_of(program: &str, test: &str, flags: &str) -> Option<(Build, PathBuf)> {
    for program in ["ninja", "cc", "objcopy"] {
        if Command::new(program).arg("--version").output().is_err() {
            eprintln!("skipped: there is no {program}");
            return None;
        }
    }
    let folder = directory(test);
    let [source, build, cache] = ["src", "build", "cache"].map(|name| folder.join(name));
    for folder in [source.join("migration"), source.join("util"), build.join("meson-info")] {
        fs::create_dir_all(folder).expect("a directory of our own");
    }
    let write = |path: PathBuf, text: &str| fs::write(path, text).expect("a file of our own");
    write(source.join("VERSION"), "10.0.0\n");
    write(source.join("migration/race.c"), program);
    write(source.join("migration/ram.c"), "int ram;\n");
    write(source.join("util/event.c"), include_str!("exec/event.c"));
    write(
        build.join("meson-info/meson-info.json"),
        r#"{"directories": {"source": "../src", "build": "."}}"#,
    );
    let entry = |file: &str, object: &str| {
        format!(
            r#"{{"directory": ".", "file": "../src/{file}", "output": "{object}",
                "command": "cc {flags} -MD -MF {object}.d -o {object} -c ../src/{file}"}}"#
        )
    };
    let entries = [
        entry("migration/race.c", "race.o"),
        entry("migration/ram.c", "ram.o"),
        entry("util/event.c", "libutil.a.p/event.o"),
    ];
    write(build.join("compile_commands.json"), &format!("[{}]", entries.join(", ")));
    // Where meson puts them: one object in an archive.
    write(
        build.join("build.ninja"),
        &format!(
            "
rule c
 command = cc {flags} -c $in -o $out
rule ar
 command = rm -f $out && ar rcs $out $in
rule c_LINKER
 command = cc -pie -o $out $in -pthread
build race.o: c ../src/migration/race.c
build ram.o: c ../src/migration/ram.c
build libutil.a.p/event.o: c ../src/util/event.c
build libutil.a: ar libutil.a.p/event.o
build qemu-system-x86_64: c_LINKER race.o ram.o libutil.a
default qemu-system-x86_64
"
        ),
    );
    let ninja = Command::new("ninja").arg("-C").arg(&build).output().expect("it is there");
    assert!(ninja.status.success(), "{}", String::from_utf8_lossy(&ninja.stdout));
    Some((Build::open(&build).expect("it is finished"), cache))
}

const FLAGS: &str = "-O1 -g -fPIE -D_GNU_SOURCE -std=gnu11 -Wall";

fn settings() -> Settings {
    let settings = Settings::built_in().expect("this executable is known");
    let mut settings = settings.with_races().without_qemu();
    for glue in &mut settings.glue {
        glue.text = glue.text.replace("bqlcheck_main", "bqlcheck_trial");
    }
    settings
}

/// The program, linked with the runtime.
fn image() -> Option<&'static Path> {
    static IMAGE: OnceLock<Option<PathBuf>> = OnceLock::new();
    IMAGE.get_or_init(|| linked(include_str!("exec/race.c"), "exec race")).as_deref()
}

/// A program, linked with the runtime and watched for races.
pub fn linked(program: &str, test: &str) -> Option<PathBuf> {
    let (build, cache) = build_of(program, test, FLAGS)?;
    Some(link(&build, &cache, &settings()).expect("it links").path)
}

/// 100 schedules at random: how often each ending, and each pair of accesses that
/// race, was had.
pub fn run(image: &Path, strategy: &str, program: &str) -> Vec<String> {
    let mut command = Command::new(image);
    if strategy.starts_with("pair:") {
        command.env(VARIABLE, "1");
    }
    command.args([strategy, "0,0,0,0"]).args(program.split(' '));
    let output = command.output().expect("it was just linked");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.ends_with("memory as it was\n"), "{program}: {text}");
    let mut all: BTreeMap<String, u32> = BTreeMap::new();
    for line in text.lines() {
        if let Some((many, ending)) = line.split_once(" x ") {
            // What is found besides says where, which depends on the compiler.
            let ending = ending.split(" replay").next().expect("split gives one");
            let ending = ending.split("; ").next().expect("split gives one");
            *all.entry(ending.into()).or_default() += many.parse::<u32>().expect("a number");
        } else if let Some((many, pair)) = line.split_once(" races ") {
            let words = pair.split(' ').map(|word| match word.strip_prefix('+') {
                Some(offset) => function(image, offset),
                None => word.into(),
            });
            let words: Vec<String> = words.collect();
            *all.entry(words.join(" ")).or_default() += many.parse::<u32>().expect("a number");
        }
    }
    all.into_iter().map(|(what, many)| format!("{many} {what}")).collect()
}

/// The function at an offset in the image.
fn function(image: &Path, offset: &str) -> String {
    let output = Command::new("addr2line").arg("-fe").arg(image).arg(offset).output();
    let text = String::from_utf8(output.expect("binutils").stdout).expect("text");
    text.lines().next().unwrap_or_default().into()
}

fn twins(program: &str, right: &[&str], wrong: &[&str]) {
    let Some(image) = image() else { return };
    assert_eq!(run(image, "1:100", &format!("{program} right")), right, "{program} right");
    assert_eq!(run(image, "1:100", &format!("{program} wrong")), wrong, "{program} wrong");
}

#[test]
fn a_mutex_orders_and_without_it_an_addition_is_lost() {
    twins(
        "mutex",
        &[r#"100 exit 0 "2""#],
        &[
            "100 Read add Write add",
            "100 Write add Write add",
            r#"31 exit 0 "1""#,
            r#"69 exit 0 "2""#,
        ],
    );
}

#[test]
fn a_release_orders_and_a_relaxed_store_does_not() {
    twins(
        "release",
        &[r#"100 exit 0 """#],
        &["25 Read receive_flag Write send_flag", r#"100 exit 0 """#],
    );
    twins(
        "fence",
        &[r#"100 exit 0 """#],
        &["25 Read receive_fence Write send_fence", r#"100 exit 0 """#],
    );
    twins("mixed", &[r#"100 exit 0 """#], &["100 AtomicWrite store Read load", r#"100 exit 0 """#]);
}

#[test]
fn a_condition_orders_by_its_mutex() {
    twins("condition", &[r#"100 exit 0 """#], &["87 Read waits Write signals", r#"100 exit 0 """#]);
}

#[test]
fn beginning_and_joining_a_thread_order() {
    twins(
        "join",
        &[r#"100 exit 0 "4""#],
        &["100 Read look_early Write change", r#"100 exit 0 "4""#],
    );
    twins("freed", &[r#"100 exit 0 """#], &["100 Free free_early Write use", r#"100 exit 0 """#]);
}

#[test]
fn what_is_read_was_written_before() {
    twins("socket", &[r#"100 exit 0 """#], &["100 Read reads Write writes", r#"100 exit 0 """#]);
    twins("event", &[r#"100 exit 0 """#], &["100 Read reads Write writes", r#"100 exit 0 """#]);
}

#[test]
fn of_code_elsewhere_only_atomic_accesses_count() {
    twins("elsewhere", &[r#"100 exit 0 """#], &["25 Read is_set Write set", r#"100 exit 0 """#]);
}

#[test]
fn a_schedule_has_its_races_again() {
    let Some(image) = image() else { return };
    for program in ["mutex wrong", "socket wrong", "condition wrong"] {
        let mut command = Command::new(image);
        let output = command.args(["1:40", "0,0,0,0"]).args(program.split(' ')).output();
        let text = String::from_utf8(output.expect("just linked").stdout).expect("text");
        let mut races = 0;
        for line in text.lines().filter(|line| line.contains(" x ")) {
            let schedule = line.rsplit_once(" replay").expect("its form").1;
            let once = run(image, &format!("replay{schedule}"), program);
            assert_eq!(once, run(image, &format!("replay{schedule}"), program));
            races += once.iter().filter(|line| line.contains("Write")).count();
        }
        assert!(races > 0, "{program}: {text}");
    }
}

/// What the link says, with the paths of the test taken out.
fn refused(test: &str, flags: &str) -> Option<LinkError> {
    let (mut build, cache) = build(test, FLAGS)?;
    build.compile = flags.split(' ').map(String::from).collect();
    let commands = build.folder.join("compile_commands.json");
    let text = fs::read_to_string(&commands).expect("it was just written");
    fs::write(&commands, text.replace(&format!("cc {FLAGS}"), flags)).expect("our own");
    Some(link(&build, &cache, &settings()).expect_err("it does not compile"))
}

#[test]
fn a_compiler_that_cannot_is_told_in_a_sentence() {
    let flags = format!("cc {FLAGS} -fsanitize=address");
    let Some(error) = refused("exec race cannot", &flags) else { return };
    let (message, why) = error.message.split_once(": it does not compile with ").expect("its form");
    assert_eq!(message, "cc");
    assert!(why.starts_with("-fsanitize=thread: "), "{why}");
    assert_eq!(error.help, "--races needs a gcc or clang that does: configure with --cc");
}

#[test]
fn only_what_was_built_anew_is_compiled_anew() {
    let Some((build, cache)) = build("exec race anew", FLAGS) else { return };
    let link = || link(&build, &cache, &settings()).expect("it links");
    assert!(link().fresh);
    assert!(!link().fresh);
    let made = |name: &str| cache.join("races").join(name).metadata().expect("made").modified();
    let before = ["race.o", "libutil.a.p.event.o"].map(|name| made(name).expect("a time"));
    let event = build.source.join("util/event.c");
    let text = fs::read_to_string(&event).expect("our own");
    fs::write(&event, format!("{text}\nint more;\n")).expect("our own");
    let ninja = Command::new("ninja").arg("-C").arg(&build.folder).output().expect("it is there");
    assert!(ninja.status.success());
    assert!(link().fresh);
    let after = ["race.o", "libutil.a.p.event.o"].map(|name| made(name).expect("a time"));
    assert_eq!(before[0], after[0]);
    assert!(before[1] < after[1]);
}

#[test]
fn a_build_with_a_sanitizer_of_its_own_is_refused_and_the_way_out_named() {
    let Some((mut build, cache)) = build("exec race refused", FLAGS) else { return };
    build.link_command += " -fsanitize=thread";
    let error = link(&build, &cache, &settings()).expect_err("it is refused");
    let message = "qemu-system-x86_64: linked with -fsanitize=thread: a sanitizer's runtime \
                   replaces the same functions";
    assert_eq!(error.message, message);
    let help = "configure a build directory without it: --races compiles what it needs";
    assert_eq!(error.help, help);
}
