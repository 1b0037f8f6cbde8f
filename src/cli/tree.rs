//! A source tree as the scan wants it: which files, read, in order. Which
//! endings count and which directories are left out is data:
//! `models/scan/tree.json`.
//! Must not know: what is in a file.

use super::exit::{Exit, Failure};
use crate::scan::Problem;
use ignore::{WalkBuilder, WalkState};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

/// No file of QEMU comes near it; what does is not source.
pub const LARGEST: u64 = 32 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Selection {
    endings: Vec<String>,
    leave_out: Vec<String>,
    also: Vec<String>,
}

static SELECTION: LazyLock<Selection> = LazyLock::new(|| {
    let text = include_str!("../../models/scan/tree.json");
    serde_json::from_str(text).expect("models/scan/tree.json is tested")
});

/// A tree that was read.
#[derive(Debug, Default)]
pub struct Sources {
    /// C: by path below the root, with `/`, in order.
    pub code: Vec<(String, Vec<u8>)>,
    /// `VERSION`, `qapi/*.json`, `hmp-commands*.hx`, in order.
    pub other: Vec<(String, Vec<u8>)>,
    /// What could not be read, in order.
    pub problems: Vec<Problem>,
}

impl Sources {
    /// A file's bytes.
    pub fn text(&self, path: &str) -> Option<&[u8]> {
        [&self.code, &self.other].into_iter().find_map(|files| {
            let at = files.binary_search_by(|(name, _)| name.as_str().cmp(path)).ok()?;
            Some(&*files[at].1)
        })
    }
}

/// Why there is nothing to scan.
#[derive(Debug)]
pub enum TreeError {
    /// The invocation is wrong: exit 2.
    Unusable(Failure),
    /// There is no C in it: exit 4.
    Nothing(Failure),
}

impl TreeError {
    /// What to say, and how to end.
    pub fn failure(self) -> (Failure, Exit) {
        match self {
            TreeError::Unusable(failure) => (failure, Exit::Invocation),
            TreeError::Nothing(failure) => (failure, Exit::Nothing),
        }
    }
}

/// Reads the tree below `root`; with `only`, no C outside of those directories
/// or files. Links out of the tree are not followed, nor any to a directory.
pub fn read(root: &Path, only: &[String]) -> Result<Sources, TreeError> {
    let unusable = |message: String| {
        TreeError::Unusable(Failure::new(message, "name the root of a QEMU source tree"))
    };
    let shown = root.display();
    let home = root.canonicalize().map_err(|error| unusable(format!("{shown}: {error}")))?;
    if !home.is_dir() {
        return Err(unusable(format!("{shown}: not a directory")));
    }
    let mut wanted = Vec::new();
    for name in only {
        let below = below(&home, name).ok_or_else(|| {
            let help = "--only takes files and directories of the tree, as migration or hw/vfio";
            TreeError::Unusable(Failure::new(format!("{name}: not in {shown}"), help))
        })?;
        wanted.push(below);
    }
    let sources = walk(&home, &wanted);
    if sources.code.is_empty() && sources.problems.is_empty() {
        let help = "the files that count end in .c, .h, .c.inc or .h.inc";
        return Err(TreeError::Nothing(Failure::new(format!("{shown}: no C files"), help)));
    }
    Ok(sources)
}

/// `name` as a path below the root, which must have it.
fn below(home: &Path, name: &str) -> Option<String> {
    let full = home.join(name).canonicalize().ok()?;
    relative(home, &full)
}

/// A path below `home`, with `/`; bytes that are no UTF-8 are shown as such.
fn relative(home: &Path, path: &Path) -> Option<String> {
    let parts = path.strip_prefix(home).ok()?.components();
    let names: Vec<_> = parts.map(|part| part.as_os_str().to_string_lossy()).collect();
    Some(names.join("/"))
}

/// What a file is to the scan.
enum Sort {
    Code,
    Other,
}

/// Whether `path` counts, and as what.
fn sort(path: &str, wanted: &[String]) -> Option<Sort> {
    let fits = |pattern: &String| match pattern.split_once('*') {
        None => path == pattern,
        Some((front, back)) => path
            .strip_prefix(front)
            .and_then(|rest| rest.strip_suffix(back))
            .is_some_and(|middle| !middle.contains('/')),
    };
    if SELECTION.also.iter().any(fits) {
        return Some(Sort::Other);
    }
    let code = SELECTION.endings.iter().any(|ending| path.ends_with(ending.as_str()));
    (code && (wanted.is_empty() || wanted.iter().any(|name| inside(path, name))))
        .then_some(Sort::Code)
}

/// Whether `path` is `directory` or in it.
fn inside(path: &str, directory: &str) -> bool {
    directory.is_empty()
        || path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a scan of a whole tree reads `path` as C.
pub fn is_scanned(path: &str) -> bool {
    let left_out = SELECTION.leave_out.iter().any(|directory| inside(path, directory));
    !left_out && matches!(sort(path, &[]), Some(Sort::Code))
}

/// Walks and reads, in parallel; the result is in order all the same.
fn walk(home: &Path, wanted: &[String]) -> Sources {
    let found = Mutex::new(Sources::default());
    let root = home.to_owned();
    let asked = wanted.to_vec();
    let walker = WalkBuilder::new(home)
        .standard_filters(false)
        .follow_links(false)
        .filter_entry(move |entry| {
            let path = relative(&root, entry.path()).unwrap_or_default();
            let left_out = SELECTION.leave_out.contains(&path) || path.ends_with(".git");
            // Who names a directory that is left out by default wants it.
            !left_out || asked.iter().any(|name| inside(name, &path))
        })
        .build_parallel();
    walker.run(|| {
        Box::new(|entry| {
            let problem = |path: &str, message: String| {
                let problem = Problem { path: path.to_owned(), line: 0, message };
                found.lock().expect("no holder panics").problems.push(problem);
            };
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    problem("", said(home, &error.to_string()));
                    return WalkState::Continue;
                }
            };
            let Some(path) = relative(home, entry.path()) else { return WalkState::Continue };
            let Some(sort) = sort(&path, wanted) else { return WalkState::Continue };
            match file(home, entry.path()) {
                Ok(Some(bytes)) => {
                    let mut found = found.lock().expect("no holder panics");
                    match sort {
                        Sort::Code => found.code.push((path, bytes)),
                        Sort::Other => found.other.push((path, bytes)),
                    }
                }
                Ok(None) => {}
                Err(message) => problem(&path, message),
            }
            WalkState::Continue
        })
    });
    let mut sources = found.into_inner().expect("no holder panics");
    sources.code.sort();
    sources.other.sort();
    sources.problems.sort();
    sources
}

/// A message without the place where the tree happens to be.
fn said(home: &Path, message: &str) -> String {
    message.replace(&format!("{}/", home.display()), "")
}

/// A file's bytes. None: a directory, a device, or a link out of the tree.
fn file(home: &Path, path: &Path) -> Result<Option<Vec<u8>>, String> {
    let said = |error: std::io::Error| error.to_string();
    let mut real = PathBuf::from(path);
    if path.is_symlink() {
        match path.canonicalize() {
            Ok(target) if target.starts_with(home) => real = target,
            Ok(_) => return Err("a link out of the tree is not followed".to_owned()),
            Err(error) => return Err(format!("a link that leads nowhere: {error}")),
        }
    }
    let about = std::fs::metadata(&real).map_err(said)?;
    if !about.is_file() {
        return Ok(None);
    }
    if about.len() > LARGEST {
        return Err(format!("larger than {} MiB: not read", LARGEST >> 20));
    }
    std::fs::read(&real).map(Some).map_err(said)
}
