//! A tree while a patch is applied to it: which name of a diff is which file,
//! and what has become of it so far.
//! Must not know: hunks.

use super::patch::{Action, FileChange, Patch};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Read<'a> = &'a dyn Fn(&str) -> Option<Arc<[u8]>>;

/// A tree with the changes of one patch.
pub struct Overlay<'a> {
    read: Read<'a>,
    /// Whether the first part of each path is not the tree's: `a/`, `b/`.
    strip: bool,
    changed: BTreeMap<String, Option<Arc<[u8]>>>,
    /// Changed in place.
    edited: BTreeSet<String>,
    /// Files that the patch moves away or deletes.
    leaving: BTreeSet<String>,
}

impl<'a> Overlay<'a> {
    pub fn new(patch: &Patch, read: Read<'a>) -> Overlay<'a> {
        let (changed, edited, leaving) = Default::default();
        let mut overlay = Overlay { read, strip: true, changed, edited, leaving };
        overlay.strip = overlay.strips(&patch.changes);
        let leaves =
            |change: &&FileChange| matches!(change.action, Action::Rename | Action::Delete);
        let leaving = patch.changes.iter().filter(leaves);
        overlay.leaving = leaving.map(|change| overlay.old_name(change).to_owned()).collect();
        overlay
    }

    /// Whether more of the files are found without the first part of their path.
    /// If that does not tell, whether the first parts look like git's, or differ.
    fn strips(&self, changes: &[FileChange]) -> bool {
        let named = || changes.iter().filter(|change| !change.action.is_bare());
        let old = || named().filter(|change| change.action != Action::Create && !change.opaque);
        let is_file = |path: &str| (self.read)(path).is_some();
        let found = |name: fn(&str) -> &str| {
            let has =
                |change: &&FileChange| is_file(name(&change.new)) || is_file(name(&change.old));
            old().filter(has).count()
        };
        let (stripped, whole) = (found(stripped), found(|path| path));
        if stripped != whole {
            return stripped > whole;
        }
        let usual = |change: &FileChange| {
            let differ = change.old != change.new
                && self::stripped(&change.old) == self::stripped(&change.new);
            differ || change.old.starts_with("a/") || change.new.starts_with("b/")
        };
        named().all(usual)
    }

    fn name<'p>(&self, change: &FileChange, path: &'p str) -> &'p str {
        if self.strip && !change.action.is_bare() { stripped(path) } else { path }
    }

    pub fn old_name<'p>(&self, change: &'p FileChange) -> &'p str {
        self.name(change, &change.old)
    }

    pub fn new_name<'p>(&self, change: &'p FileChange) -> &'p str {
        self.name(change, &change.new)
    }

    /// The file that a change starts from.
    pub fn source(&self, change: &FileChange) -> Option<(String, Arc<[u8]>)> {
        let (old, new) = (self.old_name(change), self.new_name(change));
        let names = match change.action {
            Action::Create => return None,
            // `x.c.orig` and `x.c`: diff(1) was given two files.
            Action::Modify => vec![new, old],
            _ => vec![old],
        };
        let contents = |path: &str| match change.action {
            // In one diff, files are moved as they were before it, in whatever
            // order; what was edited before is from an earlier diff.
            Action::Rename | Action::Copy if !self.edited.contains(path) => {
                (self.read)(path).or_else(|| self.changed.get(path).cloned().flatten())
            }
            Action::Copy => (self.read)(path),
            _ => self.current(path),
        };
        names.into_iter().find_map(|path| Some((path.to_owned(), contents(path)?)))
    }

    fn current(&self, path: &str) -> Option<Arc<[u8]>> {
        match self.changed.get(path) {
            Some(contents) => contents.clone(),
            None => (self.read)(path),
        }
    }

    /// Whether a file is in the way of a new one.
    pub fn is_taken(&self, path: &str) -> bool {
        match self.changed.get(path) {
            Some(contents) => contents.is_some(),
            None => !self.leaving.contains(path) && (self.read)(path).is_some(),
        }
    }

    /// A new file.
    pub fn write(&mut self, path: String, contents: Arc<[u8]>) {
        self.changed.insert(path, Some(contents));
    }

    /// New contents of an old one.
    pub fn edit(&mut self, path: String, contents: Arc<[u8]>) {
        self.edited.insert(path.clone());
        self.write(path, contents);
    }

    /// No such file any more, unless it is a new one that took the name.
    pub fn delete(&mut self, path: &str) {
        let is_new = self.changed.get(path).is_some_and(Option::is_some);
        if !is_new || self.edited.contains(path) || (self.read)(path).is_none() {
            self.edited.remove(path);
            self.changed.insert(path.to_owned(), None);
        }
    }

    /// All that changed, by path.
    pub fn changed(self) -> Vec<(String, Option<Arc<[u8]>>)> {
        self.changed.into_iter().collect()
    }
}

/// `a/migration/savevm.c`: `migration/savevm.c`.
fn stripped(path: &str) -> &str {
    path.split_once('/').map_or(path, |(_, rest)| rest)
}
