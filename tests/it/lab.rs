//! `bqlcheck lab` and what it starts: with programs that are no QEMU, so that it
//! can be tried anywhere.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A folder with a program in it that does `script`.
fn program(name: &str, script: &str) -> (PathBuf, PathBuf) {
    let folder = crate::cli::directory(&format!("lab-{name}"));
    let path = folder.join("qemu");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("it can be written");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, mode).expect("it is ours");
    (folder, path)
}

fn lab(folder: &Path, qemu: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_bqlcheck"))
        .args(["lab", "precopy", "--accel", "tcg", "--qemu"])
        .arg(qemu)
        .env("TMPDIR", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_it_started_ends_with_it() {
    let (folder, qemu) = program(
        "term",
        "echo $$ > \"$TMPDIR/pid.new\"\nmv \"$TMPDIR/pid.new\" \"$TMPDIR/pid\"\nexec sleep 300",
    );
    let lab = lab(&folder, &qemu);
    wait_for("the program starts", || folder.join("pid").exists());
    let pid = std::fs::read_to_string(folder.join("pid")).expect("readable");
    let alive = || Path::new("/proc").join(pid.trim()).exists();
    assert!(alive());
    let told = Command::new("sh").args(["-c", &format!("kill -TERM {}", lab.id())]).status();
    assert!(told.expect("there is a shell").success());
    let output = lab.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.ends_with("lab: interrupted; both QEMUs are ended\n"), "{said}");
    assert!(!alive(), "it runs on");
    let left = std::fs::read_dir(&folder).expect("readable").count();
    assert_eq!(left, 2, "the program and its pid");
}

#[test]
fn a_qemu_that_does_not_start_is_an_error_with_what_it_said() {
    let (folder, qemu) = program("bad", "echo 'there is no such machine' >&2\nexit 1");
    let output = lab(&folder, &qemu).wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("exit status: 1: there is no such machine\n"), "{said}");
    let missing = lab(&folder, &folder.join("none")).wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(missing.status.code(), Some(2), "{said}");
    assert!(said.contains("none: there is no such QEMU\n  help: apt-get install"), "{said}");
}
