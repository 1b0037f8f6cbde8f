//! How long a scan takes, next to reading the files and to the bare parse of the
//! same run, and how much memory; `cargo bench --bench scan`. The trees are those
//! of the tests.

#[path = "../tests/it/trees.rs"]
mod trees;

use bqlcheck::cli::{self, tree};
use bqlcheck::report::peak_rss_kib;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// What a child prints its peak after.
const PEAK: &str = "peak KiB: ";

/// What was measured before: what the rest is compared with.
struct Base {
    read: Duration,
    parse: Duration,
}

fn seconds<R>(work: impl FnOnce() -> R) -> (Duration, R) {
    let started = Instant::now();
    let result = work();
    (started.elapsed(), result)
}

/// A scan, in a process of its own: how long it took, and its greatest size.
fn scan(tree: &Path, cache: &Path, options: &[&str]) -> (Duration, u64) {
    let me = std::env::current_exe().expect("the system knows what it runs");
    let mut command = Command::new(me);
    command.arg("scan").arg(tree).args(["--format", "concise"]).args(options);
    command.env("XDG_CACHE_HOME", cache).stdout(Stdio::null()).stderr(Stdio::piped());
    let (took, output) = seconds(|| command.output().expect("it can be started again"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{said}");
    let peak = said.lines().find_map(|line| line.strip_prefix(PEAK)).expect("it says so");
    (took, peak.parse().expect("a number"))
}

fn line(name: &str, took: Duration, peak: Option<u64>, base: &Base) {
    let ratio = |to: Duration| took.as_secs_f64() / to.as_secs_f64();
    let peak = peak.map_or("-".into(), |kib| (kib >> 10).to_string());
    println!(
        "{name:<24}{:>10.2}{:>10.1}{:>10.2}{peak:>10}",
        took.as_secs_f64(),
        ratio(base.read),
        ratio(base.parse),
    );
}

/// A line more in the listen thread, which changes what is held in it.
fn patch(tree: &Path, place: &Path) -> PathBuf {
    let text = std::fs::read_to_string(tree.join("migration/savevm.c")).expect("readable");
    let call = "load_res = qemu_loadvm_state_main(f, mis);";
    let at = text.lines().position(|line| line.contains(call)).expect("the call is there");
    let line = |number| text.lines().nth(number).expect("it is in the middle");
    let (above, old, below) = (line(at - 1), line(at), line(at + 1));
    let patch = place.join("bql-around-loadvm.patch");
    let name = "migration/savevm.c";
    let text = format!(
        "--- a/{name}\n+++ b/{name}\n@@ -{at},3 +{at},5 @@\n {above}\n\
         +    bql_lock();\n {old}\n+    bql_unlock();\n {below}\n"
    );
    std::fs::write(&patch, text).expect("the target directory can be written to");
    patch
}

fn measure(tree: &Path) {
    let read = || tree::read(tree, &[]).expect("it is a tree");
    // Once before, so that what is measured is not the disk.
    read();
    let (took, sources) = seconds(read);
    let parse = |text: &[u8]| {
        let mut parser = tree_sitter::Parser::new();
        parser.set_language(&tree_sitter_c::LANGUAGE.into()).expect("both are pinned");
        parser.parse(text, None).is_some()
    };
    let (parsing, all) = seconds(|| sources.code.par_iter().all(|(_, text)| parse(text)));
    assert!(all, "the parser ends");
    let base = Base { read: took, parse: parsing };
    let bytes: usize = sources.code.iter().map(|(_, text)| text.len()).sum();
    let (files, cores) = (sources.code.len(), rayon::current_num_threads());
    println!("{files} files, {} MB, {cores} cores\n", bytes / 1_000_000);
    let head = ["", "seconds", "x read", "x parse", "MiB"];
    println!("{:<24}{:>10}{:>10}{:>10}{:>10}", head[0], head[1], head[2], head[3], head[4]);
    line("read", base.read, None, &base);
    line("bare parse", base.parse, None, &base);
    drop(sources);

    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-scan");
    let cache = place.join("cache");
    let fresh = || {
        let _ = std::fs::remove_dir_all(&place);
        std::fs::create_dir_all(&place).expect("the target directory can be written to");
    };
    let timed = |name: &str, options: &[&str]| {
        let (took, peak) = scan(tree, &cache, options);
        line(name, took, Some(peak), &base);
    };
    fresh();
    timed("migration/, cold", &["--only", "migration"]);
    timed("migration/, warm", &["--only", "migration"]);
    fresh();
    timed("all, cold", &[]);
    timed("all, warm", &[]);
    let patch = patch(tree, &place).display().to_string();
    timed("a patch, warm", &["--patch", &patch]);
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|verb| verb == "scan") {
        let exit = cli::run();
        eprintln!("{PEAK}{}", peak_rss_kib());
        return exit.into();
    }
    match trees::tree("10.0") {
        Some(tree) => measure(&tree),
        None => eprintln!("scripts/qemu-source target/qemu 10.0 fetches it"),
    }
    ExitCode::SUCCESS
}
