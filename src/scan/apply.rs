//! Patches, applied: to the contents of files, in memory. Context has to match
//! to the letter; only lines may have moved, and a tree may have the line ends
//! of Windows throughout.
//! Must not know: how a patch is read, where the tree is.

use super::overlay::Overlay;
use super::patch::{Action, FileChange, Hunk, Line, Patch};
use super::patch_error::{PatchError, shown};
use std::borrow::Cow;
use std::sync::Arc;

/// Lines compared for one file before it is given up: 0.3 s or so.
const MOST_COMPARISONS: usize = 1 << 26;

/// The files that `patch` changes, by path, sorted: their new contents, none
/// where they are deleted. `read` gives any file of the tree, not only those
/// that are scanned, as the patches before have left it. Binary files are left
/// out. A patch for other files than those of the tree that are scanned gives
/// none of these: that is for the caller to tell.
#[allow(clippy::type_complexity)]
pub fn apply(
    patch: &Patch,
    read: &dyn Fn(&str) -> Option<Arc<[u8]>>,
) -> Result<Vec<(String, Option<Arc<[u8]>>)>, PatchError> {
    let mut overlay = Overlay::new(patch, read);
    for change in patch.changes.iter().filter(|change| !change.opaque) {
        let found = overlay.source(change);
        let (path, old) = match &found {
            Some((path, old)) => (path.as_str(), old.clone()),
            None if change.action == Action::Create || creates(change) => {
                (overlay.new_name(change), Arc::default())
            }
            None => {
                let message = format!("{} is not in the tree", overlay.old_name(change));
                let help = "paths are tried with and without their first part; \
                            is it the right tree, are patches missing before?";
                return Err(PatchError::does_not_apply(message, &change.place, help));
            }
        };
        let new = splice(&old, &change.hunks).map_err(|misfit| misfit.error(path, &old, change))?;
        let there = |message: String, help: &str| {
            Err(PatchError::does_not_apply(message, &change.place, help))
        };
        match change.action {
            Action::Create | Action::Rename | Action::Copy => {
                let target = overlay.new_name(change).to_owned();
                if overlay.is_taken(&target) {
                    let message = format!("{target} is in the tree already");
                    return there(message, "the tree may have the patch, or a later one, already");
                }
                if change.action == Action::Rename {
                    overlay.delete(path);
                }
                overlay.write(target, new.into());
            }
            Action::Delete if !new.is_empty() => {
                let left = shown(new.split_inclusive(|byte| *byte == b'\n').next().unwrap_or(&[]));
                let message = format!("{path} has lines that the patch does not delete: `{left}`");
                return there(message, "the patch is for another version of the tree");
            }
            Action::Delete => overlay.delete(path),
            Action::Modify => overlay.edit(path.to_owned(), new.into()),
        }
    }
    Ok(overlay.changed())
}

/// diff(1) has no other word for a new file.
fn creates(change: &FileChange) -> bool {
    matches!(&change.hunks[..], [only] if only.old_start == 0 && only.before().next().is_none())
}

/// Why a hunk does not fit.
struct Misfit {
    hunk: usize,
    /// Among the lines that the tree must have: the first that it has not.
    line: usize,
    /// The tree's line there.
    at: usize,
    why: &'static str,
}

impl Misfit {
    fn error(&self, path: &str, old: &[u8], change: &FileChange) -> PatchError {
        let hunk = &change.hunks[self.hunk];
        let is_old = |line: &&(usize, &Line)| !matches!(line.1, Line::Insert(_));
        let lines: Vec<(usize, &Line)> = hunk.lines.iter().enumerate().collect();
        let expected = lines.iter().filter(is_old).nth(self.line);
        let number = hunk.first_line + expected.map_or(0, |(nth, _)| *nth);
        let wanted = hunk.before().nth(self.line).map_or("no more lines".into(), quoted);
        let tree = old.split_inclusive(|byte| *byte == b'\n').nth(self.at);
        let has = tree.map_or("the end of the file".into(), quoted);
        let line = self.at + 1;
        let message = format!(
            "the hunk {} does not fit {path}: {}\n  line {number} of the patch: {wanted}\n  \
             {path}:{line} has: {has}",
            hunk.header, self.why
        );
        let reversed = Hunk { lines: hunk.lines.iter().map(reverse).collect(), ..hunk.clone() };
        let help = match splice(old, &[reversed]) {
            Ok(_) => "the tree seems to have this change already",
            Err(_) => "the patch is for another version of the tree, or needs one before it",
        };
        PatchError::does_not_apply(message, format!("{}:{number}", hunk.file), help)
    }
}

fn quoted(line: &[u8]) -> String {
    let end = if line.ends_with(b"\n") { "" } else { ", without a line end" };
    format!("`{}`{end}", shown(line))
}

fn reverse(line: &Line) -> Line {
    match line.clone() {
        Line::Context(text) => Line::Context(text),
        Line::Delete(text) => Line::Insert(text),
        Line::Insert(text) => Line::Delete(text),
    }
}

/// `old` with `hunks` applied, one after the other.
fn splice(old: &[u8], hunks: &[Hunk]) -> Result<Vec<u8>, Misfit> {
    let image: Vec<&[u8]> = old.split_inclusive(|byte| *byte == b'\n').collect();
    let hunks = with_line_ends(&image, hunks);
    let mut new: Vec<u8> = Vec::with_capacity(old.len());
    // Lines that are done, how far the last hunk had moved, comparisons left.
    let (mut done, mut moved, mut left) = (0, 0_i64, MOST_COMPARISONS);
    for (nth, hunk) in hunks.iter().enumerate() {
        let before: Vec<&[u8]> = hunk.before().collect();
        let after: Vec<&[u8]> = hunk.after().collect();
        let start = hunk.old_start.saturating_sub(usize::from(!before.is_empty()));
        let start = i64::try_from(start).unwrap_or(i64::MAX);
        let place = Place::of(hunk, &before, &after, done..image.len());
        let expected = start.saturating_add(moved);
        let misfit = |(line, at, why)| Misfit { hunk: nth, line, at, why };
        let at = place.find(&image, &before, expected, &mut left).map_err(misfit)?;
        moved = i64::try_from(at).unwrap_or(i64::MAX).saturating_sub(start);
        new.extend(image[done..at].concat());
        new.extend(after.concat());
        done = at + before.len();
    }
    new.extend(image[done..].concat());
    Ok(new)
}

/// Where a hunk may go.
enum Place {
    /// Anywhere from the first to the last, the nearest first.
    Between(usize, usize),
    /// It has no context: only where it says, and not before the first.
    There(usize),
    Nowhere(&'static str, usize),
}

impl Place {
    fn of(hunk: &Hunk, before: &[&[u8]], after: &[&[u8]], left: std::ops::Range<usize>) -> Place {
        let is_context = |line: &Line| matches!(line, Line::Context(_));
        let Some(last) = left.end.checked_sub(before.len()).filter(|last| *last >= left.start)
        else {
            return Place::Nowhere("the file is too short", left.start);
        };
        // A side without context is an edge of the file.
        let at_start = hunk.old_start <= 1 && !hunk.lines.first().is_some_and(is_context);
        let at_end = !hunk.lines.last().is_some_and(is_context);
        let open = after.last().is_some_and(|line| !line.ends_with(b"\n"));
        if !hunk.lines.iter().any(is_context) {
            return match before.is_empty() && left.end > 0 {
                true => Place::Nowhere("it has no context that shows where it belongs", left.end),
                false => Place::There(left.start),
            };
        }
        match (at_start, at_end || open) {
            (true, _) if left.start > 0 => {
                Place::Nowhere("it is for the start of the file", left.start)
            }
            (true, true) if last > 0 => Place::Nowhere("it is for the whole file", left.start),
            (true, _) => Place::Between(0, 0),
            (false, true) => Place::Between(last, last),
            (false, false) => Place::Between(left.start, last),
        }
    }

    /// The line of `image` that it goes to; else the line that does not match,
    /// the tree's, and why, at the place that matches best.
    fn find(
        &self,
        image: &[&[u8]],
        before: &[&[u8]],
        expected: i64,
        left: &mut usize,
    ) -> Result<usize, (usize, usize, &'static str)> {
        let clamp = |low: usize, high: usize| {
            usize::try_from(expected.max(0)).unwrap_or(usize::MAX).clamp(low, high)
        };
        let (first, last) = match self {
            Place::Between(first, last) => (*first, *last),
            Place::There(first) => {
                let at = clamp(*first, image.len());
                if i64::try_from(at).ok() != Some(expected) && !image.is_empty() {
                    return Err((0, at, "it has no context, and its place is not there"));
                }
                (at, at)
            }
            Place::Nowhere(why, at) => {
                let same = matching(&image[*at..], before);
                return Err((same, at + same, why));
            }
        };
        let from = clamp(first, last);
        let mut best = (0, from);
        let mut same = |at: usize| {
            let same = matching(&image[at..], before);
            *left = left.saturating_sub(same + 1);
            if same > best.0 {
                best = (same, at);
            }
            (same == before.len(), *left > 0)
        };
        for distance in 0..=(from - first).max(last - from) {
            let forward = from.checked_add(distance).filter(|at| *at <= last);
            let backward = from.checked_sub(distance).filter(|at| *at >= first && distance > 0);
            for at in [forward, backward].into_iter().flatten() {
                match same(at) {
                    (true, _) => return Ok(at),
                    (false, true) => {}
                    (false, false) => {
                        return Err((0, from, "looking for its place takes too long"));
                    }
                }
            }
        }
        Err((best.0, best.1 + best.0, "the lines differ"))
    }
}

/// How many lines match before the first that does not.
fn matching(image: &[&[u8]], before: &[&[u8]]) -> usize {
    image.iter().zip(before).take_while(|(one, two)| one == two).count()
}

/// The hunks with the line ends of the file, where each has one kind throughout.
fn with_line_ends<'a>(image: &[&[u8]], hunks: &'a [Hunk]) -> Cow<'a, [Hunk]> {
    let windows = |line: &[u8]| line.ends_with(b"\r\n");
    let has_end = |line: &[u8]| line.ends_with(b"\n");
    let text = |line: &'a Line| match line {
        Line::Context(text) | Line::Delete(text) | Line::Insert(text) => &text[..],
    };
    let mut ours = image.iter().filter(|line| has_end(line)).map(|line| windows(line));
    let Some(wanted) = ours.next() else { return Cow::Borrowed(hunks) };
    let lines = || hunks.iter().flat_map(|hunk| &hunk.lines).map(text).filter(|line| has_end(line));
    if !ours.all(|kind| kind == wanted) || lines().any(|line| windows(line) == wanted) {
        return Cow::Borrowed(hunks);
    }
    let converted = |text: &[u8]| match (text.strip_suffix(b"\n"), text.strip_suffix(b"\r\n")) {
        (Some(text), _) if wanted => [text, b"\r\n"].concat(),
        (_, Some(text)) => [text, b"\n"].concat(),
        _ => text.to_vec(),
    };
    let line = |line: &Line| match line {
        Line::Context(text) => Line::Context(converted(text)),
        Line::Delete(text) => Line::Delete(converted(text)),
        Line::Insert(text) => Line::Insert(converted(text)),
    };
    let hunk = |hunk: &Hunk| Hunk { lines: hunk.lines.iter().map(line).collect(), ..hunk.clone() };
    hunks.iter().map(hunk).collect()
}
