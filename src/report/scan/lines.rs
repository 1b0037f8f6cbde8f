//! Lines of the scanned sources, fit to print, with what is meant in them.
//! Must not know: where the sources are.

use super::Source;
use super::clean::acts;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Widest line that is shown in full.
const WIDEST: usize = 120;

/// A source with where its lines begin.
struct Text {
    bytes: Arc<[u8]>,
    starts: Vec<usize>,
}

/// The lines of all sources; each is read once.
pub struct Lines<'a> {
    source: &'a Source<'a>,
    read: RefCell<HashMap<String, Option<Text>>>,
}

impl<'a> Lines<'a> {
    /// The lines of what `source` gives.
    pub fn new(source: &'a Source<'a>) -> Lines<'a> {
        Lines { source, read: RefCell::default() }
    }

    /// Calls `look` with the bytes of a line, without its end, if there is one.
    fn with<T>(&self, path: &str, line: u32, look: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let mut read = self.read.borrow_mut();
        let text = read.entry(path.into()).or_insert_with(|| {
            let bytes = (self.source)(path)?;
            let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
            Some(Text { bytes, starts })
        });
        let text = text.as_ref()?;
        let at = line.checked_sub(1)? as usize;
        let start = *text.starts.get(at)?;
        let end = text.starts.get(at + 1).map_or(text.bytes.len(), |next| next - 1);
        let bytes = &text.bytes[start..end];
        look(bytes.strip_suffix(b"\r").unwrap_or(bytes))
    }

    /// The line's text, and what of it begins at the 1-based byte `column`: the
    /// expression that is called, or all of it. None if that is beyond what fits.
    pub fn line(&self, path: &str, line: u32, column: u32) -> Option<(String, Range<usize>)> {
        self.with(path, line, |bytes| {
            // Enough for what is shown, however long the line is.
            let bytes = &bytes[..bytes.len().min(4 * WIDEST + 4)];
            let start = match column.checked_sub(1) {
                Some(start) => start as usize,
                None => bytes.iter().position(|byte| !byte.is_ascii_whitespace())?,
            };
            let (before, rest) = bytes.split_at_checked(start)?;
            let meant = if column == 0 { rest.trim_ascii_end().len() } else { expression(rest) };
            // At least one letter, so that something is underlined.
            let (meant, behind) = rest.split_at(meant.max(1).min(rest.len()));
            let (before, meant, behind) = (printable(before), printable(meant), printable(behind));
            let span = before.len()..before.len() + meant.len();
            let whole = before + &meant + &behind;
            if whole.chars().count() <= WIDEST {
                return (!meant.is_empty()).then_some((whole, span));
            }
            let cut: String = whole.chars().take(WIDEST).collect();
            let shown = span.start < cut.len();
            let span = span.start..span.end.min(cut.len());
            shown.then(|| (cut + "...", span))
        })
    }

    /// The 1-based column in letters of the byte at the 1-based `column`.
    pub fn letters(&self, path: &str, line: u32, column: u32) -> u32 {
        let column = column.max(1);
        let count = |bytes: &[u8]| {
            let before = bytes.get(..column as usize - 1)?;
            Some(String::from_utf8_lossy(before).chars().count() as u32 + 1)
        };
        self.with(path, line, count).unwrap_or(column)
    }
}

/// How long the expression is that `bytes` begin with: `se->ops->load_state`.
fn expression(bytes: &[u8]) -> usize {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.".contains(&byte);
    let mut at = 0;
    while at < bytes.len() {
        match &bytes[at..] {
            [byte, ..] if name(*byte) => at += 1,
            [b'-', b'>', ..] => at += 2,
            _ => break,
        }
    }
    at
}

/// `bytes` as text in which each letter takes one place, tabs apart.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let shown = |letter: char| if letter != '\t' && acts(letter) { '\u{fffd}' } else { letter };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &[u8], line: u32, column: u32) -> Option<(String, String)> {
        let source = |path: &str| (path == "a.c").then(|| Arc::from(text));
        let (text, span) = Lines::new(&source).line("a.c", line, column)?;
        let meant = text[span].to_string();
        Some((text, meant))
    }

    #[test]
    fn what_is_meant_is_found_in_its_line() {
        let text = b"int f(void)\r\n    se->ops->load_cleanup(se->opaque);\n\nx";
        let meant = |at, column| line(text, at, column).map(|(_, meant)| meant);
        assert_eq!(meant(2, 5).as_deref(), Some("se->ops->load_cleanup"));
        assert_eq!(meant(2, 26).as_deref(), Some("("));
        assert_eq!(meant(2, 0).as_deref(), Some("se->ops->load_cleanup(se->opaque);"));
        assert_eq!(meant(1, 0).as_deref(), Some("int f(void)"));
        assert_eq!(meant(4, 1).as_deref(), Some("x"));
        for (at, column) in [(0, 1), (3, 0), (3, 1), (4, 2), (4, 9), (5, 1), (u32::MAX, u32::MAX)] {
            assert_eq!(meant(at, column), None, "{at}:{column}");
        }
    }

    #[test]
    fn a_hostile_line_is_shown_as_it_can_be() {
        let (text, meant) = line(b"a\x1b[2J\xff\xfe f(x);", 1, 9).expect("there is a line");
        assert_eq!((text.as_str(), meant.as_str()), ("a\u{fffd}[2J\u{fffd}\u{fffd} f(x);", "f"));
        let mut long = b"f(".to_vec();
        long.resize(10_000_000, b'x');
        let (text, meant) = line(&long, 1, 1).expect("its beginning is shown");
        assert_eq!((text.len(), meant.as_str()), (WIDEST + 3, "f"));
        assert_eq!(line(&long, 1, 9_000_000), None);
        // A column inside of a letter.
        assert!(line("\u{e4}".repeat(300).as_bytes(), 1, 2).is_some());
    }

    #[test]
    fn columns_count_letters() {
        let source = |_: &str| Some(Arc::from("/* \u{e4}\u{f6} */ f();".as_bytes()));
        let lines = Lines::new(&source);
        assert_eq!(lines.letters("a.c", 1, 12), 10);
        assert_eq!(lines.letters("a.c", 1, 0), 1);
        assert_eq!(lines.letters("a.c", 9, 7), 7);
    }
}
