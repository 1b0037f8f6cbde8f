//! The link itself, and what a linker's complaint means.
//! Must not know: how the build was found or our C compiled.

use super::command::Command as Link;
use super::glib::Replacements;
use super::{Build, LinkError, Settings, error::LinkError as Error};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The fastest linker that is there, unless the user chose one. All three know
/// `--wrap`; lld needs a quarter of bfd's time for a QEMU.
fn fastest(words: &[String]) -> Option<&'static str> {
    if words.iter().any(|word| word.starts_with("-fuse-ld=")) {
        return None;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    if there("ld.lld") {
        Some("-fuse-ld=lld")
    } else if there("ld.gold") {
        Some("-fuse-ld=gold")
    } else {
        None
    }
}

/// Links `path`: made whole under another name first, so that an image that is
/// there is never half of one.
pub fn run(
    build: &Build,
    link: &Link,
    instead: &Replacements,
    objects: &[PathBuf],
    path: &Path,
    settings: &Settings,
) -> Result<(), LinkError> {
    let path = std::path::absolute(path).map_err(|error| Error::cache(path, &error))?;
    let partial = path.with_file_name(format!("{}.part", build.target));
    let mut words: Vec<String> = Vec::new();
    words.extend(fastest(&link.words).map(String::from));
    for word in &link.words[1..] {
        match instead.get(word) {
            Some(instead) => words.extend(instead.iter().cloned()),
            None => words.push(word.clone()),
        }
    }
    words.extend(settings.wrap.iter().map(|name| format!("-Wl,--wrap={name}")));
    words.extend(objects.iter().map(|object| object.display().to_string()));
    let runtime = settings.runtime.canonicalize();
    let runtime = runtime.unwrap_or_else(|_| settings.runtime.clone()).display().to_string();
    words.push(format!("-L{runtime}"));
    words.push("-lbqlcheck".into());
    // A comma in the directory's name would end -Wl's argument.
    words.extend(["-Xlinker", "-rpath", "-Xlinker", &runtime].map(String::from));
    // Stronger than LD_LIBRARY_PATH, under which cargo runs things.
    words.push("-Wl,--disable-new-dtags".into());
    // Bound at the start: no table of functions changes while the image runs.
    words.push("-Wl,-z,now".into());
    words.extend(["-o".into(), partial.display().to_string()]);
    // A long command does not fit execve(): a response file does.
    let response = path.with_file_name(format!("{}.rsp", build.target));
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    std::fs::write(&response, quoted.join("\n")).map_err(|e| Error::cache(&response, &e))?;
    let compiler = link.compiler();
    let output = Command::new(&compiler)
        .arg(format!("@{}", response.display()))
        .current_dir(&build.folder)
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| Error::compiler(&compiler, &error))?;
    if !output.status.success() {
        let _ = std::fs::remove_file(&partial);
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::full(&path, &said).unwrap_or_else(|| complaint(build, &said)));
    }
    std::fs::rename(&partial, &path).map_err(|error| Error::cache(&path, &error))
}

/// `word` as a response file has it.
fn quote(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What the linker said, as one sentence. bfd and gold say "undefined reference
/// to `x'", lld "undefined symbol: x", then ">>> referenced by file.c".
fn complaint(build: &Build, text: &str) -> LinkError {
    let lines: Vec<&str> = text.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        if let Some((_, symbol)) = line.split_once("undefined symbol: ") {
            let next = lines.get(number + 1).and_then(|line| line.split_once("referenced by "));
            let by =
                next.map_or("QEMU", |(_, place)| place.split_whitespace().next().unwrap_or(""));
            let by = by.split(':').next().unwrap_or(by);
            return Error::symbol(symbol.trim(), by);
        }
        if let Some((place, symbol)) = line.split_once("undefined reference to ") {
            let symbol = symbol.trim_matches(['`', '\'', '"', ' ', '.']);
            let place = place.trim_end_matches([':', ' ']);
            let file = place.split(':').find(|part| part.ends_with(".c") || part.ends_with(".o"));
            let file = file.map_or("QEMU", |path| path.rsplit('/').next().unwrap_or(path));
            return Error::symbol(symbol, file);
        }
    }
    let line = lines.iter().find(|line| line.contains("error")).or(lines.first());
    let line = line.unwrap_or(&"no reason given");
    let message = format!("{}: it cannot be linked again: {line}", build.target);
    let help = format!("ninja -C {} {} must link it", build.folder.display(), build.target);
    Error::new(message, help)
}
