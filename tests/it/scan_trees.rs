//! The scan of real trees: what the discussion about the listen thread was about
//! is found, with the path that it takes, and what a patch does to it.

use super::cli::directory;
use super::trees;
use bqlcheck::lock::Rule;
use bqlcheck::scan::{Finding, Grade, Status};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

#[derive(Deserialize)]
struct Report {
    findings: Vec<Finding>,
    changes: Vec<Change>,
}

#[derive(Deserialize, PartialEq, Debug)]
struct Change {
    thread: String,
    caller: String,
    callee: String,
    before: String,
    after: String,
}

/// Empty at first, and shared: what one test has parsed the next need not.
static CACHE: LazyLock<Mutex<PathBuf>> =
    LazyLock::new(|| Mutex::new(directory("scan-trees-cache")));

/// Scans a tree, with the patches on top of each other; one at a time, since each
/// takes all cores.
fn scan(tree: &Path, test: &str, patches: &[String]) -> Report {
    let cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = directory(&format!("scan-trees-{test}"));
    let out = place.join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bqlcheck"));
    command.arg("scan").arg(tree).args(["--format", "json", "--out"]).arg(&out);
    command.env("XDG_CACHE_HOME", &*cache);
    for (at, patch) in patches.iter().enumerate() {
        let file = place.join(format!("{at}.patch"));
        fs::write(&file, patch).expect("written");
        command.arg("--patch").arg(file);
    }
    let output = command.output().expect("it was just built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    serde_json::from_slice(&fs::read(out).expect("written")).expect("JSON of findings")
}

impl Report {
    /// Those of `rule` that the listen thread comes to in `function`.
    fn listen(&self, rule: Rule, function: &'static str) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| {
            let root = finding.root.as_ref();
            let entry = root.is_some_and(|root| root.entry == "postcopy_ram_listen_thread");
            entry && finding.rule == rule && finding.function == function
        })
    }

    /// The only one of them whose message has `what` in it.
    #[track_caller]
    fn only(&self, rule: Rule, function: &'static str, what: &str) -> &Finding {
        let found: Vec<&Finding> =
            self.listen(rule, function).filter(|finding| finding.message.contains(what)).collect();
        let [only] = found[..] else { panic!("{rule:?} {function} {what}: {found:#?}") };
        only
    }
}

fn path(finding: &Finding) -> Vec<&str> {
    finding.call_path.iter().map(|frame| frame.function.as_str()).collect()
}

/// A patch of the only place in `file` that reads `from`.
fn patch(tree: &Path, file: &str, from: &str, to: &str) -> String {
    let text = fs::read_to_string(tree.join(file)).expect("part of the tree");
    let (before, after) = text.split_once(from).expect("the tree has the place");
    assert!(!after.contains(from), "{file} has one such place");
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let end = before.len() + from.len() + after.find('\n').expect("the file ends with a line");
    let old = &text[start..end];
    let new = old.replace(from, to);
    let marked = |mark: char, text: &str| -> String {
        text.lines().map(|line| format!("{mark}{line}\n")).collect()
    };
    let line = before.matches('\n').count();
    let context = text.lines().nth(line - 1).expect("it is not the first");
    let (old_lines, new_lines) = (old.lines().count() + 2, new.lines().count() + 2);
    let next = text[end..].lines().nth(1).expect("it is not the last");
    format!(
        "--- a/{file}\n+++ b/{file}\n@@ -{line},{old_lines} +{line},{new_lines} @@\n \
         {context}\n{}{} {next}\n",
        marked('-', old),
        marked('+', &new),
    )
}

/// The BQL round the listen thread's load, which is what the discussion tried.
fn bql_around_loadvm(tree: &Path) -> String {
    let call = "    load_res = qemu_loadvm_state_main(f, mis);";
    patch(tree, "migration/savevm.c", call, &format!("    bql_lock();\n{call}\n    bql_unlock();"))
}

const LOAD: [&str; 4] = [
    "postcopy_ram_listen_thread",
    "qemu_loadvm_state_main",
    "qemu_loadvm_section_part_end",
    "vmstate_load",
];

#[test]
fn in_7_2_the_listen_thread_cleans_up_without_the_bql() {
    let Some(tree) = trees::tree("7.2") else { return };
    let report = scan(&tree, "7.2", &[]);
    let found = report.only(Rule::NeedsBql, "qemu_loadvm_state_cleanup", "load_cleanup");
    assert_eq!(path(found), ["postcopy_ram_listen_thread", "qemu_loadvm_state_cleanup"]);
    assert_eq!((found.grade, &*found.path), (Grade::Error, "migration/savevm.c"));
    let contract = found.contract.as_ref().expect("it breaks one");
    assert!(contract.text.contains("load_cleanup"), "{contract:?}");
    let root = found.root.as_ref().expect("a thread comes there");
    assert_eq!((&*root.thread, &*root.lock), ("mig/dst/listen", "not held"));
    // Which sections may arrive there is a fact of the protocol: no error.
    let found = report.only(Rule::NeedsBql, "vmstate_load", "load_state");
    assert_eq!((path(found), found.grade), (LOAD.to_vec(), Grade::Warning));
}

#[test]
fn in_10_0_the_bql_around_the_load_mends_one_thing_and_breaks_others() {
    let Some(tree) = trees::tree("10.0") else { return };
    let report = scan(&tree, "10.0", &[bql_around_loadvm(&tree)]);
    // The cleanup has the BQL there, before the patch and after it.
    let of_cleanup = |finding: &&Finding| finding.message.contains("load_cleanup");
    let cleanup = report.listen(Rule::NeedsBql, "qemu_loadvm_state_cleanup").find(of_cleanup);
    assert!(cleanup.is_none(), "{cleanup:#?}");
    let found = report.only(Rule::NeedsBql, "vmstate_load", "load_state");
    assert_eq!((found.status, found.grade), (Status::Fixed, Grade::Warning));
    assert_eq!(path(found), LOAD);

    let found = report.only(Rule::HeldWaiting, "postcopy_pause_incoming", "postcopy_pause_sem_dst");
    assert_eq!(found.status, Status::New);
    assert!(found.message.contains("postcopy_try_recover()"), "{}", found.message);
    let out_of_band = found.wakers.iter().any(|waker| {
        let thread = waker.thread == "monitor IOThread (out-of-band)";
        thread && waker.function == "postcopy_try_recover" && waker.lock == "not held"
    });
    assert!(out_of_band, "{:#?}", found.wakers);
    assert_eq!(report.listen(Rule::WaitForever, "postcopy_pause_incoming").count(), 0);

    let read = report.findings.iter().find(|finding| {
        finding.rule == Rule::HeldWaiting
            && finding.status == Status::New
            && finding.message.contains("reads from the network with the BQL held")
            && path(finding).contains(&"qemu_get_byte")
    });
    let read = read.expect("a read under the BQL");
    assert_eq!(path(read)[..3], ["postcopy_ram_listen_thread", LOAD[1], "qemu_get_byte"]);

    let row = Change {
        thread: "mig/dst/listen".into(),
        caller: "postcopy_ram_listen_thread".into(),
        callee: "qemu_loadvm_state_main".into(),
        before: "not held".into(),
        after: "held".into(),
    };
    assert!(report.changes.contains(&row), "{:#?}", report.changes);
}

#[test]
fn in_10_0_it_is_a_deadlock_if_the_main_loop_accepts() {
    let Some(tree) = trees::tree("10.0") else { return };
    let context = "g_main_context_get_thread_default()";
    let recover =
        "{ 'command': 'migrate-recover',\n  'data': { 'uri': 'str' },\n  'allow-oob': true }";
    let in_band = recover.replace(",\n  'allow-oob': true", "");
    let patches = [
        bql_around_loadvm(&tree),
        patch(&tree, "migration/socket.c", context, "NULL"),
        patch(&tree, "qapi/migration.json", recover, &in_band),
    ];
    let report = scan(&tree, "10.0-main-loop", &patches);
    let found = report.only(Rule::WaitForever, "postcopy_pause_incoming", "postcopy_pause_sem_dst");
    assert_eq!(found.status, Status::New);
    assert!(found.wakers.iter().all(|waker| waker.lock != "not held"), "{:#?}", found.wakers);
}
