//! The text of a diff by lines: where its files begin, and whether all of it was
//! read. What looks like a part of a diff and belongs to none is an error, for
//! the patch would be shorter than it was meant.
//! Must not know: how a hunk is read, mails, the tree.

use super::patch::{FileChange, Line};
use super::patch_error::{PatchError, shown};
use std::borrow::Cow;
use std::ops::Range;

/// Longer names no system has; git's header is read in quadratic time.
const LONGEST_HEADER: usize = 8192;

/// After the last line of a file that ends without a newline.
const MARK: &[u8] = b"\\ No newline at end of file";

const WHOLE: &str = "make the patch again, or fetch it again: this one is cut short or edited";

/// A text with diffs in it.
pub struct DiffText<'a> {
    text: &'a [u8],
    lines: Vec<&'a [u8]>,
    /// Where each line starts.
    starts: Vec<usize>,
    name: &'a str,
    first: usize,
    added: &'a [usize],
    git: bool,
}

/// `bytes` with the line ends of Unix, if all have those of Windows.
pub fn unix(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').peekable();
    let windows = |line: &[u8]| line.ends_with(b"\r\n") || !line.ends_with(b"\n");
    let none = !lines.peek().is_some_and(|line| line.ends_with(b"\r\n"));
    if none || !lines.all(windows) {
        return Cow::Borrowed(bytes);
    }
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let unix = lines.map(|line| match line.strip_suffix(b"\r\n") {
        Some(text) => [text, b"\n"].concat(),
        None => line.to_vec(),
    });
    Cow::Owned(unix.flatten().collect())
}

/// A text, ready to be read, with the lines that were added to it.
pub struct Prepared<'a> {
    text: Cow<'a, [u8]>,
    added: Vec<usize>,
}

impl<'a> Prepared<'a> {
    /// `bytes` with an empty line after a hunk at the end of a file, if what
    /// follows begins with `-`, as the next file does and a signature: diffy
    /// 0.5.2 takes that for a line of the hunk.
    pub fn new(bytes: &'a [u8]) -> Prepared<'a> {
        let mut text = Vec::new();
        let (mut added, mut copied, mut offset) = (Vec::new(), 0, 0);
        let (mut last, mut ended) = (b'@', false);
        for (nth, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let first = line[0];
            if ended && first == b'-' {
                text.extend_from_slice(&bytes[copied..offset]);
                text.push(b'\n');
                added.push(nth + added.len());
                (copied, ended) = (offset, false);
            }
            ended |= last == b'-' && line.starts_with(MARK);
            ended &= first != b'@';
            (last, offset) = (first, offset + line.len());
        }
        if added.is_empty() {
            return Prepared { text: Cow::Borrowed(bytes), added };
        }
        text.extend_from_slice(&bytes[copied..]);
        Prepared { text: Cow::Owned(text), added }
    }
}

impl<'a> DiffText<'a> {
    /// `text` is from line `first`, counted from 0, of what is called `name`.
    pub fn new(text: &'a Prepared, name: &'a str, first: usize) -> DiffText<'a> {
        let (text, added) = (&text.text[..], &text.added[..]);
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let starts = lines.iter().scan(0, |next, line| {
            *next += line.len();
            Some(*next - line.len())
        });
        let starts = starts.collect();
        let git = lines.iter().any(|line| line.starts_with(b"diff --git "));
        DiffText { text, lines, starts, name, first, added, git }
    }

    pub fn name(&self) -> &str {
        self.name
    }

    /// Whether its files begin with `diff --git`.
    pub fn is_git(&self) -> bool {
        self.git
    }

    /// The lines of each file; of a plain diff, those of all files. None, if
    /// there is no diff.
    pub fn sections(&self) -> Result<Option<Vec<Range<usize>>>, PatchError> {
        let count = self.lines.len();
        let begins = |line: &usize| match self.git {
            true => self.lines[*line].starts_with(b"diff --git "),
            false => {
                let at = |nth: usize| self.lines.get(line + nth);
                self.lines[*line].starts_with(b"--- ")
                    && at(1).is_some_and(|next| next.starts_with(b"+++ "))
                    && at(2).is_none_or(|next| next.starts_with(b"@@"))
            }
        };
        let mut starts = (0..count).filter(begins).peekable();
        let first = starts.peek().copied();
        self.require_no_hunks(0..first.unwrap_or(count))?;
        let Some(first) = first else { return Ok(None) };
        let starts: Vec<usize> = if self.git { starts.collect() } else { vec![first] };
        if let Some(long) = starts.iter().find(|line| self.lines[**line].len() > LONGEST_HEADER) {
            return Err(self.malformed(*long, "the line is too long to name two files"));
        }
        let ends = starts.iter().skip(1).copied().chain([count]);
        Ok(Some(starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()))
    }

    pub fn bytes(&self, lines: Range<usize>) -> &'a [u8] {
        let at = |line: usize| self.starts.get(line).copied().unwrap_or(self.text.len());
        &self.text[at(lines.start)..at(lines.end)]
    }

    /// The line that a slice of the text is on.
    pub fn line_of(&self, slice: &[u8]) -> usize {
        let offset = (slice.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        self.starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    pub fn is_hunk(&self, line: usize) -> bool {
        self.lines[line].starts_with(b"@@")
    }

    /// The line, to be quoted.
    pub fn quote(&self, line: usize) -> String {
        self.lines.get(line).map_or(String::new(), |line| shown(line))
    }

    /// As the user counts, in the whole file.
    pub fn number(&self, line: usize) -> usize {
        self.first + line + 1 - self.added.partition_point(|added| *added < line)
    }

    pub fn place(&self, line: usize) -> String {
        format!("{}:{}", self.name, self.number(line))
    }

    pub fn malformed(&self, line: usize, message: &str) -> PatchError {
        PatchError::malformed(message, self.place(line), WHOLE)
    }

    /// A path that stays in the tree.
    pub fn path(&self, line: usize, path: &[u8]) -> Result<String, PatchError> {
        let refuse = |why: &str| {
            let message = format!("the path `{}` {why}", shown(path));
            let help = "paths are to be relative to the tree, as git writes them";
            Err(PatchError::malformed(message, self.place(line), help))
        };
        let Ok(text) = std::str::from_utf8(path) else { return refuse("is not UTF-8") };
        if text.chars().any(char::is_control) {
            return refuse("has control characters");
        }
        let parts: Vec<&str> = text.split('/').filter(|part| *part != ".").collect();
        if parts.is_empty() || parts.contains(&"") || parts.contains(&"..") {
            return refuse("leads out of the tree");
        }
        Ok(parts.join("/"))
    }

    /// The line after a hunk that ends with line `last`.
    pub fn after_hunk(&self, last: usize) -> Result<usize, PatchError> {
        if !self.lines[last].ends_with(b"\n") {
            return Err(self.malformed(last, "the patch ends within a line"));
        }
        let marked = self.lines.get(last + 1).is_some_and(|line| line.starts_with(MARK));
        Ok(last + 1 + usize::from(marked))
    }

    /// The line after git's header.
    pub fn after_header(&self, start: usize) -> usize {
        const WORDS: [&str; 8] = [
            "index ",
            "similarity ",
            "dissimilarity ",
            "rename ",
            "copy ",
            "old mode ",
            "new ",
            "deleted ",
        ];
        let is_header = |line: &&[u8]| WORDS.iter().any(|word| line.starts_with(word.as_bytes()));
        let rest = self.lines.get(start + 1..).unwrap_or_default();
        start + 1 + rest.iter().take_while(|line| is_header(line)).count()
    }

    /// What a line of git's header says.
    fn header(&self, start: usize, word: &str) -> Option<&[u8]> {
        let lines = &self.lines[start..self.after_header(start)];
        let line = lines.iter().find_map(|line| line.strip_prefix(word.as_bytes()));
        line.map(|line| line.trim_ascii_end())
    }

    /// Whether it is about a submodule or a symbolic link.
    pub fn is_link(&self, start: usize) -> bool {
        let is_link = |index: &[u8]| index.ends_with(b" 160000") || index.ends_with(b" 120000");
        self.header(start, "index ").is_some_and(is_link)
    }

    /// A header without hunks says all that there is to say.
    pub fn require_whole_header(&self, lines: Range<usize>) -> Result<(), PatchError> {
        let (start, last) = (lines.start, lines.end - 1);
        let has = |word| self.header(start, word).is_some();
        let both = |one, two| has(one) && has(two);
        let is_empty = |index: &[u8]| {
            let blobs: Vec<&[u8]> = index.split(|byte| *byte == b'.').collect();
            blobs.iter().any(|blob| blob.starts_with(b"e69de29") || blob.starts_with(b"473a0f4"))
        };
        let moved = both("rename from ", "rename to ") || both("copy from ", "copy to ");
        let whole = if has("similarity index ") || has("rename ") || has("copy ") {
            moved && self.header(start, "similarity index ") == Some(b"100%")
        } else if has("new file mode ") || has("deleted file mode ") {
            self.header(start, "index ").is_some_and(is_empty)
        } else {
            both("old mode ", "new mode ") && !has("index ")
        };
        let next = self.lines.get(lines.end);
        let named = next.is_some_and(|line| line.starts_with(b"--- ") || line.starts_with(b"+++ "));
        match self.git && whole && !named && self.lines[last].ends_with(b"\n") {
            true => Ok(()),
            false => Err(self.malformed(start, "the file has no hunks")),
        }
    }

    fn require_no_hunks(&self, lines: Range<usize>) -> Result<(), PatchError> {
        match lines.into_iter().find(|line| self.is_hunk(*line)) {
            Some(line) => {
                let message = format!("the hunk belongs to no file: `{}`", self.quote(line));
                Err(self.malformed(line, &message))
            }
            None => Ok(()),
        }
    }

    /// `lines` follow a hunk or a header and are not part of it.
    pub fn require_nothing_left(&self, lines: Range<usize>) -> Result<(), PatchError> {
        self.require_no_hunks(lines.clone())?;
        let Some(line) = self.lines.get(lines.start).filter(|_| !lines.is_empty()) else {
            return Ok(());
        };
        // A mail's signature, the next file.
        let known = line.trim_ascii() == b"--" || !self.git && line.starts_with(b"--- ");
        let is_body = matches!(line.first(), Some(b' ' | b'+' | b'-' | b'\\'));
        if !is_body || known || line.trim_ascii().is_empty() {
            return Ok(());
        }
        Err(self.malformed(lines.start, "the hunk has more lines than its header says"))
    }

    /// The text does not stop where something was about to begin. `end` is the
    /// line after the section's last hunk.
    pub fn require_end(
        &self,
        section: Range<usize>,
        end: Option<usize>,
        last: bool,
    ) -> Result<(), PatchError> {
        let rest = &self.lines[end.unwrap_or(section.start)..section.end];
        let Some(line) = rest.last().filter(|_| last) else { return Ok(()) };
        const BEGINNINGS: [&str; 5] = ["diff --git ", "@@ -", "--- a/", "+++ b/", "From "];
        let begins =
            |word: &&str| word.as_bytes().starts_with(line) || line.starts_with(word.as_bytes());
        let cut = !line.ends_with(b"\n") && BEGINNINGS.iter().any(begins);
        let named = rest.iter().rev().find(|line| !line.trim_ascii().is_empty());
        let named = named.is_some_and(|line| {
            line.starts_with(b"diff -")
                || line.starts_with(b"Index: ")
                || line.starts_with(b"=====")
        });
        match cut || named && end.is_some_and(|end| end > section.start) {
            true => {
                Err(self.malformed(section.end - 1, "the patch ends where a part of it begins"))
            }
            false => Ok(()),
        }
    }

    /// The diff is as long as the mail says: ` 2 files changed, 3 insertions(+)`.
    pub fn require_stat(&self, changes: &[FileChange]) -> Result<(), PatchError> {
        let before = self.sections()?.map_or(0, |sections| sections[0].start);
        let stats = (0..before).rev().find_map(|line| Some((line, stat(self.lines[line])?)));
        let Some((at, [files, insertions, deletions])) = stats else { return Ok(()) };
        let lines = || changes.iter().flat_map(|change| &change.hunks).flat_map(|hunk| &hunk.lines);
        let inserted = lines().filter(|line| matches!(line, Line::Insert(_))).count();
        let deleted = lines().filter(|line| matches!(line, Line::Delete(_))).count();
        if changes.len() >= files && inserted >= insertions && deleted >= deletions {
            return Ok(());
        }
        let message = format!(
            "the diff is shorter than it says: {} files, +{inserted}, -{deleted}, not `{}`",
            changes.len(),
            self.quote(at).trim()
        );
        let help = "if it was edited by hand and is whole, take that line out";
        Err(PatchError::malformed(message, self.place(at), help))
    }
}

/// Files, insertions and deletions of git's summary.
fn stat(line: &[u8]) -> Option<[usize; 3]> {
    let text = std::str::from_utf8(line).ok()?.trim();
    let mut counts = [0; 3];
    for (nth, part) in text.split(", ").enumerate() {
        let (number, what) = part.split_once(' ')?;
        let index = match what {
            "file changed" | "files changed" => 0,
            "insertion(+)" | "insertions(+)" => 1,
            "deletion(-)" | "deletions(-)" => 2,
            _ => return None,
        };
        if (index == 0) != (nth == 0) {
            return None;
        }
        counts[index] = number.parse().ok()?;
    }
    Some(counts)
}
