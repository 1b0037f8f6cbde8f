//! Which files of a tree are read, and what is said of those that cannot be.

use bqlcheck::cli::Exit;
use bqlcheck::cli::tree::{self, LARGEST, Sources};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A directory of its own for the test called `name`, empty.
fn place(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tree").join(name);
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).expect("a place to write");
    place
}

fn write(root: &Path, path: &str, text: &str) {
    let full = root.join(path);
    fs::create_dir_all(full.parent().expect("in the root")).expect("a place to write");
    fs::write(full, text).expect("written");
}

fn names(files: &[(String, Vec<u8>)]) -> Vec<&str> {
    files.iter().map(|(path, _)| path.as_str()).collect()
}

fn said(sources: &Sources) -> Vec<(&str, &str)> {
    sources.problems.iter().map(|p| (p.path.as_str(), p.message.as_str())).collect()
}

#[test]
fn code_and_what_goes_with_it_is_read_in_order() {
    let root = place("order");
    for path in [
        "migration/ram.c",
        "b.h",
        "a.c.inc",
        "include/x.h.inc",
        "README.c.rst",
        "hw/.hidden/h.c",
        "roms/x.c",
        "tests/unit/t.c",
        "hw/roms/y.c",
        "VERSION",
        "qapi/job.json",
        "qapi/sub/no.json",
        "hmp-commands-info.hx",
        "qemu-options.hx",
    ] {
        write(&root, path, path);
    }
    write(&root, ".gitignore", "*.c\n");
    let sources = tree::read(&root, &[]).expect("a tree");
    assert_eq!(
        names(&sources.code),
        ["a.c.inc", "b.h", "hw/.hidden/h.c", "hw/roms/y.c", "include/x.h.inc", "migration/ram.c"]
    );
    assert_eq!(names(&sources.other), ["VERSION", "hmp-commands-info.hx", "qapi/job.json"]);
    assert!(sources.code.iter().all(|(path, text)| path.as_bytes() == text));
    assert_eq!(said(&sources), []);
}

#[test]
fn only_what_is_asked_for_is_read() {
    let root = place("only");
    for path in ["hw/vfio/a.c", "hw/vfio-user/b.c", "migration/c.c", "tests/d.c", "VERSION"] {
        write(&root, path, "");
    }
    let read = |only: &[&str]| {
        let only: Vec<String> = only.iter().map(|name| name.to_string()).collect();
        tree::read(&root, &only)
    };
    let sources = read(&["hw/vfio", "migration/c.c"]).expect("a tree");
    assert_eq!(names(&sources.code), ["hw/vfio/a.c", "migration/c.c"]);
    assert_eq!(names(&sources.other), ["VERSION"]);
    assert_eq!(names(&read(&["tests/"]).expect("a tree").code), ["tests/d.c"]);
    for absent in ["hw/nowhere", "../only/hw/../.."] {
        let (failure, exit) = read(&[absent]).expect_err("not there").failure();
        assert_eq!(exit, Exit::Invocation);
        assert!(failure.message.starts_with(absent), "{}", failure.message);
    }
}

#[test]
fn what_is_no_tree_is_said() {
    let root = place("none");
    write(&root, "a.txt", "");
    for (path, exit, message) in [
        (root.join("absent"), Exit::Invocation, "No such file"),
        (root.join("a.txt"), Exit::Invocation, "not a directory"),
        (root.clone(), Exit::Nothing, "no C files"),
    ] {
        let (failure, code) = tree::read(&path, &[]).expect_err("no tree").failure();
        assert_eq!(code, exit);
        assert!(failure.message.contains(message), "{}", failure.message);
    }
}

#[test]
fn links_are_followed_to_files_of_the_tree_only() {
    let root = place("links");
    write(&root, "real.c", "real");
    write(place("outside").as_path(), "secret.c", "secret");
    symlink(".", root.join("loop")).expect("a link");
    symlink("self.c", root.join("self.c")).expect("a link");
    symlink("real.c", root.join("in.c")).expect("a link");
    symlink("../outside/secret.c", root.join("out.c")).expect("a link");
    symlink("../outside", root.join("dir.c")).expect("a link");
    symlink("gone", root.join("gone.c")).expect("a link");
    let sources = tree::read(&root, &[]).expect("a tree");
    assert_eq!(names(&sources.code), ["in.c", "real.c"]);
    let problems: Vec<&str> = sources.problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(problems, ["dir.c", "gone.c", "out.c", "self.c"]);
    assert_eq!(said(&sources)[2].1, "a link out of the tree is not followed");
}

#[test]
fn a_file_too_large_is_a_problem() {
    let root = place("large");
    write(&root, "a.c", "");
    let file = fs::File::create(root.join("b.c")).expect("written");
    file.set_len(LARGEST + 1).expect("sparse");
    let sources = tree::read(&root, &[]).expect("a tree");
    assert_eq!(names(&sources.code), ["a.c"]);
    assert_eq!(said(&sources), [("b.c", "larger than 32 MiB: not read")]);
}

#[test]
fn a_directory_called_like_a_file_is_none() {
    let root = place("directory");
    write(&root, "x.c/y.c", "");
    assert_eq!(names(&tree::read(&root, &[]).expect("a tree").code), ["x.c/y.c"]);
}
