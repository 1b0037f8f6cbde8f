//! `scripts/qemu-build` where it cannot build: exit code and one sentence. All that
//! it calls is there as a stub, so that nothing is fetched, installed or compiled.
//! What is not tried: that apt, pip and a mirror give what they are asked for.

use crate::cli::directory;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs that only look at files.
const REAL: [&str; 15] = [
    "basename", "bash", "cat", "cp", "dirname", "env", "grep", "head", "mkdir", "mv", "rm", "sed",
    "sh", "tail", "touch",
];

struct Here {
    /// Where it is to build.
    into: PathBuf,
    /// For PATH.
    programs: PathBuf,
}

/// Where a program is.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|place| place.join(name)).find(|place| place.is_file())
}

/// A directory and a machine that has all that is needed; none without bash or patch.
fn here(test: &str) -> Option<Here> {
    let folder = directory(&format!("qemu build {test}"));
    let here = Here { into: folder.join("into"), programs: folder.join("bin") };
    for folder in [&here.into, &here.programs, &folder.join("lib")] {
        fs::create_dir(folder).expect("our own");
    }
    for name in REAL.into_iter().chain(["patch"]) {
        let Some(found) = find(name) else {
            eprintln!("skipped: there is no {name}");
            return None;
        };
        symlink(found, here.programs.join(name)).expect("our own");
    }
    for name in ["bzip2", "cc", "ld.lld", "ninja", "python3"] {
        here.stub(name, "exit 0");
    }
    let lib = folder.join("lib");
    fs::write(lib.join("libglib-2.0.a"), "").expect("our own");
    here.stub(
        "pkg-config",
        &format!("[ $# -lt 2 ] || [ $1 = --exists ] || echo '{}'", lib.display()),
    );
    here.stub("df", "printf 'Filesystem\\n/dev/vda 9 9 2000000 9%% /\\n'");
    Some(here)
}

impl Here {
    fn stub(&self, name: &str, body: &str) {
        let path = self.programs.join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("our own");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own");
    }

    fn without(&self, name: &str) -> &Here {
        fs::remove_file(self.programs.join(name)).expect("it was there");
        self
    }

    /// A source tree of a QEMU that is none; `configure` is its script.
    fn tree(&self, name: &str, configure: &str) -> PathBuf {
        let tree = self.into.join(name);
        fs::create_dir_all(tree.join("pc-bios")).expect("our own");
        let write = |name: &str, text: &str| fs::write(tree.join(name), text).expect("our own");
        write("VERSION", "10.0.0\n");
        write("pc-bios/meson.build", "");
        write("pythondeps.toml", "meson = { accepted = \">=1\", installed = \"1.5.0\" }\n");
        write("configure", &format!("#!/bin/sh\n{configure}\n"));
        let path = tree.join("configure");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own");
        tree
    }

    /// The exit code, what it prints and what it complains of, with this directory
    /// taken out.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/qemu-build");
        let mut command = Command::new(self.programs.join("bash"));
        command.arg(script).args(arguments).env("PATH", &self.programs);
        let output = command.env_remove("BQLCHECK_TREES").output().expect("it is there");
        let folder = self.into.parent().expect("it has one").display().to_string();
        let text =
            |bytes| String::from_utf8(bytes).expect("text").replace(&format!("{folder}/"), "");
        (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
    }

    fn refuses(&self, arguments: &[&str], code: i32, sentence: &str) {
        let (exit, stdout, stderr) = self.run(arguments);
        assert_eq!((exit, stderr), (code, format!("qemu-build: {sentence}\n")), "{stdout}");
        assert_eq!(stdout, "");
    }

    fn dir(&self) -> &str {
        self.into.to_str().expect("text")
    }
}

#[test]
fn a_bad_invocation_exits_with_2_and_makes_nothing() {
    let Some(here) = here("invocation") else { return };
    let usage = "usage: scripts/qemu-build DIR [--patch FILE] [7.2|10.0|10.2]";
    here.refuses(&[], 2, usage);
    here.refuses(&["--help"], 2, usage);
    let none = here.into.join("none");
    let sentence = "9.0: not a version that it can build; one of 7.2, 10.0, 10.2";
    here.refuses(&[none.to_str().expect("text"), "9.0"], 2, sentence);
    assert!(!none.exists());
    here.refuses(&[here.dir(), "--patch"], 2, "--patch needs a file");
    here.refuses(&[here.dir(), "--patch", "nowhere.patch"], 2, "--patch needs a file");
    fs::write(here.into.join("file"), "").expect("our own");
    let file = here.into.join("file");
    let sentence = "into/file: not a directory that can be written to";
    here.refuses(&[file.to_str().expect("text")], 2, sentence);
}

#[test]
fn no_room_exits_with_3() {
    let Some(here) = here("room") else { return };
    here.stub("df", "printf 'Filesystem\\n/dev/vda 9 9 204800 9%% /\\n'");
    let sentence = "into: 200 MiB are free, a tree and a build need 1000";
    here.refuses(&[here.dir()], 3, sentence);
}

#[test]
fn what_is_missing_and_cannot_be_installed_exits_with_3() {
    let Some(here) = here("packages") else { return };
    here.without("ninja").without("cc");
    let sentence = "install what is missing: build-essential ninja-build";
    here.refuses(&[here.dir()], 3, sentence);
}

#[test]
fn packages_that_apt_does_not_have_exit_with_3() {
    let Some(here) = here("apt") else { return };
    here.without("ninja");
    here.stub("id", "echo 0");
    here.stub("apt-get", "exit 100");
    let sentence = "apt-get cannot install ninja-build; see into/apt.log";
    here.refuses(&[here.dir()], 3, sentence);
}

#[test]
fn no_source_tree_exits_with_3() {
    let Some(here) = here("source") else { return };
    let (exit, stdout, stderr) = here.run(&[here.dir()]);
    let sentence = "qemu-source: apt-get is needed; unpack a QEMU release as into/qemu-VERSION \
                    instead\n";
    assert_eq!((exit, stderr.as_str()), (3, sentence), "{stdout}");
}

#[test]
fn no_registry_of_python_packages_exits_with_3() {
    let Some(here) = here("registry") else { return };
    here.tree("qemu-10.0", "exit 0");
    here.stub("python3", "case \"$*\" in *' download '*) exit 1 ;; esac");
    here.refuses(&[here.dir()], 3, "pip cannot fetch meson==1.5.0; see into/pip.log");
}

#[test]
fn a_patch_that_does_not_apply_exits_with_5() {
    let Some(here) = here("patch") else { return };
    here.tree("qemu-10.0", "exit 0");
    let patch = here.into.join("other.patch");
    let text = "--- a/VERSION\n+++ b/VERSION\n@@ -1 +1 @@\n-9.9.9\n+9.9.8\n";
    fs::write(&patch, text).expect("our own");
    let sentence = "into/other.patch does not apply to QEMU 10.0; see into/patch.log";
    here.refuses(&[here.dir(), "--patch", patch.to_str().expect("text")], 5, sentence);
    assert!(!here.into.join("qemu-10.0-other").exists());
    assert!(!here.into.join("qemu-10.0-other.part").exists());
}

#[test]
fn a_build_that_fails_exits_with_1_and_is_begun_anew_the_next_time() {
    let Some(here) = here("fails") else { return };
    let configure = "touch build.ninja; echo 'ERROR: no such thing'; exit 1";
    here.tree("qemu-10.0", configure);
    let (exit, _, stderr) = here.run(&[here.dir()]);
    let expected = "ERROR: no such thing\n\
                    qemu-build: configure fails; see into/build-10.0/configure.log\n";
    assert_eq!((exit, stderr.as_str()), (1, expected));
    assert!(!here.into.join("build-10.0/build.ninja").exists());
    here.tree("qemu-10.0", "touch build.ninja");
    here.stub("ninja", "echo 'FAILED: ram.o'; exit 1");
    let (exit, _, stderr) = here.run(&[here.dir()]);
    let expected = "FAILED: ram.o\nqemu-build: ninja fails; see into/build-10.0/ninja.log\n";
    assert_eq!((exit, stderr.as_str()), (1, expected));
}

#[test]
fn a_build_is_named_last() {
    let Some(here) = here("builds") else { return };
    here.tree("qemu-10.0", "touch build.ninja");
    for _ in 0..2 {
        let (exit, stdout, stderr) = here.run(&[here.dir()]);
        assert_eq!((exit, stderr.as_str()), (0, ""), "{stdout}");
        let lines: Vec<&str> = stdout.lines().collect();
        assert!(lines[0].starts_with("QEMU 10.0.0, ninja took "), "{stdout}");
        assert_eq!(lines[1..], ["into/build-10.0"]);
        // No room is needed for what is there.
        here.stub("df", "printf 'Filesystem\\n/dev/vda 9 9 1 9%% /\\n'");
    }
}
