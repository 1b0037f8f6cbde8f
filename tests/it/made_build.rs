//! A finished build of a QEMU that is none: what `exec` looks for in a build
//! directory, made by a real compiler and a real ninja.

use bqlcheck::exec::link::{Build, Settings, link};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where it is, and a directory for what is linked of it.
pub struct Made {
    pub source: PathBuf,
    pub build: PathBuf,
    pub cache: PathBuf,
}

/// Whether a program is installed; says so if it is not.
fn there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: there is no {program}");
    }
    there
}

/// Runs a command that must do.
pub fn done(command: &mut Command) {
    let output = command.output().expect("it is there");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

pub fn ninja(folder: &Path) {
    done(Command::new("ninja").arg("-C").arg(folder));
}

/// A file of our own.
pub fn write(path: PathBuf, text: &str) {
    fs::write(path, text).expect("a file of our own");
}

/// Builds `sources` in `folder` as `build_ninja` has it; `flags` are those of migration/ram.c.
/// None where a compiler or ninja is missing.
pub fn made(
    folder: &Path,
    version: &str,
    sources: &[(&str, &str)],
    flags: &str,
    build_ninja: &str,
) -> Option<Made> {
    if !there("ninja") || !there("cc") {
        return None;
    }
    let [source, build, cache] = ["src", "build", "cache"].map(|name| folder.join(name));
    for folder in [&source.join("migration"), &build.join("meson-info"), &cache] {
        fs::create_dir_all(folder).expect("a directory of our own");
    }
    write(source.join("VERSION"), &format!("{version}\n"));
    write(source.join("migration/ram.c"), "int ram;\n");
    for (name, text) in sources {
        write(source.join(name), text);
    }
    write(
        build.join("meson-info/meson-info.json"),
        r#"{"directories": {"source": "../src", "build": "."}}"#,
    );
    let command = format!("{flags} -o ram.o -c ../src/migration/ram.c");
    let commands = serde_json::json!([{
        "directory": ".", "file": "../src/migration/ram.c", "command": command
    }]);
    write(build.join("compile_commands.json"), &commands.to_string());
    write(build.join("build.ninja"), build_ninja);
    ninja(&build);
    Some(Made { source, build, cache })
}

/// What small programs include.
pub const HEADERS: [(&str, &str); 2] =
    [("programs.h", include_str!("exec/programs.h")), ("sides.h", include_str!("exec/sides.h"))];

/// A program of these files, each with its text and its flags, linked as a QEMU is
/// and with the runtime of trials: none where a compiler or ninja is missing.
pub fn trial(folder: &Path, sources: &[(&str, &str, &str)]) -> Option<PathBuf> {
    let (mut edges, mut objects) = (String::new(), String::new());
    for (name, _, flags) in sources {
        edges += &format!("build {name}.o: c ../src/{name}\n flags = {flags}\n");
        objects += &format!("{name}.o ");
    }
    let ninja = format!(
        "rule c\n command = cc -O1 -g -fPIE -D_GNU_SOURCE -std=gnu11 -Wall $flags -c $in -o $out\n\
         rule c_LINKER\n command = cc -pie -o $out $in -pthread\n\
         {edges}build ram.o: c ../src/migration/ram.c\n\
         build qemu-system-x86_64: c_LINKER {objects}ram.o\n\
         default qemu-system-x86_64\n"
    );
    let texts = sources.iter().map(|(name, text, _)| (*name, *text)).chain(HEADERS);
    let texts: Vec<(&str, &str)> = texts.collect();
    let Made { build, cache, .. } = made(folder, "10.0.0", &texts, "cc", &ninja)?;
    let mut settings = Settings::built_in().expect("this executable is known").without_qemu();
    for glue in &mut settings.glue {
        glue.text = glue.text.replace("bqlcheck_main", "bqlcheck_trial");
    }
    let build = Build::open(&build).expect("it is finished");
    Some(link(&build, &cache, &settings).expect("it links").path)
}
