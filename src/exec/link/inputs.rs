//! Of what an image was made: the same key, the same image.
//! Must not know: how it is linked.

use super::command::Command;
use super::glib::Replacements;
use super::{Build, Settings};
use crate::lock::Bytes;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Length and time of change, as make and ninja judge a file.
pub fn state(path: &Path) -> (u64, u128) {
    let Ok(data) = path.metadata() else { return (0, 0) };
    let changed = data.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    (data.len(), changed.map_or(0, |time| time.as_nanos()))
}

/// The key of the image that would be linked now.
pub fn key(build: &Build, command: &Command, glib: &Replacements, settings: &Settings) -> String {
    let mut bytes = Bytes::default();
    bytes.feed(env!("CARGO_PKG_VERSION"));
    bytes.feed(&(&build.link_command, &build.compile));
    bytes.feed(&(glib, &settings.runtime, &settings.wrap, &settings.glue, settings.races));
    let archives = glib.values().flatten().map(Path::new).map(Path::to_path_buf);
    for path in command.files(&build.folder).into_iter().chain(archives) {
        bytes.feed(&state(&path));
    }
    format!("{:032x}\n", bytes.fingerprint())
}
