//! `exec` of builds that are out of the ordinary: of several executables, not begun,
//! moved, linked statically, with a cache that two runs share.

use crate::cli::directory;
use crate::made_build::{self, Made, ninja};
use bqlcheck::exec::link::{Build, Settings, link};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A build of two executables, of which only the first is made by default.
const NINJA: &str = "rule c\n command = cc -fPIE -c $in -o $out\n\
    rule c_LINKER\n command = cc -pie -o $out $in\n\
    build main.o: c ../src/main.c\n\
    build ram.o: c ../src/migration/ram.c\n\
    build qemu-system-aarch64: c_LINKER main.o ram.o\n\
    build qemu-system-x86_64: c_LINKER main.o ram.o\n\
    default qemu-system-aarch64\n";

fn made(test: &str, ninja: &str) -> Option<Made> {
    let sources = [("main.c", "int main(void) { return 3; }\n")];
    let folder = directory(&format!("unusual {test}"));
    made_build::made(&folder, "10.0.0", &sources, "cc", ninja)
}

/// What `exec` with these arguments says on stderr, and its exit code.
fn exec(made: &Made, build: &Path, arguments: &[&str]) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bqlcheck"));
    command.args(["exec", "--executions", "1", "--build"]).arg(build).args(arguments);
    let output = command.arg("--cache").arg(&made.cache).output().expect("it was just built");
    let mut text = String::from_utf8(output.stderr).expect("text");
    let folder = made.build.parent().expect("it has one").canonicalize().expect("there");
    for (name, shown) in [("build", "BUILD"), ("src", "SRC"), ("cache", "CACHE")] {
        text = text.replace(&folder.join(name).display().to_string(), shown);
    }
    (text.replace(&folder.display().to_string(), "HERE"), output.status.code())
}

fn refused(made: &Made, build: &Path, arguments: &[&str], message: &str, help: &str) {
    let (text, code) = exec(made, build, arguments);
    assert_eq!(text, format!("error: {message}\n  help: {help}\n"));
    assert_eq!(code, Some(2));
}

#[test]
fn of_several_executables_one_that_was_built_or_the_one_that_is_asked_for() {
    let Some(made) = made("several", NINJA) else { return };
    let open = |wanted| Build::open_target(&made.build, wanted).expect("it is a build");
    // Of both x86_64's is preferred on most machines, but it was not built.
    assert_eq!(open(None).target, "qemu-system-aarch64");
    assert_eq!(open(None).others, ["qemu-system-x86_64"]);
    for name in ["x86_64", "x86_64-softmmu", "qemu-system-x86_64"] {
        assert_eq!(open(Some(name)).target, "qemu-system-x86_64");
    }
    refused(
        &made,
        &made.build,
        &["--target", "x86_64"],
        "BUILD/qemu-system-x86_64: the build is not finished",
        "ninja -C BUILD qemu-system-x86_64",
    );
    refused(
        &made,
        &made.build,
        &["--target", "sparc64-softmmu"],
        "BUILD/build.ninja: it makes no qemu-system-sparc64",
        "--target takes one of: aarch64, x86_64",
    );
}

#[test]
fn a_build_that_was_configured_and_never_begun() {
    // A response file that the build makes itself is not there yet.
    let text = "rule c\n command = cc -c $in -o $out\n\
        rule syms\n command = touch $out\n\
        rule c_LINKER\n command = cc -pie -o $out $in @block.syms\n\
        build main.o: c ../src/main.c\n\
        build block.syms: syms main.o\n\
        build qemu-system-x86_64: c_LINKER main.o | block.syms\n\
        build nothing: phony\n\
        default nothing\n";
    let Some(made) = made("configured", text) else { return };
    refused(
        &made,
        &made.build,
        &[],
        "BUILD/qemu-system-x86_64: the build is not finished",
        "ninja -C BUILD qemu-system-x86_64",
    );
}

#[test]
fn a_build_without_a_shared_libc() {
    for flag in ["-static", "-static-pie"] {
        let text = NINJA.replace("-pie", flag).replace("default qemu-system-aarch64", "");
        let text = format!("{text}build nothing: phony\ndefault nothing\n");
        let Some(made) = made(&format!("static {flag}"), &text) else { return };
        let message = format!(
            "qemu-system-x86_64: linked with {flag}: a static libc cannot be shared with our runtime"
        );
        let help = "configure a build directory without it";
        refused(&made, &made.build, &["--target", "x86_64"], &message, help);
    }
}

#[test]
fn a_build_with_modules() {
    let so = "build accel-qtest-aarch64.so: c_LINKER ram.o\n";
    let Some(made) = made("modules", &format!("{NINJA}{so}")) else { return };
    refused(
        &made,
        &made.build,
        &[],
        "qemu-system-aarch64: the accelerator qtest is a module, which is not linked",
        "configure a build directory with --disable-modules",
    );
    // The other's is not.
    assert_eq!(
        Build::open_target(&made.build, Some("x86_64")).expect("it is fit").version,
        "10.0.0"
    );
}

/// As meson writes it: a file that it read, which nothing makes.
fn configured() -> String {
    let rule = "rule configure\n command = touch build.ninja\n generator = 1\n\
        build build.ninja: configure ../src/meson.build\n\
        build ../src/meson.build: phony\n";
    format!("{rule}{NINJA}")
}

#[test]
fn a_build_that_ninja_would_configure_first() {
    let sources = [("main.c", "int main(void) { return 0; }\n"), ("meson.build", "")];
    let folder = directory("unusual configure");
    let text = configured();
    let Some(made) = made_build::made(&folder, "10.0.0", &sources, "cc", &text) else { return };
    let help = "ninja -C BUILD qemu-system-aarch64";
    let build = fs::File::open(made.build.join("build.ninja")).expect("our own");
    let later = build.metadata().expect("a file").modified().expect("a time")
        + std::time::Duration::from_secs(5);
    let meson = made.source.join("meson.build");
    fs::File::options().write(true).open(&meson).expect("ours").set_modified(later).expect("ours");
    let (text, code) = exec(&made, &made.build, &[]);
    let message = "error: BUILD/qemu-system-aarch64: the build is outdated: output build.ninja \
                   older than most recent input ../src/meson.build ";
    assert!(text.starts_with(message), "{text}");
    assert!(text.ends_with(&format!("  help: {help}\n")), "{text}");
    assert_eq!(code, Some(2));
    fs::remove_file(meson).expect("our own");
    refused(
        &made,
        &made.build,
        &[],
        "BUILD/qemu-system-aarch64: the build is outdated: output ../src/meson.build of phony \
         edge with no inputs doesn't exist",
        help,
    );
}

#[test]
fn a_build_that_was_moved_from_where_ninja_looks_for_its_sources() {
    let sources = [("main.c", "int main(void) { return 0; }\n"), ("meson.build", "")];
    let folder = directory("unusual moved");
    let text = configured();
    let Some(made) = made_build::made(&folder, "10.0.0", &sources, "cc", &text) else { return };
    let absolute = |path: &Path| path.canonicalize().expect("there").display().to_string();
    let info = serde_json::json!({ "directories": {
        "source": absolute(&made.source), "build": absolute(&made.build)
    }});
    fs::write(made.build.join("meson-info/meson-info.json"), info.to_string()).expect("our own");
    let elsewhere = folder.join("else where");
    fs::create_dir(&elsewhere).expect("our own");
    let moved = elsewhere.join("a b");
    fs::rename(&made.build, &moved).expect("our own");
    refused(
        &made,
        &moved,
        &[],
        "HERE/else where/a b: the build was moved here, it was configured as BUILD",
        "move it back, or configure and build it anew",
    );
    // One that is reached by another way was not moved.
    fs::rename(&moved, &made.build).expect("our own");
    std::os::unix::fs::symlink(&made.build, &moved).expect("our own");
    let (text, _) = exec(&made, &moved, &[]);
    assert!(text.starts_with("error: src/exec/glue/device.c: it does not compile"), "{text}");
}

#[test]
fn two_builds_that_share_a_cache_at_the_same_time() {
    let (Some(one), Some(two)) = (made("first", NINJA), made("second", NINJA)) else { return };
    fs::write(two.source.join("main.c"), "int main(void) { return 4; }\n").expect("our own");
    ninja(&two.build);
    let runtime = one.source.with_file_name("runtime");
    fs::create_dir_all(&runtime).expect("our own");
    fs::write(runtime.join("runtime.c"), include_str!("exec/runtime.c")).expect("our own");
    made_build::done(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-o", "libbqlcheck.so", "runtime.c"])
            .current_dir(&runtime),
    );
    let mut settings = Settings::built_in().expect("this executable is known").without_qemu();
    settings.runtime = runtime;
    // Each run has the image of its own build, whoever linked last.
    let run = |made: &Made, expected: i32| {
        for _ in 0..5 {
            let build = Build::open(&made.build).expect("it is finished");
            let image = link(&build, &one.cache, &settings).expect("it links");
            std::thread::sleep(std::time::Duration::from_millis(20));
            let output = Command::new(&image.kept).output().expect("it is kept");
            assert_eq!(output.status.code(), Some(expected));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| run(&one, 3));
        scope.spawn(|| run(&two, 4));
    });
}
