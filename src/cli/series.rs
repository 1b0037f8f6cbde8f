//! The patches of a scan: read, put in order, applied in memory one after the
//! other.
//! Must not know: what a scan finds.

use super::exit::{Exit, Failure};
use super::source::say;
use super::tree::{self, Sources};
use crate::scan::patch::{self, Patch, PatchError, PatchErrorKind};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What has become of files so far; None: it is gone.
pub type Changes = BTreeMap<String, Option<Arc<[u8]>>>;

/// Reads the patches in `files`, `-` being stdin, in the order to apply them.
pub fn read(files: &[PathBuf]) -> Result<Vec<Patch>, Exit> {
    let mut patches = Vec::new();
    for file in files {
        let bytes = match file.as_path() == Path::new("-") {
            true => {
                let mut bytes = Vec::new();
                std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
            }
            false => std::fs::read(file),
        };
        let shown = file.display().to_string();
        let bytes = bytes.map_err(|error| {
            let help = "--patch takes a diff, a mail, an mbox, or - for stdin";
            say(&Failure::new(format!("{shown}: {error}"), help));
            Exit::Invocation
        })?;
        patches.extend(patch::parse(&shown, &bytes).map_err(|error| refuse(&error))?);
    }
    if patches.iter().all(|patch| patch.changes.is_empty()) {
        say(&Failure::new("the patches change no file", "give a diff, a mail or an mbox"));
        return Err(Exit::Nothing);
    }
    Ok(patches)
}

/// Applies each patch on top of those before it; gives the changes after each.
///
/// A file that no scan reads (documents, tests) is read below `root`, so that a
/// patch to it applies too.
pub fn apply(root: &Path, sources: &Sources, patches: &[Patch]) -> Result<Vec<Changes>, Exit> {
    let mut after = Vec::new();
    let mut changes = Changes::new();
    for patch in patches {
        let read = |path: &str| match changes.get(path) {
            Some(changed) => changed.clone(),
            None => sources.text(path).map(Arc::from).or_else(|| elsewhere(root, path)),
        };
        let changed = patch::apply(patch, &read).map_err(|error| refuse(&error))?;
        changes.extend(changed);
        after.push(changes.clone());
    }
    let counts = |path: &String| tree::is_scanned(path) || sources.text(path).is_some();
    if !patches.is_empty() && !changes.keys().any(counts) {
        let help = "files count that end in .c, .h, .c.inc or .h.inc, and qapi/*.json";
        say(&Failure::new("the patches change no file that is scanned", help));
        return Err(Exit::Nothing);
    }
    Ok(after)
}

/// A file of the tree that was not scanned.
fn elsewhere(root: &Path, path: &str) -> Option<Arc<[u8]>> {
    let home = root.canonicalize().ok()?;
    let file = home.join(path).canonicalize().ok()?;
    let inside = file.starts_with(&home) && file.is_file();
    inside.then(|| std::fs::read(file).ok().map(Arc::from))?
}

fn refuse(error: &PatchError) -> Exit {
    let message = match error.place.is_empty() {
        true => error.message.clone(),
        false => format!("{}: {}", error.place, error.message),
    };
    say(&Failure::new(message, error.help.clone()));
    match error.kind {
        PatchErrorKind::Malformed => Exit::Invocation,
        PatchErrorKind::DoesNotApply => Exit::PatchDoesNotApply,
    }
}
