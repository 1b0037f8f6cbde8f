//! Input that nobody means well with: a scan of it ends, soon, and without a
//! panic; what is wrong with a patch is said.

use bqlcheck::scan::patch::{PatchErrorKind, apply, parse};
use bqlcheck::scan::{Sources, scan};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// None of it takes more than a second or so by itself; what grows with the square
/// of its length takes many minutes.
const SOON: Duration = Duration::from_secs(60);

/// Scans one file from its text to its findings.
fn scanned(text: &[u8]) {
    let sources = Sources::from([("migration/x.c".to_owned(), Arc::from(text))]);
    let report = scan(&sources);
    assert!(report.functions >= report.functions_unparsed.len());
}

/// A function with this body.
fn function(body: &str) -> String {
    format!("int f(State *s)\n{{\n    int x = 0;\n{body}\n    return x;\n}}\n")
}

#[test]
fn long_and_deep_sources() {
    let many = 50_000;
    let chain = |one: &str, between: &str| vec![one; many].join(between);
    let labels: String =
        (0..many / 10).map(|n| format!("l{n}:\n    goto l{};\n", n * 7 % 5000)).collect();
    let cases: String = (0..many / 10).map(|n| format!("case {n}:\n    bql_lock();\n")).collect();
    let ifs =
        "    if (x) {\n        bql_lock();\n    }\n    if (x) {\n        bql_unlock();\n    }\n";
    let bodies = [
        format!("x = {};", chain("x", " + ")),
        format!("x = {};", chain("x", " ? x : ")),
        format!("x = {};", chain("(x", "")) + &")".repeat(many),
        format!("x = {}x;", "!".repeat(many)),
        format!("x = {}x;", "*&".repeat(many)),
        format!("x = {};", chain("s", "->")),
        format!("x = {}0{};", "f(".repeat(900), ")".repeat(900)),
        format!("x = {};", chain("\"x\"", " ")),
        format!("if (x) {{ }} {}", "else if (x) { }\n".repeat(many)),
        "if (x)\n".repeat(900) + ";",
        "while (x) {".repeat(900) + &"}".repeat(900),
        ifs.repeat(many / 20),
        "WITH_QEMU_LOCK_GUARD(&s->lock) {\n".repeat(400) + &"}".repeat(400),
        "QEMU_LOCK_GUARD(&s->lock);\n".repeat(many / 10),
        "f(s);\n".repeat(many),
        "bql_lock();\n".repeat(many),
        format!("goto l0;\n{labels}"),
        format!("switch (x) {{\n{cases}}}"),
        "{".repeat(100_000),
        "#if X\n".repeat(many),
        "#if X\n{\n#else\n}\n#endif\n".repeat(many / 10),
    ];
    for body in bodies {
        let began = Instant::now();
        scanned(function(&body).as_bytes());
        let taken = began.elapsed();
        let start: String = body.chars().take(40).collect();
        assert!(taken < SOON, "{taken:?}: {start}");
    }
}

#[test]
fn sources_that_are_no_text() {
    let body = function("bql_lock();\nx = g(s->y);\nbql_unlock();");
    let megabytes = 10 << 20;
    let texts: [Vec<u8>; 9] = [
        b"\0\xff\xfe\x80{".to_vec(),
        vec![0; megabytes],
        vec![b'x'; megabytes],
        vec![b'{'; megabytes / 10],
        b"\xff".repeat(megabytes / 10),
        format!("/* {}", "x".repeat(megabytes)).into(),
        format!("char *s = \"{}", "\\\"".repeat(megabytes / 2)).into(),
        body.replace('\n', "\r\n").into(),
        format!("\u{feff}{body}").into(),
    ];
    for text in texts {
        let began = Instant::now();
        scanned(&text);
        let taken = began.elapsed();
        let start = String::from_utf8_lossy(&text[..40.min(text.len())]).into_owned();
        assert!(taken < SOON, "{taken:?}: {start:?}");
    }
}

#[test]
fn large_patches() {
    let many = 100_000;
    let files: String = (0..many / 4)
        .map(|n| format!("diff --git a/n{n}.c b/n{n}.c\nnew file mode 100644\nindex 0..e69de29\n"))
        .collect();
    let plain: String = (0..many / 4)
        .map(|n| format!("--- /dev/null\n+++ b/n{n}.c\n@@ -0,0 +1 @@\n+x\n"))
        .collect();
    let hunks: String = (0..many).map(|n| format!("@@ -{0} +{0} @@\n-x\n+y\n", n + 1)).collect();
    let head = "--- a/x.c\n+++ b/x.c\n";
    let mails: String = (1..=2000)
        .rev()
        .map(|n| {
            format!(
                "From x Thu Jan  1 00:00:00 1970\nFrom: x\nSubject: [PATCH {n}/2000] x\n\n\
                 --- /dev/null\n+++ b/n{n}.c\n@@ -0,0 +1 @@\n+x\n-- \n2\n\n"
            )
        })
        .collect();
    let parts = "Content-Type: multipart/mixed; boundary=x\n\n--x\n".repeat(200);
    let long = "x".repeat(10 << 20);
    for (text, sound) in [
        (files, true),
        (plain, true),
        (format!("{head}{hunks}"), true),
        (mails, true),
        (format!("{head}@@ -1 +1 @@\n-x\n+{long}\n"), true),
        (format!("From: x\nSubject: x\n{parts}"), false),
        (format!("From: x\nSubject: {long}\n\n{head}"), false),
        (format!("From: x\nSubject: {}\n\n{head}", "=?UTF-8?q?=5B?= ".repeat(many)), false),
        (format!("--- {long}\n+++ b/x\n@@ -1 +1 @@\n-x\n+y\n"), false),
        (format!("diff --git a/{long} b/{long}\n"), false),
        (long, false),
        ("\n".repeat(10 << 20) + "x", false),
        ("@@ -1 +1 @@\n".repeat(many), false),
        (format!("{head}{}", "@@ -1 +1 @@\n".repeat(many)), false),
        (head.repeat(many), false),
        ("diff --git a/x b/x\n".repeat(many), false),
        ("From x Thu Jan  1 00:00:00 1970\n".repeat(many), false),
    ] {
        let began = Instant::now();
        let start: String = text.chars().take(60).collect();
        match parse("x.patch", text.as_bytes()) {
            Ok(patches) => {
                assert!(sound, "{start}");
                let x: Arc<[u8]> = "x\n".repeat(many).into_bytes().into();
                for patch in &patches {
                    let _ = apply(patch, &|path| (path == "x.c").then(|| x.clone()));
                }
            }
            Err(error) => {
                assert!(!sound, "{error}: {start}");
                assert_eq!(error.kind, PatchErrorKind::Malformed);
                assert!(error.to_string().len() < 1000);
            }
        }
        let taken = began.elapsed();
        assert!(taken < SOON, "{taken:?}: {start}");
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    /// `text` with a few bytes or pieces changed.
    fn mutate(&mut self, text: &[u8], words: &[&str]) -> Vec<u8> {
        let mut text = text.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(text.len() + 1);
            let end = (at + self.below(40)).min(text.len());
            match self.below(5) {
                0 => drop(text.drain(at..end)),
                1 => text.truncate(at),
                2 => {
                    let piece = text[at..end].to_vec();
                    let to = self.below(text.len() + 1);
                    text.splice(to..to, piece);
                }
                3 if at < end => text[at] ^= 1 << self.below(8),
                _ => {
                    let word = words[self.below(words.len())];
                    text.splice(at..at, word.bytes());
                }
            }
        }
        text
    }
}

const SOURCE: &str = include_str!("../../fuzz/seeds/scan/source");

#[test]
fn mutated_patches() {
    let words = [
        "\n",
        "\r\n",
        "@@ -1,3 +1,4 @@\n",
        "-",
        "+",
        " ",
        "\\ No newline at end of file\n",
        "../",
        "/",
        "--- a/x.c\n",
        "+++ b/x.c\n",
        "diff --git a/x.c b/x.c\n",
        "new file mode 100644\n",
        "99999999999",
        "rename from x.c\n",
        "From x Thu Jan  1 00:00:00 1970\n",
        "=",
        "\"",
        "/dev/null",
        "\u{1b}",
    ];
    let seeds: [&[u8]; 6] = [
        include_bytes!("../../fuzz/seeds/scan/git"),
        include_bytes!("../../fuzz/seeds/scan/series"),
        include_bytes!("../../fuzz/seeds/scan/base64"),
        include_bytes!("../../fuzz/seeds/scan/parts"),
        include_bytes!("../../fuzz/seeds/scan/rename"),
        include_bytes!("../../fuzz/seeds/scan/windows"),
    ];
    let (mut dice, mut sound) = (Dice(0x6271_6c63), 0);
    for nth in 0..20_000 {
        let seed = seeds[nth % seeds.len()];
        let middle = seed.iter().position(|byte| *byte == 0).expect("a C file, a NUL, a patch");
        let source: Arc<[u8]> = seed[..middle].into();
        let text = dice.mutate(&seed[middle + 1..], &words);
        let Ok(patches) = parse("x.patch", &text) else { continue };
        for patch in &patches {
            let read = |path: &str| (!path.contains("new")).then(|| source.clone());
            sound += usize::from(apply(patch, &read).is_ok());
        }
    }
    // Enough of them are patches for this to say something.
    assert!(sound > 500, "{sound}");
}

#[test]
fn mutated_sources() {
    let words = [
        "\n",
        "{",
        "}",
        "(",
        ")",
        ";",
        "/*",
        "*/",
        "\"",
        "'",
        "#if 0\n",
        "#else\n",
        "#endif\n",
        "\\\n",
        "bql_lock();",
        "bql_unlock();",
        "WITH_QEMU_LOCK_GUARD(&s->lock) {",
        "goto out;",
        "out:",
        "return",
        "QLIST_FOREACH(x, &s->y, z) {",
        "static ",
        "struct X {",
        "case 1 ... 2:",
        "\u{ff}",
    ];
    let mut dice = Dice(0x7363_616e);
    for _ in 0..5_000 {
        scanned(&dice.mutate(SOURCE.as_bytes(), &words));
    }
}
