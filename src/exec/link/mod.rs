//! From a finished build directory to an image: QEMU's own link command, run
//! again with libc's functions wrapped. Nothing in the build directory changes.
//! Must not know: what the runtime does with a call that it catches.

mod build;
mod cache;
mod command;
mod error;
mod glib;
mod glue;
mod inputs;
mod linker;
mod ninja;
mod race;
mod settings;
mod words;

pub use build::Build;
pub use error::LinkError;
pub use glue::{Glue, Kind};
pub use settings::Settings;

use cache::Cache;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A QEMU that runs on our runtime.
#[derive(Debug)]
pub struct Image {
    /// The executable, in the cache directory.
    pub path: PathBuf,
    /// The same file, also once another is in its place.
    pub kept: PathBuf,
    _open: File,
    /// Of QEMU, as its file VERSION has it.
    pub version: String,
    /// Whether it had to be linked, or was there already.
    pub fresh: bool,
    /// What making it, or finding it, took.
    pub took: Duration,
}

/// Links `build` into `cache`, unless what is there was made of the same files.
pub fn link(build: &Build, cache: &Path, settings: &Settings) -> Result<Image, LinkError> {
    let began = Instant::now();
    settings.runtime_is_there()?;
    let cache = Cache::enter(cache)?;
    let command = command::Command::parse(build)?;
    // ninja's answer takes a third of a second: not before the link, beside it.
    let checked = std::thread::scope(|scope| {
        let finished = scope.spawn(|| build.finished());
        let made = make(build, &command, &cache.folder, settings);
        finished.join().expect("it does not panic").and(made)
    });
    let (path, fresh) = checked?;
    let (open, kept) = Cache::keep(&path)?;
    let version = build.version.clone();
    Ok(Image { path, kept, _open: open, version, fresh, took: began.elapsed() })
}

/// The image, and whether it had to be linked.
fn make(
    build: &Build,
    command: &command::Command,
    cache: &Path,
    settings: &Settings,
) -> Result<(PathBuf, bool), LinkError> {
    let name = format!("{}{}", build.target, if settings.races { "-races" } else { "" });
    let path = cache.join(&name);
    let mut instead = glib::replacements(command)?;
    let key = inputs::key(build, command, &instead, settings);
    let noted = cache.join(format!("{name}.key"));
    if path.is_file() && std::fs::read_to_string(&noted).is_ok_and(|have| have == key) {
        return Ok((path, false));
    }
    // A link that fails, or that is cut short, must not leave the old key.
    let _ = std::fs::remove_file(&noted);
    if settings.races {
        race::tools_are_there()?;
    }
    let objects = glue::compile(build, cache, settings)?;
    if settings.races {
        instead.extend(race::replacements(build, command, cache)?);
    }
    linker::run(build, command, &instead, &objects, &path, settings)?;
    std::fs::write(&noted, key).map_err(|error| LinkError::cache(&noted, &error))?;
    Ok((path, true))
}
