//! `bqlcheck scan` as it is typed, on small trees: exit codes, patches, formats,
//! baseline, suppressions; trees and patches that nobody would write.

use super::cli::directory;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Returns with the lock held on the way of the error.
pub const BAD: &str = "typedef struct Box {
    QemuMutex lock;
    int used;
} Box;

int box_take(Box *box)
{
    qemu_mutex_lock(&box->lock);
    if (box->used) {
        return -1;
    }
    box->used = 1;
    qemu_mutex_unlock(&box->lock);
    return 0;
}
";

/// Makes it right, and the way back.
const FIX: &str = "--- a/migration/box.c
+++ b/migration/box.c
@@ -7,6 +7,7 @@
 {
     qemu_mutex_lock(&box->lock);
     if (box->used) {
+        qemu_mutex_unlock(&box->lock);
         return -1;
     }
     box->used = 1;
";
const BREAK: &str = "--- a/migration/box.c
+++ b/migration/box.c
@@ -7,7 +7,6 @@
 {
     qemu_mutex_lock(&box->lock);
     if (box->used) {
-        qemu_mutex_unlock(&box->lock);
         return -1;
     }
     box->used = 1;
";

/// The function with its unlock.
fn good() -> String {
    BAD.replace("        return -1;", "        qemu_mutex_unlock(&box->lock);\n        return -1;")
}

/// A tree and a cache of its own.
pub struct Place {
    pub root: PathBuf,
    pub cache: PathBuf,
}

impl Place {
    /// `files` by path and text.
    pub fn new(test: &str, files: &[(&str, &[u8])]) -> Place {
        let home = directory(&format!("scan-{test}"));
        let place = Place { root: home.join("tree"), cache: home.join("cache") };
        fs::create_dir_all(&place.root).expect("a place to write");
        for (path, text) in files {
            place.write(path, text);
        }
        place
    }

    /// One C file, `migration/box.c`.
    pub fn of(test: &str, text: &str) -> Place {
        Place::new(test, &[("VERSION", b"10.0.0\n"), ("migration/box.c", text.as_bytes())])
    }

    pub fn write(&self, path: &str, text: &[u8]) {
        let full = self.root.join(path);
        fs::create_dir_all(full.parent().expect("in the root")).expect("a place to write");
        fs::write(full, text).expect("written");
    }

    /// A file beside the tree.
    fn beside(&self, name: &str, text: &str) -> String {
        let path = self.root.with_file_name(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    /// The scan of the tree by its name alone: rows are folded to fit a mail, and
    /// must not depend on where this project lies.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let (home, name) = (self.root.parent(), self.root.file_name());
        let mut command = Command::new(env!("CARGO_BIN_EXE_bqlcheck"));
        command.current_dir(home.expect("a folder")).arg("scan");
        command.arg(name.expect("a name")).args(arguments);
        command.env("XDG_CACHE_HOME", &self.cache).stdin(Stdio::null());
        command
    }

    /// The exit code and both outputs.
    pub fn scan(&self, arguments: &[&str]) -> (i32, String, String) {
        outcome(self.command(arguments).output().expect("it was just built"))
    }

    /// The same, with `input` on stdin.
    fn fed(&self, arguments: &[&str], input: &str) -> (i32, String, String) {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it was just built");
        let mut stdin = child.stdin.take().expect("it is piped");
        // It may end before it has read all.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        outcome(child.wait_with_output().expect("it ends"))
    }
}

fn outcome(output: std::process::Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

/// Exits with `code`, says `what` on stderr and nothing on stdout.
#[track_caller]
fn refused(outcome: (i32, String, String), code: i32, what: &str) {
    let (exit, stdout, stderr) = outcome;
    assert_eq!(exit, code, "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.contains("\n  help: "), "{stderr}");
    assert!(stderr.contains(what), "no {what:?} in {stderr}");
    assert_eq!(stdout, "");
}

#[test]
fn each_verdict_has_its_exit_code() {
    let clean = Place::of("clean", &good());
    let (code, text, _) = clean.scan(&[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("(QEMU 10.0.0): clean"), "{text}");

    let (code, text, _) = Place::of("violated", BAD).scan(&[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.starts_with("error[BQL004]: box_take() returns with Box.lock held"), "{text}");
    assert!(text.contains("--> migration/box.c:10:9"), "{text}");

    refused(clean.scan(&["--only", "nowhere"]), 2, "nowhere: not in ");
    refused(clean.scan(&["--only", "../.."]), 2, "../..: not in ");
    let absent = Place { root: clean.root.join("absent"), cache: clean.cache.clone() };
    refused(absent.scan(&[]), 2, "No such file");

    let torn = good() + "\nint torn(void)\n{\n    x = = ) 3 4;\n}\n";
    let (code, text, _) = Place::of("inconclusive", &torn).scan(&[]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("torn()"), "{text}");

    refused(Place::new("empty", &[]).scan(&[]), 4, "no C files");
    refused(Place::new("no-c", &[("README.rst", b"QEMU")]).scan(&[]), 4, "no C files");
}

#[test]
fn every_format_says_what_was_found() {
    let place = Place::of("formats", BAD);
    for (format, begin, has) in [
        ("text", "error[BQL004]", "1 error"),
        ("concise", "migration/box.c:10:1: error[BQL004]", "1 error"),
        ("json", "{", "\"rule\": \"BQL004\""),
        ("sarif", "{", "\"ruleId\": \"BQL004\""),
        ("gitlab", "[", "\"check_name\": \"BQL004\""),
        ("github", "::error file=migration/box.c,line=10", "BQL004"),
        ("mail", "", ">         return -1;"),
    ] {
        let (code, text, _) = place.scan(&["--format", format]);
        assert_eq!(code, 1, "{format}: {text}");
        assert!(text.starts_with(begin) && text.contains(has), "{format}: {text}");
        if matches!(format, "json" | "sarif" | "gitlab") {
            serde_json::from_str::<serde_json::Value>(&text).expect(format);
        }
        let out = place.beside("out", "");
        let (code, printed, _) = place.scan(&["--format", format, "--out", &out]);
        assert_eq!((code, printed.as_str()), (1, ""), "{format}");
        assert_eq!(fs::read_to_string(out).expect("written"), text, "{format}");
    }
    refused(place.scan(&["--out", "/nowhere/x"]), 2, "/nowhere/x");
}

#[test]
fn a_patch_comes_from_a_file_a_pipe_or_a_mailbox() {
    let place = Place::of("patch", BAD);
    let fix = place.beside("fix.patch", FIX);
    let (code, text, _) = place.scan(&["--patch", &fix]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("Fixed by the patches") && text.contains("-1 BQL004"), "{text}");
    let (code, text, _) = place.fed(&["--patch", "-"], FIX);
    assert!(code == 0 && text.contains("-1 BQL004"), "{code} {text}");

    let mail = |subject: &str, diff: &str| {
        format!(
            "From mboxrd@z Thu Jan  1 00:00:00 1970\nFrom: A Developer <a@example.org>\n\
             Subject: {subject}\nMessage-ID: <{}@example.org>\n\nWhy.\n\n---\n{diff}\n-- \n2.43.0\n\n",
            subject.len()
        )
    };
    let series = mail("[PATCH 1/2] box: unlock", FIX) + &mail("[PATCH 2/2] box: again", BREAK);
    let mbox = place.beside("series.mbx", &series);
    let (code, text, _) = place.scan(&["--patch", &mbox, "--format", "json"]);
    assert_eq!(code, 0, "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let patches = report["patches"].as_array().expect("a list");
    let count = |at: usize, key: &str| patches[at][key].as_array().map(Vec::len);
    assert_eq!(patches.len(), 2, "{text}");
    assert_eq!([count(0, "fixed"), count(0, "new")], [Some(1), Some(0)], "{text}");
    assert_eq!([count(1, "fixed"), count(1, "new")], [Some(0), Some(1)], "{text}");
    assert!(patches[0]["subject"].as_str().expect("text").contains("box: unlock"));
    // Over the series nothing is new.
    assert_eq!(report["findings"][0]["status"], "unchanged");
    let read = fs::read_to_string(place.root.join("migration/box.c")).expect("it is there");
    assert_eq!(read, BAD, "the tree is not written to");
}

#[test]
fn patches_are_applied_in_the_order_given() {
    let place = Place::of("order", &good());
    let (fix, break_) = (place.beside("fix", FIX), place.beside("break", BREAK));
    let (code, text, _) = place.scan(&["--patch", &break_]);
    assert!(code == 1 && text.contains("error[BQL004]"), "{code} {text}");
    let (code, text, _) = place.scan(&["--patch", &break_, "--patch", &fix]);
    assert_eq!(code, 0, "{text}");
    let (code, _, text) = place.scan(&["--patch", &fix, "--patch", &break_, "--patch", &break_]);
    assert_eq!(code, 5, "{text}");
}

#[test]
fn a_patch_that_does_not_fit_is_refused_by_kind() {
    let place = Place::of("unfit", BAD);
    let other = FIX.replace("box->used) {", "box->full) {");
    let fed = |text: &str| place.fed(&["--patch", "-"], text);
    refused(fed(&other), 5, "the hunk @@ -7,6 +7,7 @@ does not fit migration/box.c");
    refused(fed(&FIX.replace("box.c", "gone.c")), 5, "migration/gone.c is not in the tree");
    refused(fed(&FIX.replace("migration/", "../../")), 2, "leads out of the tree");
    refused(fed(&FIX.replace("a/migration/", "/etc/")), 2, "/etc/box.c");
    refused(fed(&FIX[..FIX.len() - 20]), 2, "-:");
    let text = "--- /dev/null\n+++ b/docs/box.rst\n@@ -0,0 +1 @@\n+Boxes.\n";
    refused(fed(text), 4, "change no file that is scanned");
    refused(fed("Just a mail.\n"), 2, "there is no diff in it");
    refused(fed(""), 4, "change no file");
    refused(place.scan(&["--patch", "nowhere.patch"]), 2, "nowhere.patch: No such file");
}

#[test]
fn only_looks_at_the_directories_it_is_given() {
    let place = Place::of("only", BAD);
    place.write("hw/box.c", good().as_bytes());
    assert_eq!(place.scan(&["--only", "hw"]).0, 0);
    assert_eq!(place.scan(&["--only", "hw", "--only", "migration/"]).0, 1);
}

#[test]
fn a_baseline_grows_only_when_asked_and_shrinks_by_itself() {
    let place = Place::of("baseline", BAD);
    let file = place.root.with_file_name("known.json").display().to_string();
    refused(place.scan(&["--baseline", &file]), 2, "No such file");
    let update = ["--baseline", &file, "--baseline-update"];
    let accept = ["--baseline", &file, "--baseline-update", "--accept-new"];
    assert_eq!(place.scan(&accept).0, 0);
    let (code, text, _) = place.scan(&["--baseline", &file]);
    let unfolded = text.replace("\n  ", " ");
    assert!(code == 0 && unfolded.contains("1 in the baseline"), "{code} {text}");
    // It moves: it is known all the same.
    place.write("migration/box.c", format!("\n\n{BAD}").as_bytes());
    assert_eq!(place.scan(&["--baseline", &file]).0, 0);
    place.write("migration/box.c", good().as_bytes());
    assert_eq!(place.scan(&update).0, 0);
    assert!(!fs::read_to_string(&file).expect("written").contains("box_take"));
    place.write("migration/box.c", BAD.as_bytes());
    refused(place.scan(&update), 2, "1 finding is not in");
    fs::write(&file, "{ \"schema\": 1,").expect("written");
    refused(place.scan(&["--baseline", &file]), 2, "known.json:1:");
}

#[test]
fn a_patch_is_tried_before_the_tree_is_parsed() {
    let place = Place::of("tried", BAD);
    let other = place.beside("other.patch", &FIX.replace("box->used) {", "box->full) {"));
    refused(place.scan(&["--patch", &other]), 5, "does not fit");
    assert!(!place.cache.exists(), "nothing was parsed, so nothing is kept");
    let fix = place.beside("fix.patch", FIX);
    assert_eq!(place.scan(&["--patch", &fix]).0, 0);
    assert!(place.cache.exists());
}

#[test]
fn a_finding_can_be_suppressed_with_a_reason() {
    let comment = "        /* bqlcheck: allow(BQL004): the caller unlocks */\n";
    let said = BAD.replace("        return -1;", &format!("{comment}        return -1;"));
    let place = Place::of("suppressed", &said);
    assert_eq!(place.scan(&[]).0, 0);
    // A comment that covers nothing is reported.
    place.write("migration/box.c", said.replace("BQL004", "BQL001").as_bytes());
    let (code, text, _) = place.scan(&[]);
    assert!(code == 1 && text.contains("suppression"), "{code} {text}");

    place.write("migration/box.c", BAD.as_bytes());
    let allow = "[[allow]]\nrule = \"BQL004\"\npath = \"migration/box.c\"\n";
    place.write("bqlcheck.toml", format!("{allow}reason = \"the caller unlocks\"\n").as_bytes());
    assert_eq!(place.scan(&[]).0, 0);
    place.write("migration/box.c", good().as_bytes());
    let (code, text, _) = place.scan(&[]);
    assert!(code == 1 && text.contains("bqlcheck.toml"), "{code} {text}");
    place.write("bqlcheck.toml", allow.as_bytes());
    refused(place.scan(&[]), 2, "bqlcheck.toml:1:1");
}

#[test]
fn two_runs_give_the_same_bytes_with_and_without_the_cache() {
    let place = Place::of("same", BAD);
    for (at, path) in ["a/b.c", "hw/c.h", "net/d.c.inc"].into_iter().enumerate() {
        place.write(path, BAD.replace("box_take", &format!("box_take_{at}")).as_bytes());
    }
    for format in ["text", "json", "sarif"] {
        let arguments = ["--all", "--format", format];
        let first = place.scan(&arguments);
        assert_eq!(first.0, 1);
        for _ in 0..3 {
            assert_eq!(place.scan(&arguments), first);
        }
        assert_eq!(place.scan(&["--all", "--format", format, "--no-cache"]), first);
    }
}

/// What a scan of `files` says, within seconds: its code and its text.
#[track_caller]
fn hostile(test: &str, files: &[(&str, &[u8])]) -> (i32, String) {
    let place = Place::new(&format!("hostile-{test}"), files);
    let started = Instant::now();
    let (code, text, complaint) = place.scan(&["--format", "concise"]);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(60), "{test}: {took:?}");
    assert!(code < 5, "{test}: {code} {complaint}");
    assert!(!complaint.contains("panic") && !complaint.contains("internal"), "{complaint}");
    // The same again, from what the cache has kept.
    assert_eq!(place.scan(&["--format", "concise"]).1, text, "{test}");
    (code, text)
}

/// A good file, so that there is something to scan; the bad one beside it must
/// be told, and the verdict must not be clean.
#[track_caller]
fn told(test: &str, text: &[u8], what: &str) {
    let (code, said) = hostile(test, &[("a/good.c", good().as_bytes()), ("b/bad.c", text)]);
    assert_eq!(code, 3, "{test}: {said}");
    assert!(said.contains(what), "{test}: no {what:?} in {said}");
    assert!(said.contains("inconclusive"), "{test}: {said}");
}

/// Bytes without order, the same in each run.
fn noise(length: usize, letters: &[u8]) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        letters[(state >> 33) as usize % letters.len()]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn what_is_no_c_is_told() {
    let bytes: Vec<u8> = (0..=255).collect();
    told("binary", &noise(1 << 20, &bytes), "b/bad.c:1:1: problem: not text");
    let marks = b"(){}[];,*&=+-<>ab01\"\n ";
    told("noise", &noise(4 << 20, marks), "b/bad.c:1:1: problem: not C");
    told("line", "int x = 1 + ".repeat(900_000).as_bytes(), "b/bad.c:1:1: problem: not C");
    // One word that is no declaration: there is nothing in it to find.
    hostile("word", &[("a.c", "a".repeat(10_000_000).as_bytes())]);
    // One error, and no function.
    told("prose", b"The quick brown fox; jumps over (the lazy dog.\n", "problem: not C");
    told("table", "FROB(a, b) THE { c\n".repeat(9).as_bytes(), "problem: not C");
}

#[test]
fn a_file_nested_too_deep_is_told() {
    let deep = 100_000;
    told("braces", format!("int f(void)\n{{{}", "{".repeat(deep)).as_bytes(), "1 function was not");
    told(
        "blocks",
        format!("int f(void)\n{}{}\n", "{".repeat(deep), "}".repeat(deep)).as_bytes(),
        "nested too deep",
    );
    told("sums", format!("int x = 1{};\n", " + 1".repeat(deep)).as_bytes(), "nested too deep");
    hostile("parentheses", &[("a.c", format!("int x = {}", "(".repeat(deep)).as_bytes())]);
    let ifs = format!("int f(int a)\n{{\n{}a++;\n}}\n", "if (a) ".repeat(deep));
    told("ifs", ifs.as_bytes(), "nested too deep");
    let elses = format!("int f(int a)\n{{\n{}a++;\n}}\n", "if (a) a--; else ".repeat(deep));
    told("elses", elses.as_bytes(), "nested too deep");
    let conditions = format!("{}{}int x;\n", "#if A\n".repeat(deep), "#endif\n".repeat(deep));
    hostile("conditions", &[("a.c", conditions.as_bytes())]);
}

#[test]
fn a_file_cut_off_anywhere_is_read_as_far_as_it_goes() {
    for cut in (0..BAD.len()).step_by(9) {
        let place = Place::of("cut", &good());
        place.write("b.c", &BAD.as_bytes()[..cut]);
        let (code, _, complaint) = place.scan(&[]);
        assert!(matches!(code, 0 | 1 | 3), "{cut}: {code} {complaint}");
    }
}

#[test]
fn other_line_ends_and_other_letters_change_nothing() {
    let (code, text) = hostile("crlf", &[("a.c", BAD.replace('\n', "\r\n").as_bytes())]);
    assert!(code == 1 && text.starts_with("a.c:10:1: error[BQL004]"), "{code} {text}");
    let latin = [b"/* Andr\xe9 \xff\xfe */ ", BAD.as_bytes()].concat();
    let (code, text) = hostile("latin", &[("a.c", &latin)]);
    assert!(code == 1 && text.starts_with("a.c:10:1: error[BQL004]"), "{code} {text}");
    let marked = [b"\xef\xbb\xbf", BAD.as_bytes()].concat();
    let (code, text) = hostile("bom", &[("a.c", &marked)]);
    assert!(code == 1 && text.contains("a.c:10:1: error[BQL004]"), "{code} {text}");
    assert_eq!(hostile("nothing-in-it", &[("a.c", b"")]).0, 0);
}

#[test]
fn a_circle_of_links_ends() {
    let place = Place::of("circle", BAD);
    symlink(".", place.root.join("round")).expect("a link");
    symlink("../migration", place.root.join("migration/again")).expect("a link");
    symlink("self.c", place.root.join("self.c")).expect("a link");
    let (code, text, _) = place.scan(&["--format", "concise"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("self.c:1:1: problem: a link that leads nowhere"), "{text}");
    assert!(text.contains("1 file, 1 function"), "{text}");
    assert!(Path::new(&place.root).is_dir());
}
