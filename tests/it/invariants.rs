//! What the code map promises: which way dependencies point, one file for each
//! package from outside, files that can be read in one go.

use std::path::{Path, PathBuf};

/// Every source file below `folder`, with its text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("part of the repository") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("readable");
            found.push((path, text));
        }
    }
    found.sort();
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn each_package_is_named_in_one_file() {
    let files = sources(&src());
    for (package, home) in [
        ("parking_lot::", "runtime/threads.rs"),
        ("loom::sync", "runtime/loom.rs"),
        ("loom::model", "runtime/loom.rs"),
        ("loom::thread", "runtime/loom.rs"),
        ("shuttle::sync", "runtime/shuttle.rs"),
        ("shuttle::scheduler", "runtime/shuttle.rs"),
        ("shuttle::Runner", "runtime/shuttle.rs"),
        ("xxhash_rust::", "lock/fingerprint.rs"),
        ("annotate_snippets::", "report/snippet.rs"),
        ("toml::", "scan/config.rs"),
        ("memchr::", "trace/lines.rs"),
        ("flate2::", "cli/compressed.rs"),
        ("ruzstd::", "cli/compressed.rs"),
        ("lzma_rust2::", "cli/compressed.rs"),
        ("indicatif::", "cli/progress.rs"),
        ("ctrlc::", "cli/interrupt.rs"),
        ("diffy::", "scan/patch.rs"),
        ("mailparse::", "scan/mbox.rs"),
        ("tree_sitter", "scan/parse.rs"),
        ("ignore::", "cli/tree.rs"),
        ("strsim::", "scan/query/word.rs"),
        ("shlex::", "exec/link/words.rs"),
    ] {
        let named: Vec<&PathBuf> =
            files.iter().filter(|(_, text)| text.contains(package)).map(|(path, _)| path).collect();
        assert!(
            matches!(&named[..], [only] if only.ends_with(home)),
            "{package} is to be named in {home} alone, not in {named:?}"
        );
    }
}

#[test]
fn the_command_line_is_defined_in_files_called_args() {
    let files = sources(&src());
    let named = files.iter().filter(|(_, text)| text.contains("clap::"));
    for (path, _) in named {
        let home = path.parent().is_some_and(|folder| folder.ends_with("cli"));
        let name = path.file_name().expect("a file").to_string_lossy();
        assert!(home && name.starts_with("args"), "{} names clap", path.display());
    }
}

#[test]
fn dependencies_point_one_way() {
    let allowed: [(&str, &[&str]); 8] = [
        ("lock", &[]),
        ("runtime", &["lock"]),
        ("sim", &["lock", "runtime"]),
        ("explore", &["lock", "runtime"]),
        ("scan", &["lock"]),
        ("trace", &["lock", "sim"]),
        ("exec", &["lock", "runtime", "sim"]),
        ("report", &["lock", "runtime", "sim", "explore", "scan", "trace", "exec"]),
    ];
    for (module, below) in allowed {
        for (path, text) in sources(&src().join(module)) {
            for other in allowed.iter().map(|(name, _)| *name).chain(["cli"]) {
                let uses = text.contains(&format!("crate::{other}::"));
                let may = other == module || below.contains(&other);
                assert!(may || !uses, "{} uses {other}", path.display());
            }
        }
    }
}

#[test]
fn files_can_be_read_in_one_go() {
    for (path, text) in sources(&src()) {
        assert!(text.lines().count() < 400, "{} is too long", path.display());
        assert!(text.starts_with("//!"), "{} does not say what it is for", path.display());
    }
}
