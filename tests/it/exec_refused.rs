//! `bqlcheck exec` as it is typed, where a build, this machine or the disk is not
//! fit: one sentence, the way out, exit code 2.

use crate::cli::directory;
use crate::made_build::{self, Made};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const BUILD_NINJA: &str = "rule c\n command = cc -fPIE -c $in -o $out\n\
    rule c_LINKER\n command = cc -pie -o $out $in\n\
    build main.o: c ../src/main.c\n\
    build ram.o: c ../src/migration/ram.c\n\
    build qemu-system-x86_64: c_LINKER main.o ram.o\n\
    default qemu-system-x86_64\n";
const NO_BUILD: &str =
    "--build takes a directory in which QEMU was configured and built with ninja";
const NO_CACHE: &str = "--cache DIR takes a directory that can be written to";

fn made(test: &str) -> Option<Made> {
    let sources = [("main.c", "int main(void) { return 0; }\n")];
    made_build::made(&directory(&format!("refused {test}")), "10.0.0", &sources, "cc", BUILD_NINJA)
}

/// `exec` of a build, in an environment of the test's own.
struct Exec<'a> {
    made: &'a Made,
    command: Command,
}

impl<'a> Exec<'a> {
    fn of(made: &'a Made) -> Exec<'a> {
        let build = made.build.clone();
        Exec::at(made, &build)
    }

    fn at(made: &'a Made, build: &Path) -> Exec<'a> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bqlcheck"));
        command.args(["exec", "--executions", "1", "--build"]).arg(build);
        command.arg("--cache").arg(&made.cache);
        Exec { made, command }
    }

    fn with(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    fn argument(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    /// Exits with 2 and says this, with the test's own directories taken out.
    fn says(mut self, message: &str, help: &str) {
        let output = self.command.output().expect("it was just built");
        let mut text = String::from_utf8(output.stderr).expect("text");
        let folder = self.made.build.parent().expect("it has one").canonicalize().expect("there");
        for (name, shown) in [("build", "BUILD"), ("src", "SRC"), ("cache", "CACHE")] {
            text = text.replace(&folder.join(name).display().to_string(), shown);
        }
        text = text.replace(&folder.display().to_string(), "HERE");
        assert_eq!(text, format!("error: {message}\n  help: {help}\n"));
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(output.stdout.is_empty(), "{message}");
    }
}

/// A directory of these programs and no others, for PATH.
fn programs(made: &Made, names: &[&str]) -> PathBuf {
    let folder = made.build.with_file_name("bin");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).expect("our own");
    let path = std::env::var_os("PATH").expect("it is set");
    for name in names {
        let there = std::env::split_paths(&path).map(|place| place.join(name));
        let found = there.into_iter().find(|place| place.is_file()).expect("made() has used it");
        symlink(found, folder.join(name)).expect("our own");
    }
    folder
}

#[test]
fn what_is_no_build_directory() {
    let Some(made) = made("no build") else { return };
    let none = made.build.with_file_name("none");
    Exec::at(&made, &none).says("HERE/none: there is no such directory", NO_BUILD);
    Exec::at(&made, &made.source).says("SRC/build.ninja: there is no such file", NO_BUILD);
    let file = made.source.join("VERSION");
    Exec::at(&made, &file).says("SRC/VERSION: it is no directory", NO_BUILD);
}

#[test]
fn a_build_that_is_cut_short_or_of_something_else() {
    let Some(made) = made("cut") else { return };
    let with = |path: PathBuf, text: &str, message: &str, help: &str| {
        let kept = fs::read(&path).expect("it is there");
        let changed = path.metadata().and_then(|data| data.modified()).expect("a file");
        fs::write(&path, text).expect("our own");
        Exec::of(&made).says(message, help);
        fs::write(&path, kept).expect("our own");
        let file = fs::File::options().write(true).open(&path).expect("our own");
        file.set_modified(changed).expect("our own");
    };
    let commands = made.build.join("compile_commands.json");
    let whole = fs::read_to_string(&commands).expect("it is there");
    let message = "BUILD/compile_commands.json: EOF while parsing a string at line 1 column 40";
    with(commands.clone(), &whole[..40], message, NO_BUILD);
    let other = whole.replace("ram.c", "tap.c");
    let message = "BUILD/compile_commands.json: migration/ram.c is not compiled";
    with(commands.clone(), &other, message, NO_BUILD);
    let unclosed = whole.replace("cc -o", "cc 'a -o");
    let message = "BUILD/compile_commands.json: the command of migration/ram.c cannot be read";
    with(commands, &unclosed, message, NO_BUILD);
    let ninja = BUILD_NINJA.replace("qemu-system-x86_64", "qemu-x86_64");
    let message = "BUILD/build.ninja: it makes no qemu-system-* executable";
    with(made.build.join("build.ninja"), &ninja, message, NO_BUILD);
    let info = made.build.join("meson-info/meson-info.json");
    let message =
        "BUILD/meson-info/meson-info.json: EOF while parsing an object at line 1 column 1";
    with(info, "{", message, NO_BUILD);
    let message = "SRC/VERSION: \"6.1.0\" is not a version that we know";
    with(made.source.join("VERSION"), "6.1.0\n", message, "QEMU 7.2 or later is needed");
    // An ELF file for RISC-V.
    let foreign = format!("\x7fELF{}\x73{}", "\0".repeat(14), "\0".repeat(45));
    let message = format!(
        "BUILD/qemu-system-x86_64: built for another architecture than {}",
        std::env::consts::ARCH
    );
    let help = "build QEMU on this machine, without --cross-prefix";
    with(made.build.join("qemu-system-x86_64"), &foreign, &message, help);
}

#[test]
fn a_build_that_is_not_finished_or_outdated() {
    let Some(made) = made("unfinished") else { return };
    let made_by_ninja = made.build.join("qemu-system-x86_64");
    fs::remove_file(&made_by_ninja).expect("it was built");
    let way_out = "ninja -C BUILD qemu-system-x86_64";
    let message = "BUILD/qemu-system-x86_64: the build is not finished";
    Exec::of(&made).says(message, way_out);
    made_build::ninja(&made.build);
    fs::remove_file(made.build.join("main.o")).expect("it was built");
    let message = "BUILD/qemu-system-x86_64: the build is outdated: output main.o doesn't exist";
    Exec::of(&made).says(message, way_out);
}

#[test]
fn a_source_tree_that_is_gone_or_cannot_be_read() {
    let Some(made) = made("source") else { return };
    let help = "the build was configured from that tree: it has to be there, and readable";
    let version = made.source.join("VERSION");
    fs::remove_file(&version).expect("our own");
    fs::create_dir(&version).expect("our own");
    Exec::of(&made).says("SRC/VERSION: Is a directory (os error 21)", help);
    fs::remove_dir_all(&made.source).expect("our own");
    Exec::of(&made).says("BUILD/../src/VERSION: there is no such file", help);
}

#[test]
fn programs_that_are_missing() {
    let Some(made) = made("programs") else { return };
    let run = |programs: &Path| Exec::of(&made).with("PATH", programs);
    let gone = "cannot be run: No such file or directory (os error 2)";
    run(&programs(&made, &[]))
        .says(&format!("ninja: {gone}"), "install it: apt-get install ninja-build");
    let help = "QEMU was configured with that compiler: install it again";
    run(&programs(&made, &["ninja"])).says(&format!("cc: {gone}"), help);
    let races = |programs: &Path| run(programs).argument("--races");
    let help = "install it: apt-get install binutils";
    races(&programs(&made, &["ninja", "cc"])).says(&format!("ar: {gone}"), help);
    races(&programs(&made, &["ninja", "cc", "ar"])).says(&format!("objcopy: {gone}"), help);
}

#[test]
fn a_glib_that_is_not_static_or_not_known() {
    let Some(made) = made("glib") else { return };
    // As meson links it: by its path, with the archive beside it.
    let shared = made.build.join("libglib-2.0.so");
    made_build::done(Command::new("cc").args(["-shared", "-o"]).arg(&shared).args([
        "-x",
        "c",
        "/dev/null",
    ]));
    let path = shared.canonicalize().expect("just made").display().to_string();
    let ninja = |libraries: &str| {
        // A blank ends a word of the shell.
        let text = BUILD_NINJA.replace("$out $in", &format!("$out $in {libraries}"));
        fs::write(made.build.join("build.ninja"), text).expect("our own");
        made_build::ninja(&made.build);
    };
    ninja(&format!("'{path}'"));
    let help = "install it: apt-get install libglib2.0-dev";
    Exec::of(&made).says("BUILD/libglib-2.0.a: static glib is not there", help);
    fs::write(made.build.join("libglib-2.0.a"), "!<arch>\n").expect("our own");
    Exec::of(&made).with("PATH", programs(&made, &["ninja"])).says(
        "pkg-config: cannot be run: No such file or directory (os error 2)",
        "install it: apt-get install pkg-config",
    );
}

#[test]
fn a_cache_that_cannot_be_written_to_or_is_full() {
    let Some(made) = made("cache") else { return };
    fs::remove_dir(&made.cache).expect("nothing was linked");
    fs::write(&made.cache, "").expect("our own");
    Exec::of(&made).says("CACHE: File exists (os error 17)", NO_CACHE);
    fs::remove_file(&made.cache).expect("our own");
    fs::create_dir(&made.cache).expect("our own");
    // No room in the file that is written first.
    symlink("/dev/full", made.cache.join("device.c")).expect("our own");
    let help = "make room there, or let --cache DIR name a directory elsewhere";
    Exec::of(&made).says("CACHE/device.c: No space left on device (os error 28)", help);
}

#[test]
fn no_home_and_no_cache() {
    let Some(made) = made("home") else { return };
    let mut command = Command::new(env!("CARGO_BIN_EXE_bqlcheck"));
    command.args(["exec", "--build"]).arg(&made.build);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    Exec { made: &made, command }.says("HOME is not set", NO_CACHE);
}

#[test]
fn an_emulator_that_our_c_does_not_fit() {
    let Some(made) = made("other") else { return };
    let message = "src/exec/glue/device.c: it does not compile: qemu/osdep.h: No such file or \
                   directory";
    Exec::of(&made).says(message, "it was written to CACHE/device.c");
}
