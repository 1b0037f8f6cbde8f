//! The words of a C file: identifiers, punctuation, strings, directives of the
//! preprocessor, each with its place. Comments and white space are left out.
//! Must not know: what a word means.

/// What a word is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Ident,
    Number,
    /// A string or a character.
    Text,
    /// From `#` to the end of the line, continued lines included.
    Directive,
    /// One byte of anything else.
    Punct(u8),
    /// Blanked by an earlier step.
    Gone,
}

/// A word and its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    pub kind: Kind,
    pub start: u32,
    pub end: u32,
}

impl Token {
    /// Its bytes.
    pub fn of<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        &text[self.start as usize..self.end as usize]
    }
}

/// Whether `byte` may be in an identifier.
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

/// All words of `text`, in order.
pub fn tokens(text: &[u8]) -> Vec<Token> {
    let mut found = Vec::with_capacity(text.len() / 6);
    let (mut at, mut fresh_line) = (0, true);
    while let Some(&byte) = text.get(at) {
        let start = at;
        let kind = match byte {
            b'\n' => {
                fresh_line = true;
                at += 1;
                continue;
            }
            b' ' | b'\t' | b'\r' | 0x0b | 0x0c => {
                at += 1;
                continue;
            }
            b'\\' if matches!(text.get(at + 1), Some(b'\n' | b'\r')) => {
                at += 2;
                continue;
            }
            b'/' if text.get(at + 1) == Some(&b'*') => {
                at = after_comment(text, at);
                continue;
            }
            b'/' if text.get(at + 1) == Some(&b'/') => {
                at = after_line(text, at);
                continue;
            }
            b'#' if fresh_line => {
                at = after_directive(text, at);
                Kind::Directive
            }
            b'"' | b'\'' => {
                at = after_string(text, at);
                Kind::Text
            }
            b'0'..=b'9' => {
                while text.get(at).is_some_and(|&b| is_word(b) || b == b'.') {
                    at += 1;
                }
                Kind::Number
            }
            _ if is_word(byte) => {
                while text.get(at).is_some_and(|&b| is_word(b)) {
                    at += 1;
                }
                Kind::Ident
            }
            _ => {
                at += 1;
                Kind::Punct(byte)
            }
        };
        fresh_line = false;
        found.push(Token { kind, start: start as u32, end: at as u32 });
    }
    found
}

/// Where the comment that begins at `at` has ended.
fn after_comment(text: &[u8], at: usize) -> usize {
    let body = at + 2;
    match text[body..].windows(2).position(|pair| pair == b"*/") {
        Some(length) => body + length + 2,
        None => text.len(),
    }
}

/// The line feed that ends the line, not continued by a backslash.
fn after_line(text: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\n' => break,
            b'\\' => at = after_escape(text, at),
            _ => at += 1,
        }
    }
    at.min(text.len())
}

/// Past a backslash and what it escapes, CR LF included.
fn after_escape(text: &[u8], at: usize) -> usize {
    match (text.get(at + 1), text.get(at + 2)) {
        (Some(b'\r'), Some(b'\n')) => at + 3,
        (Some(_), _) => at + 2,
        (None, _) => at + 1,
    }
}

/// Past the string or character at `at`; a line feed ends it too.
fn after_string(text: &[u8], at: usize) -> usize {
    let quote = text[at];
    let mut at = at + 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\n' => return at,
            b'\\' => at = after_escape(text, at),
            _ if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    at.min(text.len())
}

/// Past the directive at `at`: the line feed that ends it.
fn after_directive(text: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\n' => break,
            b'\\' => at = after_escape(text, at),
            b'/' if text.get(at + 1) == Some(&b'*') => at = after_comment(text, at),
            b'/' if text.get(at + 1) == Some(&b'/') => return after_line(text, at),
            b'"' => at = after_string(text, at),
            _ => at += 1,
        }
    }
    at.min(text.len())
}

/// Where the `/* comments */` of a directive begin and end.
pub fn comments(directive: &[u8]) -> Vec<(usize, usize)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(&byte) = directive.get(at) {
        at = match (byte, directive.get(at + 1)) {
            (b'/', Some(b'*')) => {
                let end = after_comment(directive, at);
                found.push((at, end));
                end
            }
            (b'/', Some(b'/')) => break,
            (b'"', _) => after_string(directive, at),
            _ => at + 1,
        };
    }
    found
}
