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
    /// Those that could be taken instead.
    pub others: Vec<String>,
    /// The command that links it, for a shell.
    pub link_command: String,
    /// The compiler and flags that migration/ram.c is compiled with, without
    /// what names the file or its output.
    pub compile: Vec<String>,
    /// Where it was configured, if that is another directory.
    configured: PathBuf,
}

#[derive(Deserialize)]
struct Info {
    directories: Directories,
}

#[derive(Deserialize)]
struct Directories {
    source: PathBuf,
    build: PathBuf,
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
        Build::open_target(folder, None)
    }

    /// The same of the executable that is wanted, as `aarch64`, `aarch64-softmmu` or
    /// `qemu-system-aarch64`.
    pub fn open_target(folder: &Path, wanted: Option<&str>) -> Result<Build, LinkError> {
        let folder = folder.canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::build(folder, "there is no such directory"),
            _ => Error::build(folder, &error.to_string()),
        })?;
        if !folder.is_dir() {
            return Err(Error::build(&folder, "it is no directory"));
        }
        let path = folder.join("build.ninja");
        let text = read(&path)?;
        let made = made(&text);
        let there = |target: &&String| folder.join(target).is_file();
        let target = match wanted {
            // Of several, one that was built.
            None => preferred(made.iter().filter(there), std::env::consts::ARCH)
                .or_else(|| preferred(made.iter(), std::env::consts::ARCH))
                .ok_or_else(|| Error::build(&path, "it makes no qemu-system-* executable"))?,
            Some(wanted) => named(&made, wanted).ok_or_else(|| {
                let message =
                    format!("{}: it makes no qemu-system-{}", path.display(), guest(wanted));
                let there: Vec<&str> = made.iter().map(|name| guest(name)).collect();
                Error::new(message, format!("--target takes one of: {}", there.join(", ")))
            })?,
        };
        // With --enable-modules it is loaded when QEMU starts, with libc's own functions.
        if text
            .lines()
            .any(|line| line.starts_with(&format!("build accel-qtest-{}.so", guest(&target))))
        {
            let message =
                format!("{target}: the accelerator qtest is a module, which is not linked");
            return Err(Error::new(message, "configure a build directory with --disable-modules"));
        }
        let others = made.into_iter().filter(|name| *name != target).collect();
        let Directories { source, build: configured } = directories(&folder)?;
        let version = version(&source)?;
        let compile = compile(&folder, &target)?;
        let link_command = ninja::link_command(&folder, &target)?;
        Ok(Build { folder, source, version, target, others, link_command, compile, configured })
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
            // What is looked for where it was is what ninja names first.
            Some(_) if self.configured != self.folder => {
                let (now, then) = (self.folder.display(), self.configured.display());
                let message =
                    format!("{now}: the build was moved here, it was configured as {then}");
                Err(Error::new(message, "move it back, or configure and build it anew"))
            }
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

/// The executables that build.ninja makes, in order.
fn made(ninja: &str) -> Vec<String> {
    let made = ninja.lines().filter_map(|line| {
        let (outputs, _) = line.strip_prefix("build qemu-system-")?.split_once(':')?;
        let first = outputs.split_whitespace().next()?;
        (!first.contains(['/', '.'])).then(|| format!("qemu-system-{first}"))
    });
    let mut made: Vec<String> = made.collect();
    made.sort();
    made
}

/// The one to take: for guests like the host, else x86_64's, else the first. `-M none`
/// and qtest work in all.
fn preferred<'a>(made: impl Iterator<Item = &'a String>, host: &str) -> Option<String> {
    let rank = |name: &str| match guest(name) {
        name if name == host => 0,
        "x86_64" => 1,
        _ => 2,
    };
    made.min_by_key(|name| rank(name)).cloned()
}

/// The architecture of the guest that a user means by `name`.
fn guest(name: &str) -> &str {
    let name = name.strip_prefix("qemu-system-").unwrap_or(name);
    name.strip_suffix("-softmmu").unwrap_or(name)
}

fn named(made: &[String], wanted: &str) -> Option<String> {
    made.iter().find(|name| guest(name) == guest(wanted)).cloned()
}

/// The source tree and the build directory, as meson noted them.
fn directories(folder: &Path) -> Result<Directories, LinkError> {
    let path = folder.join("meson-info/meson-info.json");
    let info: Info = serde_json::from_str(&read(&path)?)
        .map_err(|error| Error::build(&path, &error.to_string()))?;
    let there = |noted: PathBuf| {
        let noted = folder.join(noted);
        noted.canonicalize().unwrap_or(noted)
    };
    let Directories { source, build } = info.directories;
    Ok(Directories { source: there(source), build: there(build) })
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
        let all = made(text);
        assert_eq!(all, ["qemu-system-aarch64", "qemu-system-arm", "qemu-system-x86_64"]);
        let taken = |host| preferred(all.iter(), host);
        assert_eq!(taken("x86_64").as_deref(), Some("qemu-system-x86_64"));
        assert_eq!(taken("aarch64").as_deref(), Some("qemu-system-aarch64"));
        assert_eq!(taken("riscv64").as_deref(), Some("qemu-system-x86_64"));
        assert_eq!(preferred(all[..2].iter(), "x86_64").as_deref(), Some("qemu-system-aarch64"));
        assert_eq!(made("build qemu-img: c\n"), Vec::<String>::new());
        for name in ["arm", "arm-softmmu", "qemu-system-arm"] {
            assert_eq!(named(&all, name).as_deref(), Some("qemu-system-arm"));
        }
        assert_eq!(named(&all, "armeb"), None);
    }
}
