//! Text from sources and mails made fit to print: what would move the cursor,
//! break a line or hide a letter is shown as what it is, and nothing is endless.
//! Must not know: where the text goes.

use std::borrow::Cow;

/// Longest text that is shown in full.
const LONGEST: usize = 400;

/// Whether a terminal or a mail reader would do something with `letter` rather
/// than show it.
pub fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(letter, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` in one line: `\n` and the like, `\u{1b}`; the end cut off if it is
/// very long.
pub fn clean(text: &str) -> Cow<'_, str> {
    let fits = text.len() <= LONGEST || text.chars().count() <= LONGEST;
    if fits && !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for letter in text.chars().take(LONGEST) {
        match acts(letter) {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    if !fits {
        shown.push_str("...");
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_shown_and_what_is_long_is_cut() {
        assert!(matches!(clean("plain, auch mit Umlauten: \u{e4}"), Cow::Borrowed(_)));
        assert_eq!(clean("a\x1b[2Jb\r\n\tc"), "a\\u{1b}[2Jb\\r\\n\\tc");
        assert_eq!(clean("\u{202e}\u{feff}\u{9b}\0"), "\\u{202e}\\u{feff}\\u{9b}\\u{0}");
        let long = clean(&"x".repeat(1_000_000)).into_owned();
        assert_eq!((long.len(), long.ends_with("x...")), (LONGEST + 3, true));
    }
}
