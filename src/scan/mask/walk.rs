//! A walk through the words of a file: what stands where, what may begin there,
//! and how a word is overwritten.
//! Must not know: which macros there are, what is done with them.

use super::lex::{Kind, Token};
use super::{Mark, blank, word_at};
use std::collections::BTreeMap;

const NONE: u32 = u32::MAX;

/// A walk through the words of a file.
pub struct Walk<'a> {
    pub text: &'a [u8],
    pub tokens: &'a [Token],
    /// For each `(`, the index of its `)`.
    pub closes: Vec<u32>,
    pub out: &'a mut [u8],
    pub marks: &'a mut BTreeMap<usize, Mark>,
    pub braces: i64,
    pub parens: i64,
    /// The index behind the last macro that was blanked: a statement may begin.
    pub fresh: usize,
}

/// Which `)` closes which `(`.
pub fn closes(tokens: &[Token]) -> Vec<u32> {
    let mut closes = vec![NONE; tokens.len()];
    let mut open = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Punct(b'(') => open.push(index),
            Kind::Punct(b')') => {
                if let Some(begin) = open.pop() {
                    closes[begin] = index as u32;
                }
            }
            _ => {}
        }
    }
    closes
}

impl<'a> Walk<'a> {
    /// Whether a statement or declaration begins with the word at `index`.
    pub fn begins(&self, index: usize) -> bool {
        if index == self.fresh {
            return true;
        }
        let before = index - 1;
        match self.tokens[before].kind {
            Kind::Punct(b';' | b'{' | b'}' | b':') => true,
            // At file scope, after a macro without a semicolon.
            Kind::Punct(b')') => self.braces == 0 && self.new_line(before),
            _ => false,
        }
    }

    pub fn word(&self, index: usize) -> &'a [u8] {
        word_at(self.text, self.tokens, index)
    }

    pub fn is(&self, index: usize, byte: u8) -> bool {
        self.tokens.get(index).is_some_and(|token| token.kind == Kind::Punct(byte))
    }

    pub fn start(&self, index: usize) -> usize {
        self.tokens.get(index).map_or(self.text.len(), |token| token.start as usize)
    }

    pub fn end(&self, index: usize) -> usize {
        self.tokens[index].end as usize
    }

    /// The index of the parenthesis that closes the one at `open`.
    pub fn close(&self, open: usize) -> Option<usize> {
        let close = *self.closes.get(open)?;
        (close != NONE).then_some(close as usize)
    }

    /// Whether the word after `index` is on another line.
    pub fn new_line(&self, index: usize) -> bool {
        let next = self.start(index + 1);
        self.text[self.end(index)..next].contains(&b'\n')
    }

    pub fn capital(&self, index: usize) -> bool {
        let word = self.word(index);
        !word.is_empty() && !word.iter().any(u8::is_ascii_lowercase)
    }

    /// What stands between the parentheses.
    pub fn between(&self, open: usize, close: usize) -> String {
        String::from_utf8_lossy(&self.text[self.end(open)..self.start(close)]).trim().to_owned()
    }

    /// Puts `new` in place of the words from one index to another, if it fits on
    /// their first line.
    pub fn put(&mut self, from: usize, to: usize, new: &[u8]) -> bool {
        let (start, end) = (self.start(from), self.end(to));
        let room = start..start + new.len();
        let fits = room.end <= end && !self.text[room.clone()].contains(&b'\n');
        if fits {
            blank(self.out, start, end);
            self.out[room].copy_from_slice(new);
        }
        fits
    }

    pub fn blank(&mut self, from: usize, to: usize) {
        blank(self.out, self.start(from), self.end(to));
    }

    /// Whether the name at `index` may be what is called.
    pub fn is_call(&self, index: usize) -> bool {
        let word = self.word(index);
        let name = self.tokens[index].kind == Kind::Ident && !keyword(word);
        let declared = index > 0
            && match self.tokens[index - 1].kind {
                Kind::Ident => !keyword(self.word(index - 1)),
                _ => false,
            };
        name && !declared
    }

    /// Whether it is an attribute that the table does not know: `void ATTR f(`.
    pub fn is_attribute(&self, index: usize) -> bool {
        let typed = |at: usize| match self.tokens[at].kind {
            Kind::Punct(b'*') => true,
            Kind::Ident => !matches!(
                self.word(at),
                b"static"
                    | b"inline"
                    | b"extern"
                    | b"const"
                    | b"struct"
                    | b"union"
                    | b"enum"
                    | b"typedef"
                    | b"volatile"
                    | b"unsigned"
                    | b"signed"
            ),
            _ => false,
        };
        self.braces == 0
            && self.parens == 0
            && index > 0
            && typed(index - 1)
            && self.capital(index)
            && self.tokens.get(index + 1).is_some_and(|t| t.kind == Kind::Ident)
            && self.is(index + 2, b'(')
    }

    /// Whether the name, or the call that it begins, touches a string.
    pub fn beside_text(&self, index: usize) -> bool {
        if matches!(
            self.word(index),
            b"return"
                | b"case"
                | b"else"
                | b"extern"
                | b"L"
                | b"u8"
                | b"u"
                | b"U"
                | b"asm"
                | b"__asm__"
                | b"volatile"
                | b"__volatile__"
                | b"sizeof"
                | b"_Static_assert"
                | b"goto"
                | b"if"
                | b"while"
                | b"for"
                | b"switch"
                | b"do"
        ) {
            return false;
        }
        let text = |at: usize| self.tokens.get(at).is_some_and(|t| t.kind == Kind::Text);
        let mut after = self.close(index + 1).map_or(index + 1, |close| close + 1);
        // Several such macros in a row.
        while after < index + 8 && self.capital(after) && self.tokens[after].kind == Kind::Ident {
            after += 1;
        }
        let double = |at: usize| text(at) && self.out[self.start(at)] == b'"';
        index > 0 && double(index - 1) || double(after)
    }
}

/// Whether C itself gives `word` a meaning in front of a parenthesis or a name.
pub fn keyword(word: &[u8]) -> bool {
    matches!(
        word,
        b"if"
            | b"while"
            | b"for"
            | b"switch"
            | b"return"
            | b"sizeof"
            | b"else"
            | b"do"
            | b"case"
            | b"goto"
            | b"asm"
            | b"__asm__"
            | b"__asm"
            | b"_Static_assert"
            | b"defined"
            | b"__attribute__"
    )
}
