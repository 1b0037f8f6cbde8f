//! A source tree as facts: read, parsed on all cores, from the cache where the
//! cache has it.
//! Must not know: what is done with the facts.

use super::cache::Cache;
use super::exit::{Exit, Failure};
use super::progress::Progress;
use super::tree::Sources;
use super::{output, tree};
use crate::lock::fingerprint_of;
use crate::parallel;
use crate::scan::ir::FileFacts;
use crate::scan::{Problem, Tree, facts};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A tree that was read.
pub struct Source {
    pub tree: Tree,
    /// The bytes of every file, C or not.
    pub texts: BTreeMap<String, Arc<Vec<u8>>>,
    /// What could not be read or followed.
    pub problems: Vec<Problem>,
}

impl Source {
    /// Reads and parses the tree below `root`, or of it only what is `only`. An
    /// error is said to the user; what is given then is how to end.
    pub fn load(root: &Path, only: &[PathBuf], cache: &Cache) -> Result<Source, Exit> {
        Ok(Source::parse(read(root, only)?, cache))
    }

    /// Parses what was read.
    pub fn parse(read: Sources, cache: &Cache) -> Source {
        let mut source =
            Source { tree: Tree::default(), texts: BTreeMap::new(), problems: read.problems };
        for (path, text) in read.other {
            source.tree.other(&path, &text);
            source.texts.insert(path, Arc::new(text));
        }
        let done = Arc::new(AtomicUsize::new(0));
        let (counted, total) = (done.clone(), read.code.len());
        let progress = Progress::start(move |since| {
            let read = counted.load(Ordering::Relaxed);
            format!("{} s: {read} of {total} files", since.as_secs())
        });
        let parsed = parallel::map(&read.code, |(path, text)| {
            let facts = one(path, text, cache);
            done.fetch_add(1, Ordering::Relaxed);
            facts
        });
        drop(progress);
        for ((path, text), facts) in read.code.into_iter().zip(parsed) {
            match facts {
                Ok(facts) => {
                    source.tree.files.insert(Arc::from(path.as_str()), Arc::new(facts));
                }
                Err(problem) => source.problems.push(problem),
            }
            source.texts.insert(path, Arc::new(text));
        }
        source
    }

    /// A copy of a file's bytes.
    pub fn text(&self, path: &str) -> Option<Arc<[u8]>> {
        self.texts.get(path).map(|text| Arc::from(text.as_slice()))
    }

    /// The same tree with some files changed; None is a file that is gone.
    pub fn changed(&self, changes: &BTreeMap<String, Option<Arc<[u8]>>>, cache: &Cache) -> Source {
        let mut source = Source {
            tree: self.tree.clone(),
            texts: self.texts.clone(),
            problems: self.problems.clone(),
        };
        for (path, text) in changes {
            match text {
                None => {
                    source.texts.remove(path);
                    source.tree.files.remove(path.as_str());
                }
                Some(text) => {
                    source.texts.insert(path.clone(), Arc::new(text.to_vec()));
                    source.tree.other(path, text);
                    if !tree::is_scanned(path) {
                        continue;
                    }
                    match one(path, text, cache) {
                        Ok(facts) => {
                            source.tree.files.insert(Arc::from(path.as_str()), Arc::new(facts));
                        }
                        Err(problem) => source.problems.push(problem),
                    }
                }
            }
        }
        source
    }
}

/// Reads the tree below `root`, as `Source::load` does.
pub fn read(root: &Path, only: &[PathBuf]) -> Result<Sources, Exit> {
    let only: Vec<String> =
        only.iter().map(|path| path.to_string_lossy().trim_end_matches('/').into()).collect();
    tree::read(root, &only).map_err(|error| {
        let (failure, exit) = error.failure();
        say(&failure);
        exit
    })
}

/// The facts of one file.
fn one(path: &str, text: &[u8], cache: &Cache) -> Result<FileFacts, Problem> {
    let key = fingerprint_of(text);
    if let Some(facts) = cache.get(key) {
        return Ok(facts);
    }
    let facts = facts(text).map_err(|refused| {
        let message = refused.to_string();
        Problem { path: path.into(), line: 0, message }
    })?;
    cache.put(key, &facts);
    Ok(facts)
}

/// Says what cannot be used, as the end of the program does.
pub fn say(failure: &Failure) {
    output::complain(&format!("error: {}\n  help: {}", failure.message, failure.help));
}
