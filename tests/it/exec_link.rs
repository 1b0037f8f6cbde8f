//! `exec`'s link: every way in which a build directory can be unfit, and a small
//! made-up build that is linked again and runs.

use crate::cli::directory;
use crate::made_build::{self, done, ninja, write};
use bqlcheck::exec::link::{Build, Glue, Image, Kind, LinkError, Settings, link};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A build that ninja made, its source tree, a runtime and a cache.
struct Made {
    build: PathBuf,
    source: PathBuf,
    cache: PathBuf,
    settings: Settings,
}

/// A finished build; none where a compiler or ninja is missing.
fn made(test: &str) -> Option<Made> {
    let sources = [
        ("main.c", include_str!("exec/main.c")),
        ("util.h", "int util(int n);\n#define FROM_QEMU 1\n"),
        ("util.c", "#include \"util.h\"\nint util(int n) { return n + 1; }\n"),
    ];
    let flags = "env cc -I../src -DFROM_FLAGS=1 -MD -MF ram.o.d";
    let folder = directory(&format!("exec link {test}"));
    // A response file, a group, a blank and a dollar: all that a real one has.
    let ninja = r#"
rule c
 command = cc -I../src -DWITH_SPACE='"a b"' -O1 -fPIE -MD -MF $out.d -c $in -o $out
 depfile = $out.d
 deps = gcc
rule always
 command = cmp -s ../src/VERSION version.h || cp ../src/VERSION version.h
 restat = 1
rule c_LINKER
 command = cc $ARGS -o $out @$out.rsp
 rspfile = $out.rsp
 rspfile_content = $in -Wl,--start-group -Wl,-rpath,'$$ORIGIN/a b' -lm -Wl,--end-group
build PHONY: phony
build version.h: always PHONY
build main.o: c ../src/main.c | version.h
build util.o: c ../src/util.c
build ram.o: c ../src/migration/ram.c
build qemu-system-x86_64: c_LINKER main.o util.o ram.o
 ARGS = -pie
default qemu-system-x86_64
"#;
    let made_build::Made { source, build, cache } =
        made_build::made(&folder, "10.0.13", &sources, flags, ninja)?;
    let runtime = source.with_file_name("runtime, of C");
    fs::create_dir_all(&runtime).expect("a directory of our own");
    write(runtime.join("runtime.c"), include_str!("exec/runtime.c"));
    done(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-o", "libbqlcheck.so", "runtime.c"])
            .current_dir(&runtime),
    );
    let mut settings = Settings::built_in().expect("this executable is known").without_qemu();
    settings.runtime = runtime;
    Some(Made { build, source, cache, settings })
}

impl Made {
    fn link(&self) -> Result<Image, LinkError> {
        link(&Build::open(&self.build)?, &self.cache, &self.settings)
    }

    /// What is wrong, with the test's own directories taken out.
    fn failure(&self) -> String {
        let error = self.link().expect_err("it is not fit");
        let text = format!("{} | {}", error.message, error.help);
        [(&self.build, "BUILD"), (&self.source, "SRC"), (&self.cache, "CACHE")].into_iter().fold(
            text,
            |text, (path, name)| {
                let full = path.canonicalize().unwrap_or_else(|_| path.clone());
                text.replace(&full.display().to_string(), name)
            },
        )
    }

    /// Lets ninja build what was changed.
    fn change(&self, file: &str, text: &str) {
        fs::write(self.source.join(file), text).expect("a file of our own");
    }
}

/// Each file of `folder`, with its content and time of change.
fn state(folder: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("our own") {
        let path = entry.expect("readable").path();
        if path.is_file() {
            let changed = path.metadata().and_then(|data| data.modified()).expect("a file");
            all.push((path.clone(), fs::read(&path).expect("readable"), changed));
        }
    }
    all.sort();
    all
}

#[test]
fn a_build_is_linked_again_and_its_calls_are_caught() {
    let Some(made) = made("runs") else { return };
    let before = state(&made.build);
    let image = made.link().expect("it links");
    assert!(image.fresh);
    assert_eq!(image.version, "10.0.13");
    let output = Command::new(&image.path).output().expect("it was just linked");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        text,
        "main 7 size 56 order 1 allocations 1 said \
         2<hello 2 a b\n>1<copied>1<\n>1<plain>1<1654321 >1<42 >1<7 >1<1148 >1<15\n>\n"
    );
    assert_eq!(output.status.code(), Some(7));
    assert!(output.stderr.is_empty());
    // The build directory is as it was, to the last file and time.
    assert!(before == state(&made.build));
}

#[test]
fn what_has_not_changed_is_not_linked_again() {
    let Some(mut made) = made("incremental") else { return };
    assert!(made.link().expect("it links").fresh);
    assert!(!made.link().expect("it is there").fresh);
    made.change("util.c", "#include \"util.h\"\nint util(int n) { return n + 20; }\n");
    ninja(&made.build);
    let image = made.link().expect("it links");
    assert!(image.fresh);
    let output = Command::new(&image.path).output().expect("it was just linked");
    assert!(String::from_utf8_lossy(&output.stdout).contains("2<hello 21 a b"));
    assert!(!made.link().expect("it is there").fresh);
    made.settings.wrap.retain(|name| name != "puts");
    assert!(made.link().expect("it links").fresh);
    fs::remove_file(&image.path).expect("it is there");
    assert!(made.link().expect("it links").fresh);
}

#[test]
fn a_link_that_failed_leaves_no_image_that_passes_for_new() {
    let Some(mut made) = made("failed") else { return };
    made.link().expect("it links");
    made.settings.wrap.push("getppid".into());
    made.change("util.c", "#include <unistd.h>\nint util(int n) { return getppid(); }\n");
    ninja(&made.build);
    for _ in 0..2 {
        assert_eq!(
            made.failure(),
            "__wrap_getppid: util.c needs it and nothing defines it | take \"getppid\" off \
             models/exec/libc.json, or define __wrap_getppid in src/exec/kernel/ or \
             src/exec/glue/"
        );
    }
}

#[test]
fn c_that_includes_qemu_s_headers_has_the_flags_of_ram_c() {
    let Some(mut made) = made("qemu glue") else { return };
    let glue = |text: &str| Glue { name: "own.c".into(), text: text.into(), kind: Kind::Qemu };
    let sound = "#include \"util.h\"\nint own(void);\n\
                 int own(void) { return FROM_QEMU + FROM_FLAGS + util(1); }\n";
    made.settings.glue.push(glue(sound));
    assert!(made.link().expect("it links").fresh);
    *made.settings.glue.last_mut().expect("pushed") = glue("int own(void) { return gone(); }\n");
    let failure = made.failure();
    let (why, _) = failure.split_once(" [-W").unwrap_or((&failure, ""));
    assert!(why.starts_with("src/exec/glue/own.c: it does not compile: implicit declaration"));
    assert!(failure.ends_with("| it was written to CACHE/own.c"), "{failure}");
}

#[test]
fn every_unfit_build_is_told_in_a_sentence() {
    let Some(made) = made("unfit") else { return };
    let help = "--build takes a directory in which QEMU was configured and built with ninja";
    let nothing = Build::open(&made.build.join("none")).expect_err("it is not there");
    assert!(nothing.message.ends_with("none: there is no such directory"), "{nothing}");
    assert_eq!(nothing.help, help);
    let other = Build::open(&made.source).expect_err("no build");
    assert!(other.message.ends_with("src/build.ninja: there is no such file"), "{other}");

    let with = |path: &Path, text: &str, expected: &str| {
        let kept = fs::read(path).expect("it is there");
        let changed = path.metadata().and_then(|data| data.modified()).expect("a file");
        fs::write(path, text).expect("our own");
        assert_eq!(made.failure(), expected);
        fs::write(path, kept).expect("our own");
        let file = fs::File::options().write(true).open(path).expect("our own");
        file.set_modified(changed).expect("our own");
    };
    let build = |name: &str| made.build.join(name);
    with(
        &build("build.ninja"),
        "rule c\n command = x\n",
        &format!("BUILD/build.ninja: it makes no qemu-system-* executable | {help}"),
    );
    with(
        &build("build.ninja"),
        "rule c\n command = cc 'a -o $out\nbuild qemu-system-x86_64: c main.o\n",
        &format!(
            "BUILD/build.ninja: qemu-system-x86_64: a quote in its link command is not closed \
             | {help}"
        ),
    );
    with(
        &build("build.ninja"),
        "build qemu-system-x86_64: none main.o\n",
        &format!("BUILD: ninja says: error: build.ninja:1: unknown build rule 'none' | {help}"),
    );
    with(
        &build("build.ninja"),
        "rule c\n command = cc -flto=auto -o $out main.o\nbuild qemu-system-x86_64: c main.o\n",
        "qemu-system-x86_64: linked with -flto=auto: link-time optimisation resolves calls \
         before they can be wrapped | configure a build directory without it",
    );
    with(
        &build("meson-info/meson-info.json"),
        "{}",
        &format!(
            "BUILD/meson-info/meson-info.json: missing field `directories` at line 1 column 2 \
             | {help}"
        ),
    );
    with(
        &build("compile_commands.json"),
        "[]",
        &format!("BUILD/compile_commands.json: migration/ram.c is not compiled | {help}"),
    );
    for (version, shown) in [("6.1.0\n", "6.1.0"), ("who knows\n", "who knows")] {
        with(
            &made.source.join("VERSION"),
            version,
            &format!(
                "SRC/VERSION: \"{shown}\" is not a version that we know | QEMU 7.2 or later \
                 is needed"
            ),
        );
    }
    let mut foreign = [0u8; 64];
    foreign[..4].copy_from_slice(b"\x7fELF");
    foreign[18] = 0xf3;
    let foreign = String::from_utf8(foreign.iter().map(|byte| byte & 0x7f).collect());
    with(
        &build("qemu-system-x86_64"),
        &foreign.expect("ASCII"),
        &format!(
            "BUILD/qemu-system-x86_64: built for another architecture than {} | build QEMU on \
             this machine, without --cross-prefix",
            std::env::consts::ARCH
        ),
    );
    fs::rename(build("qemu-system-x86_64"), build("kept")).expect("our own");
    let way_out = "ninja -C BUILD qemu-system-x86_64";
    assert_eq!(
        made.failure(),
        format!("BUILD/qemu-system-x86_64: the build is not finished | {way_out}")
    );
    fs::rename(build("kept"), build("qemu-system-x86_64")).expect("our own");
    made.link().expect("all is as it was");
    made.change("util.c", "int util(int n) { return n; }\n");
    let failure = made.failure();
    assert!(failure.starts_with("BUILD/qemu-system-x86_64: the build is outdated: "), "{failure}");
    assert!(failure.contains("util.o") && failure.ends_with(way_out), "{failure}");
}

#[test]
fn a_missing_runtime_is_told() {
    let Some(mut made) = made("runtime") else { return };
    made.settings.runtime = made.cache.clone();
    assert_eq!(
        made.failure(),
        "libbqlcheck.so is not in CACHE | libbqlcheck.so is built with bqlcheck and belongs \
         beside it: copy both"
    );
}
