//! A user's build directory: which QEMU it is, what it makes and how.
//! Must not know: what we link with it.

use super::{LinkError, error::LinkError as Error, ninja, words};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A directory in which QEMU was configured, and the executable to link again.
#[derive(Debug)]
pub struct Build {
    /// The build directory, without symbolic links.
    pub folder: PathBuf,
    /// The source tree that it was configured from.
    pub source: PathBuf,
    /// QEMU's version, as `10.0.13`.
    pub version: String,
    /// The executable, as `qemu-system-x86_64`.
    pub target: String,
    /// The command that links it, for a shell.
    pub link_command: String,
    /// The compiler and flags that migration/ram.c is compiled with, without
    /// what names the file or its output.
    pub compile: Vec<String>,
}

#[derive(Deserialize)]
struct Info {
    directories: Directories,
}

#[derive(Deserialize)]
struct Directories {
    source: PathBuf,
}

/// A command of compile_commands.json.
#[derive(Deserialize)]
pub(super) struct Entry {
    pub file: String,
    command: String,
    pub output: Option<String>,
}

impl Entry {
    /// The compiler and flags, without what names the file or its output; none if
    /// they cannot be read.
    pub fn flags(&self) -> Option<Vec<String>> {
        let mut kept = Vec::new();
        let mut words = words::split(&self.command)?.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-o" | "-MF" | "-MQ" | "-MT" => drop(words.next()),
                "-c" | "-MD" | "-MMD" => {}
                _ if word == self.file => {}
                _ => kept.push(word),
            }
        }
        kept.first().is_some_and(|word| !word.starts_with('-')).then_some(kept)
    }
}

/// All of them.
pub(super) fn entries(folder: &Path) -> Result<Vec<Entry>, LinkError> {
    let path = folder.join("compile_commands.json");
    serde_json::from_str(&read(&path)?).map_err(|error| Error::build(&path, &error.to_string()))
}

/// A file of the build directory.
fn read(path: &Path) -> Result<String, LinkError> {
    std::fs::read_to_string(path).map_err(|error| Error::build(path, &problem(&error)))
}

fn problem(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        _ => error.to_string(),
    }
}

impl Build {
    /// What `folder` is. Whether it is finished is [`Build::finished`].
    pub fn open(folder: &Path) -> Result<Build, LinkError> {
        let folder = folder.canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::build(folder, "there is no such directory"),
            _ => Error::build(folder, &error.to_string()),
        })?;
        let path = folder.join("build.ninja");
        let text = read(&path)?;
        let target = target(&text, std::env::consts::ARCH)
            .ok_or_else(|| Error::build(&path, "it makes no qemu-system-* executable"))?;
        let source = source(&folder)?;
        let version = version(&source)?;
        let compile = compile(&folder, &target)?;
        let link_command = ninja::link_command(&folder, &target)?;
        Ok(Build { folder, source, version, target, link_command, compile })
    }

    /// Whether the executable is there, for this machine, and up to date.
    pub(super) fn finished(&self) -> Result<(), LinkError> {
        let way_out = format!("ninja -C {} {}", self.folder.display(), self.target);
        let path = self.folder.join(&self.target);
        let head = std::fs::File::open(&path).and_then(|mut file| {
            let mut head = [0; 20];
            std::io::Read::read_exact(&mut file, &mut head)?;
            Ok(head)
        });
        let Ok(head) = head else {
            let message = format!("{}: the build is not finished", path.display());
            return Err(Error::new(message, way_out));
        };
        let machine = u16::from_le_bytes([head[18], head[19]]);
        if &head[..4] != b"\x7fELF" || Some(machine) != machine_of(std::env::consts::ARCH) {
            let message = format!(
                "{}: built for another architecture than {}",
                path.display(),
                std::env::consts::ARCH
            );
            let help = "build QEMU on this machine, without --cross-prefix";
            return Err(Error::new(message, help));
        }
        match ninja::outdated(&self.folder, &self.target)? {
            None => Ok(()),
            Some(reason) => {
                let message = format!("{}: the build is outdated: {reason}", path.display());
                Err(Error::new(message, way_out))
            }
        }
    }
}

/// `e_machine` of executables for `architecture`, of those that we know.
fn machine_of(architecture: &str) -> Option<u16> {
    match architecture {
        "x86_64" => Some(62),
        "aarch64" => Some(183),
        _ => None,
    }
}

/// The executable to take of those that build.ninja makes: for guests like the
/// host, else x86_64's, else the first. `-M none` and qtest work in all.
fn target(ninja: &str, host: &str) -> Option<String> {
    let made = ninja.lines().filter_map(|line| {
        let (outputs, _) = line.strip_prefix("build qemu-system-")?.split_once(':')?;
        let first = outputs.split_whitespace().next()?;
        (!first.contains(['/', '.'])).then(|| format!("qemu-system-{first}"))
    });
    let mut made: Vec<String> = made.collect();
    made.sort();
    let of = |guest: &str| made.iter().find(|name| name[12..] == *guest);
    of(host).or_else(|| of("x86_64")).or(made.first()).cloned()
}

/// The source tree, as meson noted it.
fn source(folder: &Path) -> Result<PathBuf, LinkError> {
    let path = folder.join("meson-info/meson-info.json");
    let info: Info = serde_json::from_str(&read(&path)?)
        .map_err(|error| Error::build(&path, &error.to_string()))?;
    let source = folder.join(info.directories.source);
    Ok(source.canonicalize().unwrap_or(source))
}

/// What VERSION says, if it is one that we can work with.
fn version(source: &Path) -> Result<String, LinkError> {
    let path = source.join("VERSION");
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|error| Error::source(&path, &problem(&error)))?;
    let text = text.trim();
    let mut numbers = text.split('.').map(|part| part.parse::<u32>().ok());
    let known = match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= (7, 2),
        _ => false,
    };
    if known {
        return Ok(text.to_string());
    }
    let message = format!("{}: {text:?} is not a version that we know", path.display());
    Err(Error::new(message, "QEMU 7.2 or later is needed"))
}

/// The compiler and flags of migration/ram.c, that of `target` if there are more.
fn compile(folder: &Path, target: &str) -> Result<Vec<String>, LinkError> {
    let path = folder.join("compile_commands.json");
    let entries = entries(folder)?;
    let guest = &target["qemu-system-".len()..];
    let ram = || entries.iter().filter(|entry| entry.file.ends_with("migration/ram.c"));
    let own = |entry: &&Entry| {
        let output = entry.output.as_deref().unwrap_or_default();
        output.contains(&format!("-{guest}-"))
    };
    let entry = ram().find(own).or_else(|| ram().next());
    let entry = entry.ok_or_else(|| Error::build(&path, "migration/ram.c is not compiled"))?;
    entry
        .flags()
        .ok_or_else(|| Error::build(&path, "the command of migration/ram.c cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_like_the_host_is_taken() {
        let text = "build qemu-system-arm: c\nbuild qemu-system-x86_64: c a.o\n\
                    build qemu-system-x86_64.p/main.o: c\nbuild qemu-system-aarch64 | x: c\n";
        assert_eq!(target(text, "x86_64").as_deref(), Some("qemu-system-x86_64"));
        assert_eq!(target(text, "aarch64").as_deref(), Some("qemu-system-aarch64"));
        assert_eq!(target(text, "riscv64").as_deref(), Some("qemu-system-x86_64"));
        assert_eq!(
            target("build qemu-system-arm: c\n", "x86_64").as_deref(),
            Some("qemu-system-arm")
        );
        assert_eq!(target("build qemu-img: c\n", "x86_64"), None);
    }
}
