//! What `--races` puts in place of the build's own objects: migration/*.c compiled
//! again with -fsanitize=thread, and those other sources that use atomics, of which
//! only the atomics are looked at. Our hooks are called; no sanitizer's runtime is
//! linked.
//! Must not know: what the hooks do.

use super::build::entries;
use super::command::Command as Link;
use super::glib::Replacements;
use super::{Build, LinkError, error::LinkError as Error, inputs};
use crate::lock::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where all accesses are looked at.
const PLAIN: &str = "migration/";
/// Where atomic ones are, in sources that have any: these order the former. Devices,
/// block drivers and TCG have no part in a migration of ours.
const ATOMIC: [&str; 8] =
    ["util/", "io/", "system/", "softmmu/", "monitor/", "qom/", "hw/core/", "iothread.c"];
/// What such a source has in it.
const WORDS: [&str; 4] = ["atomic", "ATOMIC", "smp_", "rcu_"];

const SANITIZE: &str = "-fsanitize=thread";
/// Volatile accesses are told apart; to enter and leave functions is of no interest.
const GCC: [&str; 2] =
    ["--param=tsan-distinguish-volatile=1", "--param=tsan-instrument-func-entry-exit=0"];
const CLANG: [&str; 4] =
    ["-mllvm", "-tsan-distinguish-volatile=1", "-mllvm", "-tsan-instrument-func-entry-exit=0"];

/// A source that is compiled again.
struct Again {
    /// As the link names it, from the build directory.
    object: String,
    /// From there, too.
    source: String,
    flags: Vec<String>,
    /// Its plain accesses are looked at.
    plain: bool,
    /// What is made.
    made: PathBuf,
}

/// The words of the link that are replaced, each with what goes in its place.
pub fn replacements(build: &Build, link: &Link, cache: &Path) -> Result<Replacements, LinkError> {
    let folder = cache.join("races");
    std::fs::create_dir_all(&folder).map_err(|error| Error::cache(&folder, &error))?;
    let folder = folder.canonicalize().map_err(|error| Error::cache(&folder, &error))?;
    let archives = archives(build, link)?;
    let members = archives.values().flatten();
    let linked: BTreeSet<&String> = link.words.iter().chain(members).collect();
    let again = again(build, &folder, &linked)?;
    if !again.iter().any(|again| again.plain) {
        let path = build.folder.join("compile_commands.json");
        return Err(Error::build(&path, "nothing of migration/ is in the link"));
    }
    compile(build, &again, &folder)?;
    let text = |path: &Path| path.display().to_string();
    let made: BTreeMap<&String, &Path> =
        again.iter().map(|again| (&again.object, &*again.made)).collect();
    let direct = link.words.iter().filter_map(|word| Some((word, *made.get(word)?)));
    let mut all: Replacements =
        direct.map(|(word, made)| (word.clone(), vec![text(made)])).collect();
    for (nth, (archive, members)) in archives.iter().enumerate() {
        if members.iter().any(|member| made.contains_key(member)) {
            let instead = folder.join(format!("{nth}.a"));
            let file = |member: &String| match made.get(member) {
                Some(made) => made.to_path_buf(),
                None => build.folder.join(member),
            };
            let files: Vec<PathBuf> = members.iter().map(file).collect();
            collect(&instead, &files)?;
            all.insert(archive.clone(), vec![text(&instead)]);
        }
    }
    Ok(all)
}

/// Runs a program; what it prints is read by us. `missing` says what is wrong if it
/// cannot be started.
fn run(
    command: &mut Command,
    missing: fn(&str, &std::io::Error) -> LinkError,
) -> Result<Output, LinkError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.env("LC_ALL", "C").output();
    output.map_err(|error| missing(&name, &error))
}

fn binutils(name: &str, error: &std::io::Error) -> LinkError {
    Error::program(name, "binutils", error)
}

/// Whether this machine has what is needed besides a compiler: better known before
/// that has worked for half a minute.
pub fn tools_are_there() -> Result<(), LinkError> {
    ["ar", "objcopy"]
        .into_iter()
        .try_for_each(|tool| run(Command::new(tool).arg("--version"), binutils).map(drop))
}

/// The first of what a program complained about.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|line| line.contains("error")).or_else(|| text.lines().next());
    line.unwrap_or("no reason given").to_string()
}

/// The archives that the build made and links, each with the objects in it, as far
/// as these are there.
fn archives(build: &Build, link: &Link) -> Result<BTreeMap<String, Vec<String>>, LinkError> {
    let mut all = BTreeMap::new();
    for word in &link.words[1..] {
        let path = build.folder.join(word);
        let made = Path::new(word).is_relative() && path.is_file() && !all.contains_key(word);
        let mut head = [0; 8];
        let read = std::fs::File::open(&path)
            .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut head));
        if !made || read.is_err() || !matches!(&head, b"!<arch>\n" | b"!<thin>\n") {
            continue;
        }
        let output =
            run(Command::new("ar").arg("t").arg(word).current_dir(&build.folder), binutils)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // meson keeps the objects of an archive beside it.
        let object = |line: &str| match &head {
            b"!<thin>\n" => line.to_string(),
            _ => format!("{word}.p/{line}"),
        };
        let members: Vec<String> = text.lines().map(object).collect();
        if members.iter().all(|member| build.folder.join(member).is_file()) {
            all.insert(word.clone(), members);
        }
    }
    Ok(all)
}

/// Makes a thin archive.
fn collect(path: &Path, files: &[PathBuf]) -> Result<(), LinkError> {
    let _ = std::fs::remove_file(path);
    let output = run(Command::new("ar").arg("qcsT").arg(path).args(files), binutils)?;
    if output.status.success() {
        return Ok(());
    }
    let message = format!("{}: ar cannot make it: {}", path.display(), complaint(&output));
    Err(Error::new(message, "install GNU binutils"))
}

/// The sources to compile again, of those that are linked.
fn again(
    build: &Build,
    folder: &Path,
    linked: &BTreeSet<&String>,
) -> Result<Vec<Again>, LinkError> {
    let mut all = Vec::new();
    for entry in entries(&build.folder)? {
        let Some(object) = entry.output.clone().filter(|output| linked.contains(output)) else {
            continue;
        };
        let path = build.folder.join(&entry.file);
        let path = path.canonicalize().unwrap_or(path);
        let Ok(within) = path.strip_prefix(&build.source) else { continue };
        let within = within.display().to_string();
        let plain = within.starts_with(PLAIN);
        let uses = || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            WORDS.iter().any(|word| text.contains(word))
        };
        if !within.ends_with(".c")
            || !(plain || ATOMIC.iter().any(|a| within.starts_with(a)) && uses())
        {
            continue;
        }
        let made = folder.join(object.replace('/', "."));
        let commands = build.folder.join("compile_commands.json");
        let flags = entry.flags().ok_or_else(|| {
            Error::build(&commands, &format!("the command of {within} cannot be read"))
        })?;
        all.push(Again { object, source: entry.file, flags, plain, made });
    }
    Ok(all)
}

/// The flags that the compiler of `flags` has for this.
fn sanitize(
    build: &Build,
    flags: &[String],
    folder: &Path,
) -> Result<Vec<&'static str>, LinkError> {
    let probe = folder.join("probe.c");
    std::fs::write(&probe, "int probe;\n").map_err(|error| Error::cache(&probe, &error))?;
    let mut why = String::new();
    for more in [&GCC[..], &CLANG, &[]] {
        let all = [&[SANITIZE], more].concat();
        let mut command = Command::new(&flags[0]);
        command.args(&flags[1..]).args(&all).args(["-w", "-c"]).arg(&probe);
        command.arg("-o").arg(folder.join("probe.o")).current_dir(&build.folder);
        let output = run(&mut command, Error::compiler)?;
        if output.status.success() {
            return Ok(all);
        }
        why = complaint(&output);
    }
    let message = format!("{}: it does not compile with {SANITIZE}: {why}", flags[0]);
    Err(Error::new(message, "--races needs a gcc or clang that does: configure with --cc"))
}

/// Compiles those of which the build's own object has changed.
fn compile(build: &Build, all: &[Again], folder: &Path) -> Result<(), LinkError> {
    let plain = all.iter().find(|again| again.plain).expect("the caller has one");
    let more = sanitize(build, &plain.flags, folder)?;
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(again) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            again.compile(build, &more)?;
        }
        Ok(())
    };
    let many = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..many).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("it does not panic"))
    })
}

impl Again {
    fn compile(&self, build: &Build, more: &[&str]) -> Result<(), LinkError> {
        // The build is up to date: its own object is as new as all that is in it.
        let mut bytes = Bytes::default();
        bytes.feed(&(env!("CARGO_PKG_VERSION"), &self.flags, more, self.plain));
        bytes.feed(&inputs::state(&build.folder.join(&self.object)));
        let key = format!("{:032x}\n", bytes.fingerprint());
        let noted = self.made.with_extension("o.key");
        if self.made.is_file() && std::fs::read_to_string(&noted).is_ok_and(|have| have == key) {
            return Ok(());
        }
        let _ = std::fs::remove_file(&noted);
        let mut command = Command::new(&self.flags[0]);
        command.args(&self.flags[1..]).args(more).args(["-g", "-w", "-c", &self.source]);
        command.arg("-o").arg(&self.made).current_dir(&build.folder);
        let output = run(&mut command, Error::compiler)?;
        if !output.status.success() {
            if let Some(full) = Error::full(&self.made, &String::from_utf8_lossy(&output.stderr)) {
                return Err(full);
            }
            let why = complaint(&output);
            let message = format!("{}: it does not compile with {SANITIZE}: {why}", self.source);
            return Err(Error::new(message, "leave --races out, or change that code"));
        }
        self.rename()?;
        std::fs::write(&noted, key).map_err(|error| Error::cache(&noted, &error))
    }

    /// Where plain accesses count, those that libc does count too; elsewhere they call
    /// nothing.
    fn rename(&self) -> Result<(), LinkError> {
        let mut command = Command::new("objcopy");
        let mut rename = |from: String, to: String| {
            command.arg(format!("--redefine-sym={from}={to}"));
        };
        if self.plain {
            for name in ["memcpy", "memmove", "memset"] {
                rename(name.into(), format!("bqlcheck_race_{name}"));
            }
        } else {
            for hook in ["read", "write", "unaligned_read", "unaligned_write"] {
                for size in ["1", "2", "4", "8", "16", "_range"] {
                    let name = format!("{hook}{size}");
                    rename(format!("__tsan_{name}"), format!("bqlcheck_no_{name}"));
                }
            }
        }
        let output = run(command.arg(&self.made), binutils)?;
        if output.status.success() {
            return Ok(());
        }
        let message = format!("{}: objcopy fails: {}", self.made.display(), complaint(&output));
        Err(Error::new(message, "install GNU binutils"))
    }
}
