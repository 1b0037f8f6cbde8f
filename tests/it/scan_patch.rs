//! Patches: read from diffs and mails, applied to trees, refused where they do
//! not fit, never taken for less than they are.

use crate::trees;
use bqlcheck::scan::patch::{Patch, PatchError, PatchErrorKind, apply, missing, parse};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

type Tree = BTreeMap<String, Arc<[u8]>>;

fn tree(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(path, text)| ((*path).into(), text.as_bytes().into())).collect()
}

/// The tree with a patch applied.
fn patched(tree: &Tree, patch: &Patch) -> Result<Tree, PatchError> {
    let mut patched = tree.clone();
    for (path, contents) in apply(patch, &|path| tree.get(path).cloned())? {
        match contents {
            Some(contents) => patched.insert(path, contents),
            None => patched.remove(&path),
        };
    }
    Ok(patched)
}

/// The tree with a series applied.
fn with(tree: &Tree, bytes: &[u8]) -> Result<Tree, PatchError> {
    let patches = parse("x.patch", bytes)?;
    patches.iter().try_fold(tree.clone(), |tree, patch| patched(&tree, patch))
}

fn malformed(bytes: &[u8]) -> PatchError {
    let error = parse("x.patch", bytes).expect_err("malformed");
    assert_eq!(error.kind, PatchErrorKind::Malformed, "{error}");
    assert!(!error.help.is_empty() && error.place.starts_with("x.patch"), "{error:?}");
    error
}

fn misfit(tree: &Tree, bytes: &[u8]) -> PatchError {
    let error = with(tree, bytes).expect_err("does not apply");
    assert_eq!(error.kind, PatchErrorKind::DoesNotApply, "{error}");
    error
}

const LISTEN: &str = "\
static void *listen_thread(void *opaque)
{
    QEMUFile *f = opaque;
    int ret;

    ret = load_state_main(f);
    if (ret < 0) {
        report(ret);
    }
    return NULL;
}
";

const LOCKED: &str = "\
static void *listen_thread(void *opaque)
{
    QEMUFile *f = opaque;
    int ret;

    bql_lock();
    ret = load_state_main(f);
    bql_unlock();
    if (ret < 0) {
        report(ret);
    }
    return NULL;
}
";

const HUNK: &str = "\
@@ -3,7 +3,9 @@ static void *listen_thread(void *opaque)
     QEMUFile *f = opaque;
     int ret;
 
+    bql_lock();
     ret = load_state_main(f);
+    bql_unlock();
     if (ret < 0) {
         report(ret);
     }
";

const HEADERS: &str = "--- a/migration/listen.c\n+++ b/migration/listen.c\n";
const GIT: &str = "diff --git a/migration/listen.c b/migration/listen.c\n\
                   index 1234567..89abcde 100644\n";

fn listen() -> Tree {
    tree(&[("migration/listen.c", LISTEN)])
}

fn locked() -> Tree {
    tree(&[("migration/listen.c", LOCKED)])
}

/// As `git format-patch` writes it.
fn mail(number: &str, body: &str) -> String {
    format!(
        "From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001\n\
         From: A U Thor <author@example.org>\n\
         Date: Tue, 24 Nov 2026 10:00:00 +0000\n\
         Subject: [PATCH {number}] migration: take the BQL\n\
         Message-ID: <{number}@example.org>\n\
         \n\
         From now on it is held.\n\
         >From the next line on, too.\n\
         ---\n \
         migration/listen.c | 2 ++\n \
         1 file changed, 2 insertions(+)\n\
         \n\
         {body}-- \n2.39.2\n\n"
    )
}

#[test]
fn diffs_of_git_and_of_diff() {
    let plain = HEADERS.replace("a/", "").replace("b/", "");
    let other = HEADERS.replace("a/", "qemu.orig/").replace("b/", "qemu/");
    let dated = HEADERS.replace(".c\n", ".c\t2026-11-24 10:00:00.000000000 +0000\n");
    let backup = plain.replacen("listen.c", "listen.c.orig", 1);
    for headers in [HEADERS, &plain, &other, &dated, &backup, &plain.replace("--- ", "--- ./")] {
        let diff = format!("diff -u x y\n{headers}{HUNK}");
        assert_eq!(with(&listen(), diff.as_bytes()).unwrap(), locked(), "{headers}");
    }
    let diff = format!("{GIT}{HEADERS}{HUNK}");
    let [patch] = &parse("x.patch", diff.as_bytes()).unwrap()[..] else { panic!("one patch") };
    assert_eq!((patch.subject.as_str(), &patch.message_id), ("x.patch", &None));
    assert_eq!(with(&listen(), diff.as_bytes()).unwrap(), locked());
    let windows = diff.replace('\n', "\r\n");
    assert_eq!(with(&listen(), windows.as_bytes()).unwrap(), locked());
    let no_prefix = diff.replace("a/", "").replace("b/", "");
    assert_eq!(with(&listen(), no_prefix.as_bytes()).unwrap(), locked());
}

#[test]
fn several_files_and_a_file_twice() {
    let files = tree(&[("a.c", "one\n"), ("b/a.h", "two\n")]);
    let diff = "--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-one\n+1\n\
                --- a/b/a.h\n+++ b/b/a.h\n@@ -1 +1 @@\n-two\n+2\n\
                --- a/a.c\n+++ b/a.c\n@@ -1 +1,2 @@\n 1\n+3\n";
    let want = tree(&[("a.c", "1\n3\n"), ("b/a.h", "2\n")]);
    assert_eq!(with(&files, diff.as_bytes()).unwrap(), want);
    let git = diff.replace("--- a/a.c\n", "diff --git a/a.c b/a.c\n--- a/a.c\n");
    let git = git.replace("--- a/b/a.h\n", "diff --git a/b/a.h b/b/a.h\n--- a/b/a.h\n");
    assert_eq!(with(&files, git.as_bytes()).unwrap(), want);
}

#[test]
fn mails_in_their_order() {
    let back = HUNK.replace("-3,7 +3,9", "-3,9 +3,7").replace("\n+", "\n-");
    let first = mail("1/2", &format!("{GIT}{HEADERS}{HUNK}"));
    let stat = "1 file changed, 2 deletions(-)";
    let second = mail("v2 2/2", &format!("{GIT}{HEADERS}{back}"));
    let second = second.replace("1 file changed, 2 insertions(+)", stat);
    let cover = mail("0/2", "").replace("1 file changed, 2 insertions(+)", "2 files changed");
    let reply = mail("x", "> @@ -1 +1 @@\n").replace("[PATCH x]", "Re: [PATCH v2 2/2]");
    for mbox in [
        format!("{cover}{first}{second}"),
        format!("{reply}{second}{first}{cover}"),
        format!("{second}{first}").replace('\n', "\r\n"),
    ] {
        let patches = parse("x.mbx", mbox.as_bytes()).unwrap();
        let numbers: Vec<_> = patches.iter().map(|patch| patch.number).collect();
        assert_eq!(numbers, [Some((1, 2)), Some((2, 2))]);
        assert_eq!(patches[0].message_id.as_deref(), Some("1/2@example.org"));
        assert_eq!(patches[1].subject, "[PATCH v2 2/2] migration: take the BQL");
        assert_eq!(with(&listen(), mbox.as_bytes()).unwrap(), listen());
        assert_eq!(missing(&patches), Vec::<String>::new());
    }
    let patches = parse("x.mbx", first.as_bytes()).unwrap();
    assert_eq!(missing(&patches), ["2/2 is missing"]);
    assert!(malformed(format!("{first}{first}").as_bytes()).message.contains("1/2"));
    assert!(malformed(cover.as_bytes()).message.contains("no diff"));
    let empty = mail("2/2", "");
    assert!(malformed(format!("{first}{empty}").as_bytes()).place.contains("[PATCH 2/2]"));
    // Errors name the line of the file, in whichever mail.
    let series = format!("{cover}{first}{}", second.replace("-    bql_unlock", "-    unlock"));
    let error = misfit(&listen(), series.as_bytes());
    let (_, line) = error.place.rsplit_once(':').unwrap();
    let line: usize = line.parse().unwrap();
    assert_eq!(series.lines().nth(line - 1), Some("-    unlock();"), "{error}");
    // Headers alone, without a line of the mbox in front.
    let (_, bare) = first.split_once('\n').unwrap();
    assert_eq!(with(&listen(), bare.as_bytes()).unwrap(), locked());
}

#[test]
fn transfer_encodings() {
    let diff = format!("{GIT}{HEADERS}{HUNK}");
    let subject = "Subject: =?UTF-8?q?=5BPATCH=201/1=5D_Schl=C3=B6sser?=\n =?UTF-8?B?IQ==?=\n";
    let head = |encoding: &str| {
        format!(
            "From: x@y\n{subject}MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n\
             Content-Transfer-Encoding: {encoding}\n\n"
        )
    };
    let quoted = diff.replace('=', "=3D").replace("(f)", "(=\nf)");
    let quoted = format!("{}{quoted}-- =20\n2.39.2\n", head("quoted-printable"));
    let base64 = format!("{}{}", head("base64"), base64(diff.replace('\n', "\r\n").as_bytes()));
    let parts = format!(
        "From: x@y\n{subject}Content-Type: multipart/mixed; boundary=\"=-=\"\n\nmime\n\
         --=-=\nContent-Type: text/plain\n\nSee below.\n--=-=\nContent-Type: text/html\n\n\
         <p>@@ -1 +1 @@</p>\n--=-=\nContent-Type: text/x-patch\n\
         Content-Transfer-Encoding: base64\n\n{}\n--=-=--\n",
        self::base64(diff.as_bytes())
    );
    for mail in [&quoted, &base64, &parts] {
        let [patch] = &parse("x.eml", mail.as_bytes()).unwrap()[..] else { panic!("one patch") };
        assert_eq!(
            (patch.subject.as_str(), patch.number),
            ("[PATCH 1/1] Schlösser!", Some((1, 1)))
        );
        assert_eq!(patched(&listen(), patch).unwrap(), locked());
    }
    let error = malformed(parts.replace("--=-=--\n", "").as_bytes());
    assert!(error.message.contains("last part"), "{error}");
    let other = tree(&[("migration/listen.c", "int x;\n")]);
    assert!(misfit(&other, base64.as_bytes()).place.contains("text of `[PATCH 1/1]"));
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (nth, three) in bytes.chunks(3).enumerate() {
        let value = (0..3)
            .fold(0, |value, nth| value << 8 | u32::from(three.get(nth).copied().unwrap_or(0)));
        for digit in 0..4 {
            let shown = DIGITS[(value >> (18 - 6 * digit) & 63) as usize];
            text.push(if digit <= three.len() { shown as char } else { '=' });
        }
        if nth % 19 == 18 {
            text.push('\n');
        }
    }
    text + "\n"
}

#[test]
fn files_made_deleted_moved() {
    let files = tree(&[("a.c", "one\ntwo\n"), ("b.c", "three\n"), ("t.png", "\0")]);
    let cases: [(&str, &[(&str, &str)]); 9] = [
        (
            "diff --git a/n.c b/n.c\nnew file mode 100644\nindex 0000000..1234567\n\
          --- /dev/null\n+++ b/n.c\n@@ -0,0 +1 @@\n+new\n\\ No newline at end of file\n",
            &[("a.c", "one\ntwo\n"), ("b.c", "three\n"), ("n.c", "new")],
        ),
        (
            "--- o/n.c\t1970-01-01\n+++ q/n.c\n@@ -0,0 +1 @@\n+new\n",
            &[("a.c", "one\ntwo\n"), ("b.c", "three\n"), ("n.c", "new\n")],
        ),
        (
            "diff --git a/n.c b/n.c\nnew file mode 100644\nindex 0000000..e69de29\n",
            &[("a.c", "one\ntwo\n"), ("b.c", "three\n"), ("n.c", "")],
        ),
        (
            "diff --git a/a.c b/a.c\ndeleted file mode 100644\nindex 1234567..0000000\n\
          --- a/a.c\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-one\n-two\n",
            &[("b.c", "three\n")],
        ),
        (
            "diff --git a/a.c b/c.c\nsimilarity index 100%\nrename from a.c\nrename to c.c\n",
            &[("b.c", "three\n"), ("c.c", "one\ntwo\n")],
        ),
        (
            "diff --git a/a.c b/b.c\nsimilarity index 100%\nrename from a.c\nrename to b.c\n\
          diff --git a/b.c b/a.c\nsimilarity index 90%\nrename from b.c\nrename to a.c\n\
          index 1..2 100644\n--- a/b.c\n+++ b/a.c\n@@ -1 +1 @@\n-three\n+3\n",
            &[("a.c", "3\n"), ("b.c", "one\ntwo\n")],
        ),
        (
            "diff --git a/a.c b/a.c\nindex 1..2 100644\n--- a/a.c\n+++ b/a.c\n@@ -1,2 +1 @@\n one\n-two\n\
          diff --git a/a.c b/c.c\nsimilarity index 50%\ncopy from a.c\ncopy to c.c\n\
          index 1..2 100644\n--- a/a.c\n+++ b/c.c\n@@ -1,2 +1,3 @@\n one\n two\n+four\n",
            &[("a.c", "one\n"), ("b.c", "three\n"), ("c.c", "one\ntwo\nfour\n")],
        ),
        (
            "diff --git a/a.c b/a.c\nold mode 100644\nnew mode 100755\n",
            &[("a.c", "one\ntwo\n"), ("b.c", "three\n")],
        ),
        (
            "diff --git a/t.png b/t.png\nindex 1..2 100644\nBinary files a/t.png and b/t.png differ\n\
          diff --git a/u.png b/u.png\nnew file mode 100644\nindex 0..2\nGIT binary patch\n\
          literal 1\nIcmZQ!00961\n\nliteral 0\nHcmV?d00001\n\n\
          diff --git a/roms/s b/roms/s\nindex 1..2 160000\n--- a/roms/s\n+++ b/roms/s\n\
          @@ -1 +1 @@\n-Subproject commit 1\n+Subproject commit 2\n",
            &[("a.c", "one\ntwo\n"), ("b.c", "three\n")],
        ),
    ];
    for (diff, want) in cases {
        let mut want = tree(want);
        want.insert("t.png".into(), b"\0"[..].into());
        assert_eq!(with(&files, diff.as_bytes()).expect(diff), want, "{diff}");
    }
    let [patch] = &parse("x", cases[8].0.as_bytes()).unwrap()[..] else { panic!("one patch") };
    assert_eq!(apply(patch, &|_| None).unwrap(), [], "nothing that is scanned");
    let taken = "diff --git a/a.c b/b.c\nsimilarity index 100%\nrename from a.c\nrename to b.c\n";
    assert!(misfit(&files, taken.as_bytes()).message.contains("b.c is in the tree already"));
    let gone = "--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-x\n+y\n";
    assert!(misfit(&files, gone.as_bytes()).message.contains("x.c is not in the tree"));
    let less = "--- a/a.c\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-one\n";
    assert!(misfit(&files, less.as_bytes()).message.contains("does not delete: `two`"));
    let binary = "diff --git a/a.c b/a.c\nindex 1..2 100644\nBinary files a/a.c and b/a.c differ\n";
    assert!(malformed(binary.as_bytes()).message.contains("a.c is C"));
}

#[test]
fn hunks_that_have_moved() {
    let diff = format!("{HEADERS}{HUNK}");
    let longer = |text: &str| {
        tree(&[(
            "migration/listen.c",
            &format!("{}{text}{}", "/* */\n".repeat(300), "\n".repeat(9)),
        )])
    };
    assert_eq!(with(&longer(LISTEN), diff.as_bytes()).unwrap(), longer(LOCKED));
    // Of two places, the nearer.
    let twice = format!("{LISTEN}{LISTEN}");
    let at = |old: &str, new: &str| HUNK.replace("-3,7 +3,9", &format!("-{old},7 +{new},9"));
    let files = tree(&[("migration/listen.c", &twice)]);
    for (line, want) in [("7", format!("{LOCKED}{LISTEN}")), ("9", format!("{LISTEN}{LOCKED}"))] {
        let diff = format!("{HEADERS}{}", at(line, line));
        let want = tree(&[("migration/listen.c", &want)]);
        assert_eq!(with(&files, diff.as_bytes()).unwrap(), want, "{line}");
    }
    // Never in front of the hunk before it.
    let diff = format!("{HEADERS}{}{}", at("14", "14"), at("21", "23"));
    assert!(misfit(&files, diff.as_bytes()).message.contains("@@ -21,7 +23,9 @@"));
}

#[test]
fn what_does_not_fit_is_told() {
    let diff = format!("{HEADERS}{HUNK}");
    let files = tree(&[("migration/listen.c", &LISTEN.replace("ret < 0", "ret <\t0"))]);
    let error = misfit(&files, diff.as_bytes());
    assert_eq!(
        error.message,
        "the hunk @@ -3,7 +3,9 @@ does not fit migration/listen.c: the lines differ\n  \
         line 10 of the patch: `    if (ret < 0) {`\n  \
         migration/listen.c:7 has: `    if (ret < 0) {`"
    );
    assert_eq!(error.place, "x.patch:10");
    let error = misfit(&locked(), diff.as_bytes());
    assert!(error.help.contains("already"), "{error:?}");
    let short = tree(&[("migration/listen.c", "int x;")]);
    let error = misfit(&short, diff.as_bytes());
    assert!(error.message.contains("`int x;`, without a line end"), "{error}");
    let bare = "--- a/a.c\n+++ b/a.c\n@@ -1,0 +2 @@\n+x\n";
    let error = misfit(&tree(&[("a.c", "a\nb\n")]), bare.as_bytes());
    assert!(error.message.contains("no context"), "{error}");
    let files = tree(&[("a.c", "a\nb\nc\nc\n")]);
    let overlap =
        "--- a/a.c\n+++ b/a.c\n@@ -0,3 +0,3 @@\n-a\n-b\n-c\n+x\n+y\n+z\n@@ -3 +3 @@\n-c\n+d\n";
    assert!(misfit(&files, overlap.as_bytes()).message.contains("its place is not there"));
    let far = "--- a/a.c\n+++ b/a.c\n@@ -9 +9 @@\n-c\n+d\n";
    assert!(misfit(&files, far.as_bytes()).message.contains("its place is not there"));
    // Edges of the file are context too.
    let files = tree(&[("a.c", "0\na\nb\nc\n")]);
    let start = "--- a/a.c\n+++ b/a.c\n@@ -1,2 +1,3 @@\n+x\n a\n b\n";
    assert!(misfit(&files, start.as_bytes()).message.contains("a.c:1 has: `0`"));
    let end = "--- a/a.c\n+++ b/a.c\n@@ -1,2 +1,3 @@\n a\n b\n+x\n";
    assert!(misfit(&files, end.as_bytes()).message.contains("a.c:3 has: `b`"));
}

#[test]
fn trees_of_windows_and_files_without_a_last_newline() {
    let diff = format!("{HEADERS}{HUNK}");
    let windows = |text: &str| tree(&[("migration/listen.c", &text.replace('\n', "\r\n"))]);
    let body = HUNK.replace('\n', "\r\n").replacen("\r\n", "\n", 1);
    let git = format!("{HEADERS}{body}");
    for diff in [&diff, &git, &diff.replace('\n', "\r\n")] {
        assert_eq!(with(&windows(LISTEN), diff.as_bytes()).unwrap(), windows(LOCKED));
        assert_eq!(with(&listen(), diff.as_bytes()).unwrap(), locked());
    }
    let files = tree(&[("a.c", "a\nb")]);
    let head = "--- a/a.c\n+++ b/a.c\n";
    let mark = "\\ No newline at end of file\n";
    let diff = format!("{head}@@ -1,2 +1,2 @@\n a\n-b\n{mark}+c\n{mark}");
    assert_eq!(with(&files, diff.as_bytes()).unwrap(), tree(&[("a.c", "a\nc")]));
    let diff = format!("{head}@@ -1,2 +1,3 @@\n+x\n a\n b\n{mark}");
    assert_eq!(with(&files, diff.as_bytes()).unwrap(), tree(&[("a.c", "x\na\nb")]));
    let diff = format!("{head}@@ -1,2 +1,3 @@\n+x\n a\n b\n");
    assert!(misfit(&files, diff.as_bytes()).message.contains("without a line end"));
    let diff = format!("{head}@@ -1,2 +1,3 @@\n a\n+b\n{mark} b\n");
    assert!(malformed(diff.as_bytes()).message.contains("follows the end"));
}

#[test]
fn what_is_no_patch_is_refused() {
    let hunk = |header: &str| format!("--- a/a.c\n+++ b/a.c\n{header}\n a\n-b\n+c\n");
    assert!(parse("x", hunk("@@ -1,2 +1,2 @@").as_bytes()).is_ok());
    for header in [
        "@@ -1,1 +1,2 @@",
        "@@ -1,2 +1,1 @@",
        "@@ -1,3 +1,3 @@",
        "@@ -1,1 +1,1 @@",
        "@@ -1,-2 +1,2 @@",
        "@@ --1,2 +1,2 @@",
        "@@ -18446744073709551615,2 +1,2 @@",
        "@@ -1,99999999999999999999 +1,2 @@",
        "@@ -1,2 +1,2",
        "@@ -a +b @@",
        "@@",
        "",
        "@@@ -1,2 -1,2 +1,2 @@@",
        "@@ -0,0 +0,0 @@",
    ] {
        malformed(hunk(header).as_bytes());
    }
    for path in
        ["../a.c", "a/../../a.c", "/etc/passwd", "a//etc/passwd", "a/\\x\u{1}", "\"a/\\001\""]
    {
        for other in [path, "a/a.c", "/dev/null"] {
            let diff = format!("--- {other}\n+++ {path}\n@@ -1 +1 @@\n-a\n+b\n");
            malformed(diff.as_bytes());
        }
        malformed(
            format!(
                "diff --git a/a.c b/b.c\nsimilarity index 100%\n\
                           rename from a.c\nrename to {}\n",
                path.trim_start_matches("a/")
            )
            .as_bytes(),
        );
    }
    let whole = format!("{GIT}{HEADERS}{HUNK}");
    for text in [
        "hello\n".into(),
        "\0\u{1}\u{7f}".into(),
        "@@ -1 +1 @@\n-a\n+b\n".into(),
        GIT.into(),
        format!("{GIT}{HEADERS}"),
        HEADERS.into(),
        format!("{whole}rubbish\n{HUNK}"),
        format!("{whole}+more\n"),
        format!("{whole} more\n"),
        format!("{HUNK}{whole}"),
        format!("{whole}\\ No new"),
        format!("{whole}diff --gi"),
        format!("{HEADERS}{HUNK}diff -ru a/x b/x\n"),
        format!("diff --git {} b\n", "a ".repeat(1 << 20)),
        "diff --git a/a b/a\nnew file mode 100644\n".into(),
        "diff --git a/a b/a\nrename from a\n".into(),
        "diff --git a/a b/a\nsimilarity index 90%\nrename from a\nrename to b\n".into(),
    ] {
        malformed(text.as_bytes());
    }
    assert!(malformed(format!("{GIT}{HEADERS}{HUNK}+more\n").as_bytes()).place.ends_with(":15"));
    let mode = "diff --git a/a b/a\nold mode 100644\nnew mode 1\u{1b}\n";
    assert_eq!(malformed(mode.as_bytes()).message, "invalid file mode: 1\u{fffd}");
    assert_eq!(parse("x", b"").unwrap(), []);
    assert_eq!(parse("x", b" \r\n").unwrap(), []);
}

/// Every text that `bytes` can be cut to either is an error, or does all that the
/// whole does, or was cut at one of `seams`, the places where a whole patch ends.
fn cut_everywhere(files: &Tree, bytes: &[u8], seams: &[usize]) {
    let whole = with(files, bytes).expect("it applies as a whole");
    for cut in 0..bytes.len() {
        let Ok(patches) = parse("x.patch", &bytes[..cut]) else { continue };
        let got = patches.iter().try_fold(files.clone(), |tree, patch| patched(&tree, patch));
        let told = patches.is_empty() || !missing(&patches).is_empty() || got.is_err();
        let text = String::from_utf8_lossy(&bytes[cut.saturating_sub(60)..cut]);
        assert!(told || got.unwrap() == whole || seams.contains(&cut), "at {cut}, after: {text}");
    }
}

#[test]
fn a_patch_that_is_cut_is_not_a_smaller_one() {
    let mut files = listen();
    files.insert("b.c".into(), b"one\ntwo\n"[..].into());
    let rename = "diff --git a/b.c b/c.c\nsimilarity index 50%\nrename from b.c\nrename to c.c\n\
                  index 1..2 100644\n--- a/b.c\n+++ b/c.c\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n\
                  \\ No newline at end of file\n";
    let git = format!("{GIT}{HEADERS}{HUNK}{rename}");
    let (first, mark) = (git.find("diff --git a/b.c").unwrap(), git.find("\\ No").unwrap());
    cut_everywhere(&files, git.as_bytes(), &[first, mark]);
    let plain = format!("{HEADERS}{HUNK}--- a/b.c\n+++ b/b.c\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n");
    cut_everywhere(&files, plain.as_bytes(), &[plain.find("--- a/b.c").unwrap()]);

    // A mail tells of every cut but that of the mark.
    let stat = "2 files changed, 3 insertions(+), 1 deletion(-)";
    let one = mail("1/1", &git).replace("1 file changed, 2 insertions(+)", stat);
    cut_everywhere(&files, one.as_bytes(), &[one.find("\\ No").unwrap()]);
    let second = "diff --git a/c.c b/c.c\nindex 1..2 100644\n--- a/c.c\n+++ b/c.c\n\
                  @@ -1,2 +1,2 @@\n-one\n+1\n 2\n\\ No newline at end of file\n";
    let second = mail("2/2", second).replace("2 insertions(+)", "1 insertion(+), 1 deletion(-)");
    let series = format!("{}{second}", one.replace("1/1", "1/2"));
    cut_everywhere(&files, series.as_bytes(), &[]);
    cut_everywhere(&files, series.replace('\n', "\r\n").as_bytes(), &[]);
    let head = "From: x\nSubject: x\nContent-Transfer-Encoding: base64\n\n";
    let body = one.split_once("\n---\n").unwrap().1;
    let mark = body.find("\\ No").unwrap();
    let coded = format!("{head}{}", base64(body.as_bytes()));
    let seams: Vec<usize> = (0..coded.len())
        .filter(|cut| {
            // Three bytes are four digits, 57 bytes a line.
            let digits = cut.saturating_sub(head.len());
            (digits - digits / 77) * 3 / 4 == mark
        })
        .collect();
    cut_everywhere(&files, coded.as_bytes(), &seams);
}

/// The patch that started it all, on the tree that it is for.
#[test]
fn the_patch_of_the_discussion() {
    let Some(beside) = trees::tree("10.0") else { return };
    let source = std::fs::read_to_string(beside.join("migration/savevm.c")).expect("a tree");
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures");
    let Ok(patch) = std::fs::read(captures.join("bql-around-loadvm.patch")) else {
        println!("skipped: no ../shared/captures here");
        return;
    };
    let files = tree(&[("migration/savevm.c", &source)]);
    let got = with(&files, &patch).unwrap();
    let call = "    load_res = qemu_loadvm_state_main(f, mis);\n";
    let listen = source.find("*postcopy_ram_listen_thread").unwrap();
    let (before, after) = source.split_at(listen);
    let after = after.replacen(call, &format!("    bql_lock();\n{call}    bql_unlock();\n"), 1);
    assert_eq!(got, tree(&[("migration/savevm.c", &format!("{before}{after}"))]));
    cut_everywhere(&files, &patch, &[]);
}

#[test]
fn a_large_patch_that_fits_nowhere_ends_soon() {
    let file = tree(&[("a.c", &"x\n".repeat(1 << 20))]);
    let many = " x\n".repeat(1 << 19);
    let count = 1 << 19;
    let diff = format!("--- a/a.c\n+++ b/a.c\n@@ -9,{} +9,{count} @@\n{many}-y\n x\n", count + 2)
        .replace(&format!("+9,{count}"), &format!("+9,{}", count + 1));
    let started = std::time::Instant::now();
    assert!(misfit(&file, diff.as_bytes()).message.contains("too long"));
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

/// Lines of a small alphabet, so that hunks could go to many places.
fn text() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec!["a", "b", "}", "", "-- x", "++ y", "    bql_lock();"]);
    (prop::collection::vec(line, 0..40), any::<bool>()).prop_map(|(lines, ends)| {
        let text = lines.join("\n");
        if ends && !text.is_empty() { text + "\n" } else { text }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn a_diff_gives_what_it_was_made_from(old in text(), new in text()) {
        prop_assume!(old != new);
        let diff = diffy::create_patch(&old, &new);
        let (old, new) = (tree(&[("original", &old)]), tree(&[("original", &new)]));
        let there = diff.to_string();
        prop_assert_eq!(&with(&old, there.as_bytes()).unwrap(), &new);
        let back = diff.reverse().to_string();
        prop_assert_eq!(&with(&new, back.as_bytes()).unwrap(), &old);
    }

    #[test]
    fn a_series_gives_what_it_was_made_from(texts in prop::collection::vec(text(), 2..6)) {
        let mut mbox = String::new();
        let total = texts.len() - 1;
        for (nth, two) in texts.windows(2).enumerate().rev() {
            prop_assume!(two[0] != two[1]);
            let diff = diffy::create_patch(&two[0], &two[1]);
            let stat = "1 file changed";
            let number = format!("{}/{total}", nth + 1);
            mbox += &mail(&number, &diff.to_string()).replace("1 file changed, 2 insertions(+)", stat);
        }
        let first = tree(&[("original", &texts[0])]);
        let last = tree(&[("original", &texts[total])]);
        prop_assert_eq!(with(&first, mbox.as_bytes()).unwrap(), last);
    }

    #[test]
    fn no_text_makes_it_panic(cut in 0..2000_usize, with_ in "[-+@ \\n0-9a/,\\\\]{0,12}", git in any::<bool>()) {
        let text = mail("1/1", &format!("{}{HEADERS}{HUNK}", if git { GIT } else { "" }));
        let at = cut.min(text.len());
        let text = format!("{}{with_}{}", &text[..at], &text[at..]);
        let _ = with(&listen(), text.as_bytes());
    }
}
