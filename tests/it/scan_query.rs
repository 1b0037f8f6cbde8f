//! Questions about a tree: who calls what, by which paths, who needs the BQL. A
//! small tree of our own with exact answers, and what real trees answer.

use crate::cli::{directory, run};
use crate::trees;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The small tree: a hook with an implementation of each kind.
const SMALL: [(&str, &str); 4] = [
    ("VERSION", "10.0.0\n"),
    (
        "migration/savevm.c",
        r#"
typedef struct SaveVMHandlers {
    int (*load_setup)(void *opaque);
    int (*load_cleanup)(void *opaque);
} SaveVMHandlers;

typedef struct SaveStateEntry {
    const SaveVMHandlers *ops;
    void *opaque;
} SaveStateEntry;

static void handlers_cleanup(SaveStateEntry *se)
{
    if (se->ops->load_cleanup) {
        se->ops->load_cleanup(se->opaque);
    }
}

static void *listen_thread(void *opaque)
{
    handlers_cleanup(opaque);
    return NULL;
}

static void never_called(SaveStateEntry *se)
{
    handlers_cleanup(se);
}

void qmp_listen_start(SaveStateEntry *se)
{
    qemu_thread_create(&thread, "listen", listen_thread, se, 0);
}

void qmp_listen_stop(SaveStateEntry *se)
{
    handlers_cleanup(se);
}
"#,
    ),
    (
        "hw/devices.c",
        r#"
static void area_unmap(void *opaque)
{
    assert(bql_locked());
    unmap(opaque);
}

static int area_load_cleanup(void *opaque)
{
    if (opaque) {
        area_unmap(opaque);
    }
    return 0;
}

static void pool_free(Pool *pool)
{
    bql_unlock();
    qemu_sem_wait(&pool->done);
    bql_lock();
}

static int pool_load_cleanup(void *opaque)
{
    Pool *pool = opaque;

    g_clear_pointer(&pool->next, pool_free);
    return 0;
}

static int timer_load_cleanup(void *opaque)
{
    bql_lock();
    timers--;
    bql_unlock();
    return 0;
}

static int work_load_cleanup(void *opaque)
{
    run_on_cpu(opaque, work, RUN_ON_CPU_NULL);
    return 0;
}

static int count_load_cleanup(void *opaque)
{
    count = 0;
    return 0;
}

static const SaveVMHandlers savevm_area = { .load_cleanup = area_load_cleanup };
static const SaveVMHandlers savevm_pool = { .load_cleanup = pool_load_cleanup };
static const SaveVMHandlers savevm_timer = { .load_cleanup = timer_load_cleanup };
static const SaveVMHandlers savevm_work = { .load_cleanup = work_load_cleanup };
static const SaveVMHandlers savevm_count = { .load_cleanup = count_load_cleanup };
"#,
    ),
    (
        "hw/odd.c",
        r#"
static const SaveVMHandlers savevm_odd = { .load_cleanup = odd_load_cleanup };

static int odd_load_cleanup(void *opaque)
{
    return ]( opaque;
}
"#,
    ),
];

/// Asks the small tree; the exit code and both outputs.
fn ask(test: &str, arguments: &[&str]) -> (i32, String, String) {
    let place = directory(&format!("query-{test}"));
    for (path, text) in SMALL {
        let path = place.join("small").join(path);
        std::fs::create_dir_all(path.parent().expect("in the tree")).expect("a place to write");
        std::fs::write(path, text).expect("a place to write");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_bqlcheck"));
    let output = command.args(arguments).arg("--no-cache").current_dir(place).output();
    let output = output.expect("it was just built");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

/// The answer is as expected, to the letter, and fits a mail.
fn answers(test: &str, arguments: &[&str], code: i32, expected: &str) {
    let (exit, text, complaint) = ask(test, arguments);
    assert_eq!(text, expected, "{arguments:?}: {complaint}");
    assert_eq!(exit, code, "{arguments:?}");
    let wide = text.lines().find(|line| line.chars().count() > 76);
    assert_eq!(wide, None, "{arguments:?}");
}

#[test]
fn a_hook_is_explained_with_who_needs_the_bql() {
    let expected = include_str!("expect/query/explain.txt");
    answers("explain", &["explain", "load_cleanup", "--tree", "small"], 0, expected);
    let full = ["explain", "SaveVMHandlers.load_cleanup", "--tree", "small"];
    let expected = expected.replacen("load_cleanup, in", "SaveVMHandlers.load_cleanup, in", 1);
    answers("explain-full", &full, 0, &expected);
}

#[test]
fn calls_are_listed_with_thread_and_bql() {
    for (verb, word, expected) in [
        ("callers", "handlers_cleanup", include_str!("expect/query/callers.txt")),
        ("callers", "listen_thread", include_str!("expect/query/thread.txt")),
        // A call that breaks an assertion is one all the same.
        ("callers", "area_unmap", include_str!("expect/query/asserted.txt")),
        ("callers", "never_called", include_str!("expect/query/nothing.txt")),
        ("callees", "pool_free", include_str!("expect/query/callees.txt")),
        ("callees", "load_cleanup", include_str!("expect/query/held.txt")),
    ] {
        answers(&format!("{verb}-{word}"), &[verb, word, "--tree", "small"], 0, expected);
    }
}

#[test]
fn paths_are_listed_and_none_exits_with_4() {
    let paths = |test: &str, more: &[&str]| {
        let from = ["paths", "small", "--from", "listen_thread", "--to", "area_unmap"];
        ask(test, &[&from, more].concat())
    };
    let expected = include_str!("expect/query/paths.txt");
    assert_eq!(paths("paths", &[]), (0, expected.to_string(), String::new()));
    let (code, text, _) = paths("paths-without", &["--without", "bql"]);
    assert_eq!(code, 0);
    let heading = expected.split_once("\n\n").expect("a heading").1;
    assert!(text.ends_with(heading), "{text}");
    let (code, text, _) = paths("paths-with", &["--with", "bql"]);
    assert_eq!(code, 4);
    assert!(text.contains("\nThere is none.\n"), "{text}");
}

#[test]
fn a_word_that_names_nothing_exits_with_2() {
    for (word, message) in [
        ("load_cleanp", "did you mean load_cleanup?"),
        ("handler_cleanup", "did you mean handlers_cleanup?"),
        ("SaveVMHandlers.load_clean", "did you mean"),
        ("odd_load_cleanup", "odd_load_cleanup: did not parse"),
        ("", "name a function"),
    ] {
        for verb in ["callers", "callees", "explain"] {
            let test = format!("unknown-{verb}-{word}");
            let (code, text, complaint) = ask(&test, &[verb, word, "--tree", "small"]);
            assert_eq!((code, text.as_str()), (2, ""), "{verb} {word}");
            assert!(complaint.contains(message), "{verb} {word}: {complaint}");
        }
    }
    let line = ["paths", "small", "--from", "listen_thread", "--to", "area_unmp"];
    let (code, _, complaint) = ask("unknown-paths", &line);
    assert_eq!(code, 2);
    assert!(complaint.contains("did you mean area_unmap?"), "{complaint}");
}

/// What `--format json` prints of the tree `small`.
fn json(test: &str, arguments: &[&str]) -> Value {
    let (_, text, complaint) = ask(test, &[arguments, &["--format", "json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{complaint}"))
}

#[test]
fn every_key_of_the_json_is_in_the_readme() {
    fn keys(value: &Value, all: &mut Vec<String>) {
        for (key, below) in value.as_object().into_iter().flatten() {
            all.push(key.clone());
            keys(below, all);
        }
        value.as_array().into_iter().flatten().for_each(|item| keys(item, all));
    }
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("\n### Questions about a tree\n").expect("a section");
    let (section, _) = section.split_once("\n## ").expect("another after it");
    let path = ["paths", "small", "--from", "listen_thread", "--to", "area_unmap"];
    for (test, arguments) in [
        ("json-explain", &["explain", "load_cleanup", "--tree", "small"][..]),
        ("json-callers", &["callers", "area_unmap", "--tree", "small"]),
        ("json-paths", &path),
    ] {
        let value = json(test, arguments);
        assert_eq!(value["schema"], 1);
        let mut all = Vec::new();
        keys(&value, &mut all);
        assert!(all.len() > 15, "{all:?}");
        for key in all {
            assert!(section.contains(&format!("`{key}`")), "{key} is not in the README");
        }
    }
}

/// Every implementation of a hook in a real tree: function, what it needs, the
/// functions on the path to that.
fn implementations(tree: &Path, word: &str) -> Vec<String> {
    let tree = tree.display().to_string();
    let (code, text, complaint) = run(&["explain", word, "--tree", &tree, "--format", "json"]);
    assert_eq!(code, 0, "{complaint}");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_string();
    let mut rows = Vec::new();
    for one in value["hooks"][0]["implementations"].as_array().expect("a list") {
        let mut row = format!("{} {}", text(&one["bql"]["needs"]), text(&one["function"]));
        for call in one["bql"]["calls"].as_array().expect("a list") {
            row += &format!(" > {}", text(&call["callee"]));
        }
        if let Some(reason) = one["bql"]["reason"].as_str() {
            row += &format!(": {}", &reason[..reason.find(" (").unwrap_or(reason.len())]);
        }
        rows.push(row);
    }
    rows
}

/// Read in the trees: 7.2 unmaps the region of a v1 device, which changes the
/// memory map; 10.0 closes a descriptor instead, but waits for its load threads
/// with the BQL released. RAM writes back and frees.
#[test]
fn load_cleanup_of_vfio_needs_the_bql_and_that_of_ram_does_not() {
    if let Some(tree) = trees::tree("7.2") {
        assert_eq!(
            implementations(&tree, "load_cleanup"),
            [
                "needs vfio_load_cleanup > vfio_migration_cleanup > vfio_region_unmap > \
                 vfio_subregion_unmap: memory_region_del_subregion needs the BQL",
                "no ram_load_cleanup",
            ]
        );
    }
    if let Some(tree) = trees::tree("10.0") {
        assert_eq!(
            implementations(&tree, "load_cleanup"),
            [
                "releases vfio_load_cleanup > vfio_multifd_cleanup > vfio_multifd_free > \
                 vfio_load_cleanup_load_bufs_thread: releases the BQL",
                "no ram_load_cleanup",
            ]
        );
    }
}

#[test]
fn the_listen_thread_loads_sections_without_the_bql() {
    for version in ["7.2", "10.0"] {
        let Some(tree) = trees::tree(version) else { continue };
        let tree = tree.display().to_string();
        let line = ["paths", &tree, "--from", "postcopy_ram_listen_thread", "--to", "vmstate_load"];
        let (code, text, _) = run(&[&line[..], &["--without", "bql"]].concat());
        assert_eq!(code, 0, "{text}");
        for part in ["qemu_loadvm_section_part_end()", "qemu_loadvm_section_start_full()"] {
            assert!(text.contains(&format!("    not held   {part}")), "{version}: {text}");
        }
        assert!(text.contains("\nThese 2 are all.\n"), "{version}: {text}");
        assert!(!text.contains("    held "), "{version}: {text}");
    }
}
