//! Patches, read: diffs of git and of diff(1), bare or in mails. The only file
//! that names diffy, which reads the hunks; this one sees to it that nothing in
//! the text that looks like a part of a patch is left out, so that a patch that
//! was cut short is not taken for a smaller one. (A bare diff that was cut
//! between two hunks is a whole diff: nothing in it tells. A mail has more: how
//! much it changes, and which of how many it is.)
//! Must not know: the tree, where the bytes come from.

pub use super::apply::apply;
use super::diff_text::{self, DiffText, Prepared};
use super::mbox;
use super::patch_error::shown;
pub use super::patch_error::{PatchError, PatchErrorKind};
use super::tree::Tree;
use diffy::patch_set::{FileMode, FileOperation, FilePatch, ParseOptions, PatchSet};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// A patch: one mail, or all diffs of a file that is no mail.
#[derive(Clone, PartialEq, Debug)]
pub struct Patch {
    /// The mail's subject, or the name that the file goes by.
    pub subject: String,
    pub message_id: Option<String>,
    /// `[PATCH 2/3]`: (2, 3).
    pub number: Option<(u32, u32)>,
    pub changes: Vec<FileChange>,
}

/// What a patch does to a file.
#[derive(Clone, PartialEq, Debug)]
pub struct FileChange {
    /// As the diff names the file before and after, `a/` and all.
    pub old: String,
    pub new: String,
    pub action: Action,
    pub hunks: Vec<Hunk>,
    /// It has no lines that could be changed: a binary file, a submodule.
    pub opaque: bool,
    /// Where it stands in the patch: `0001.patch:12`.
    pub place: String,
}

/// What becomes of a file as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Create,
    Delete,
    Modify,
    Rename,
    Copy,
}

/// Lines to be changed in one place.
#[derive(Clone, PartialEq, Debug)]
pub struct Hunk {
    /// `@@ -1,7 +1,9 @@`.
    pub header: String,
    /// The first line that it is made for, 1-based; of no lines, the one before.
    pub old_start: usize,
    pub lines: Vec<Line>,
    /// Where each line stands: `0001.patch:14` is the first one's.
    pub file: String,
    pub first_line: usize,
}

/// A line with its line end, if it has one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    Context(Vec<u8>),
    Delete(Vec<u8>),
    Insert(Vec<u8>),
}

/// The patches in `bytes`, in the order in which they are to be applied: that of
/// their numbers, if all have one, else as they come. None, if there is nothing
/// in `bytes` but white space. `name` is the file's, for subjects and errors.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Vec<Patch>, PatchError> {
    let bytes = diff_text::unix(bytes);
    if bytes.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let Some(mut mails) = mbox::mails(name, &bytes)? else {
        let changes = changes(&DiffText::new(&Prepared::new(&bytes), name, 0))?;
        if changes.is_empty() {
            return Err(no_diff(format!("{name}:1")));
        }
        let subject = name.to_owned();
        return Ok(vec![Patch { subject, message_id: None, number: None, changes }]);
    };
    let mut patches = Vec::new();
    // A thread has replies that quote its patches.
    if mails.len() > 1 {
        mails.retain(|mail| !mail.subject.to_ascii_lowercase().starts_with("re:"));
    }
    for mail in mails {
        let number = number(&mail.subject);
        if number.is_some_and(|(n, _)| n == 0) {
            continue;
        }
        let subject = shown(mail.subject.as_bytes());
        let (file, first) = match mail.first_line {
            Some(first) => (name.to_owned(), first),
            None => (format!("{name}, text of `{subject}`"), 0),
        };
        let text = diff_text::unix(&mail.text);
        let changes = changes(&DiffText::new(&Prepared::new(&text), &file, first))?;
        if changes.is_empty() {
            return Err(no_diff(format!("{file}:{}, `{subject}`", first + 1)));
        }
        let (subject, message_id) = (mail.subject, mail.message_id);
        patches.push(Patch { subject, message_id, number, changes });
    }
    if patches.is_empty() {
        return Err(no_diff(format!("{name}:1")));
    }
    in_order(name, &mut patches)?;
    Ok(patches)
}

/// What is not there of a series that says how long it is: `2/3 is missing`.
/// `patches` are those of all files together.
pub fn missing(patches: &[Patch]) -> Vec<String> {
    let numbers: BTreeSet<(u32, u32)> = patches.iter().filter_map(|patch| patch.number).collect();
    let totals: BTreeSet<u32> = numbers.iter().map(|(_, m)| *m).collect();
    let mut missing = Vec::new();
    for m in totals {
        let there: Vec<u32> = numbers.iter().filter(|of| of.1 == m).map(|of| of.0).collect();
        let mut next = 1;
        for n in there.into_iter().chain([m.saturating_add(1)]) {
            match n.saturating_sub(next) {
                0 => {}
                1 => missing.push(format!("{next}/{m} is missing")),
                _ => missing.push(format!("{next}/{m} to {}/{m} are missing", n - 1)),
            }
            next = n.saturating_add(1);
        }
    }
    missing
}

fn no_diff(place: String) -> PatchError {
    let help = "a patch is what git diff, git format-patch or b4 am writes; \
                leave out mails that have none";
    PatchError::malformed("there is no diff in it", place, help)
}

/// `[PATCH v2 1/3] migration: ...`: (1, 3).
fn number(subject: &str) -> Option<(u32, u32)> {
    let mut rest = subject.trim_start();
    while let Some((inside, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        for word in inside.split_whitespace() {
            let Some((n, m)) = word.split_once('/') else { continue };
            if let (Ok(n), Ok(m)) = (n.parse(), m.parse())
                && n <= m
            {
                return Some((n, m));
            }
        }
        rest = after.trim_start();
    }
    None
}

/// Sorts a series by its numbers, if it has them.
fn in_order(name: &str, patches: &mut [Patch]) -> Result<(), PatchError> {
    let total = patches[0].number.map(|(_, m)| m);
    if total.is_none() || patches.iter().any(|patch| patch.number.map(|(_, m)| m) != total) {
        return Ok(());
    }
    patches.sort_by_key(|patch| patch.number);
    let Some(twice) = patches.windows(2).find(|two| two[0].number == two[1].number) else {
        return Ok(());
    };
    let (n, m) = twice[0].number.unwrap_or_default();
    let message = format!("two of its mails are patch {n}/{m}");
    let help = "give one version of the series, each of its mails once";
    Err(PatchError::malformed(message, name, help))
}

/// The changes that a text describes.
fn changes(text: &DiffText) -> Result<Vec<FileChange>, PatchError> {
    let Some(sections) = text.sections()? else { return Ok(Vec::new()) };
    let mut changes = Vec::new();
    for (nth, section) in sections.iter().enumerate() {
        let bytes = text.bytes(section.clone());
        let options = match text.is_git() {
            true => ParseOptions::gitdiff(),
            false => ParseOptions::unidiff(),
        };
        let mut end: Option<usize> = None;
        for item in PatchSet::parse_bytes(bytes, options) {
            let item = item.map_err(|error| bad_hunk(text, section.clone(), &error.to_string()))?;
            let (change, first, last) = change(text, section.start, &item)?;
            if let Some(end) = end {
                text.require_nothing_left(end..first)?;
            }
            end = Some(last);
            changes.push(change);
        }
        if let Some(end) = end.filter(|_| !changes.last().is_some_and(|change| change.opaque)) {
            text.require_nothing_left(end..section.end)?;
        }
        text.require_end(section.clone(), end, nth + 1 == sections.len())?;
    }
    text.require_stat(&changes)?;
    Ok(changes)
}

/// diffy's error, at the hunk that has it.
fn bad_hunk(text: &DiffText, section: std::ops::Range<usize>, error: &str) -> PatchError {
    let mut why = error;
    while let Some((_, inner)) = why.split_once(": ").filter(|_| why.starts_with("error parsing")) {
        why = inner;
    }
    let why = shown(why.as_bytes());
    let hunks: Vec<usize> = section.clone().filter(|line| text.is_hunk(*line)).collect();
    let ends = hunks.iter().skip(1).copied().chain([section.end]);
    let bad = hunks.iter().zip(ends).find(|(start, end)| {
        let hunk = diffy::Patch::from_bytes(text.bytes(**start..*end));
        hunk.is_err()
    });
    match bad {
        Some((hunk, _)) => text.malformed(*hunk, &format!("{why}: `{}`", text.quote(*hunk))),
        None => text.malformed(section.start, &why),
    }
}

type Item<'a> = FilePatch<'a, [u8]>;

/// A change, the line on which its hunks begin and the one after them.
fn change(
    text: &DiffText,
    start: usize,
    item: &Item,
) -> Result<(FileChange, usize, usize), PatchError> {
    let path = |path: &Cow<[u8]>| text.path(start, path);
    let (action, old, new) = match item.operation() {
        FileOperation::Create(new) => (Action::Create, path(new)?, path(new)?),
        FileOperation::Delete(old) => (Action::Delete, path(old)?, path(old)?),
        FileOperation::Modify { original, modified } => {
            (Action::Modify, path(original)?, path(modified)?)
        }
        FileOperation::Rename { from, to } => (Action::Rename, path(from)?, path(to)?),
        FileOperation::Copy { from, to } => (Action::Copy, path(from)?, path(to)?),
    };
    let mode = item.new_mode().or(item.old_mode());
    let opaque = item.patch().is_binary()
        || matches!(mode, Some(FileMode::Gitlink | FileMode::Symlink))
        || text.is_git() && text.is_link(start);
    if opaque && [&old, &new].into_iter().any(|path| Tree::is_code(path)) {
        let message = format!("{new} is C, but the patch has no lines of it");
        return Err(PatchError::malformed(message, text.place(start), "git diff --text has them"));
    }
    let mut hunks = Vec::new();
    let (mut first, mut end) = (start, start);
    for hunk in item.patch().as_text().map_or(&[][..], |patch| patch.hunks()) {
        let lines: Vec<Line> = hunk.lines().iter().map(line).collect();
        // Lines are slices of the text: where they lie is where they stand.
        let slices = hunk.lines().iter().map(|line| text.line_of(slice(line)));
        let places: Vec<usize> = slices.collect();
        let (Some(at), Some(last)) = (places.first().copied(), places.last().copied()) else {
            return Err(text.malformed(start, "a hunk has no lines"));
        };
        if hunks.is_empty() {
            first = at.saturating_sub(1);
        }
        end = text.after_hunk(last)?;
        require_line_ends(text, at, &lines)?;
        let header = text.quote(at.saturating_sub(1));
        let header = header.splitn(3, "@@").take(2).collect::<Vec<_>>().join("@@") + "@@";
        let old_start = hunk.old_range().start();
        let (file, first_line) = (text.name().to_owned(), text.number(at));
        hunks.push(Hunk { header, old_start, lines, file, first_line });
    }
    if hunks.is_empty() {
        end = text.after_header(start);
        if !item.patch().is_binary() {
            text.require_whole_header(start..end)?;
        }
    }
    let place = text.place(start.max(first.saturating_sub(2)));
    Ok((FileChange { old, new, action, hunks, opaque, place }, first, end))
}

fn slice<'a>(line: &diffy::Line<'a, [u8]>) -> &'a [u8] {
    match line {
        diffy::Line::Context(text) | diffy::Line::Delete(text) | diffy::Line::Insert(text) => text,
    }
}

fn line(line: &diffy::Line<[u8]>) -> Line {
    match line {
        diffy::Line::Context(text) => Line::Context(text.to_vec()),
        diffy::Line::Delete(text) => Line::Delete(text.to_vec()),
        diffy::Line::Insert(text) => Line::Insert(text.to_vec()),
    }
}

impl Action {
    /// Whether the paths come without `a/` and `b/`.
    pub fn is_bare(self) -> bool {
        matches!(self, Action::Rename | Action::Copy)
    }
}

impl Hunk {
    /// The lines that the tree must have.
    pub fn before(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().filter_map(|line| match line {
            Line::Context(text) | Line::Delete(text) => Some(&text[..]),
            Line::Insert(_) => None,
        })
    }

    /// Those that it gets for them.
    pub fn after(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().filter_map(|line| match line {
            Line::Context(text) | Line::Insert(text) => Some(&text[..]),
            Line::Delete(_) => None,
        })
    }
}

/// Only a file's last line may be without a line end.
fn require_line_ends(text: &DiffText, at: usize, lines: &[Line]) -> Result<(), PatchError> {
    let (mut before, mut after) = (true, true);
    for line in lines {
        let (content, old, new) = match line {
            Line::Context(content) => (content, true, true),
            Line::Delete(content) => (content, true, false),
            Line::Insert(content) => (content, false, true),
        };
        if old && !before || new && !after {
            return Err(text.malformed(at - 1, "a line follows the end of the file"));
        }
        let ends = content.ends_with(b"\n");
        (before, after) = (before && (!old || ends), after && (!new || ends));
    }
    Ok(())
}
