//! Masks what stands in expressions: arguments that are no values, names that
//! the preprocessor would paste, parts of strings, ranges of cases.
//! Must not know: the table of macros.

use super::lex::{Kind, Token};
use super::walk::Walk;
use super::{Mark, blank, types};

impl Walk<'_> {
    /// Types among the arguments of a call.
    pub fn arguments(&mut self, open: usize) {
        if self.braces <= 0 || open == 0 || !self.is_call(open - 1) {
            return;
        }
        let Some(close) = self.close(open) else { return };
        let mut from = open + 1;
        let mut at = from;
        while at <= close {
            match self.tokens[at].kind {
                Kind::Punct(b',' | b')') => {
                    self.argument(from, at, open, close);
                    from = at + 1;
                    at += 1;
                }
                Kind::Punct(b'(') => at = self.close(at).map_or(close, |inner| inner) + 1,
                _ => at += 1,
            }
        }
    }

    /// The argument between two indices, in the parentheses `open` and `close`.
    pub fn argument(&mut self, from: usize, to: usize, open: usize, close: usize) {
        let tokens = self.tokens;
        let words = &tokens[from..to];
        let no_value = |t: &Token| matches!(t.kind, Kind::Punct(b) if !b"(){}".contains(&b));
        let alone = from == open + 1 && to == close;
        if !words.iter().all(no_value) {
            types::argument(self.text, words, self.out);
        } else if !alone {
            // `f(x, , +)`: an empty argument or an operator as one.
            let comma = if from == open + 1 { to } else { from - 1 };
            self.blank(comma, comma);
            words.iter().for_each(|t| blank(self.out, t.start as usize, t.end as usize));
        }
    }

    /// `64BX`, a name as the preprocessor pastes it: `_4BX`.
    pub fn number(&mut self, index: usize) {
        let word = self.word(index);
        let hexadecimal = word.len() > 1 && matches!(word[1], b'x' | b'X' | b'b' | b'B');
        let letter = |b: &u8| b.is_ascii_alphabetic() && !b"uUlLfFeEiI".contains(b);
        if !hexadecimal && word.iter().any(letter) {
            self.out[self.start(index)] = b'_';
        }
    }

    /// `case 0 ... 3:`: `case 0       :`.
    pub fn case(&mut self, index: usize) -> usize {
        let mut from = None;
        for at in index + 1..self.tokens.len() {
            let word = self.word(at);
            let dots = word.windows(3).position(|part| part == b"...");
            match self.tokens[at].kind {
                Kind::Punct(b':') => {
                    if let Some(from) = from {
                        blank(self.out, from, self.end(at - 1));
                        return at;
                    }
                    break;
                }
                Kind::Punct(b';' | b'{' | b'}') => break,
                Kind::Ident if word == b"case" => break,
                Kind::Number if dots.is_some() => from = dots.map(|dots| self.start(at) + dots),
                Kind::Punct(b'.') if (0..3).all(|more| self.is(at + more, b'.')) => {
                    from = from.or(Some(self.start(at)));
                }
                _ => {}
            }
        }
        index + 1
    }

    /// A macro that stands for a part of a string.
    pub fn in_text(&mut self, index: usize) -> usize {
        let end = self.close(index + 1).unwrap_or(index);
        self.blank(index, end);
        end + 1
    }

    /// `typeof(x)`: `int`.
    pub fn type_of(&mut self, index: usize) -> Option<usize> {
        let close = self.close(index + 1)?;
        self.put(index, close, b"int").then_some(close + 1)
    }

    /// `HELPER(x)`: `helper_x`.
    pub fn helper(&mut self, index: usize) -> Option<usize> {
        let close = self.close(index + 1).filter(|&close| close == index + 3)?;
        let name = self.word(index + 2);
        let (start, full) = (self.start(index), [b"helper_", name].concat());
        if self.tokens[index + 2].kind != Kind::Ident || !self.put(index, close, &full) {
            return None;
        }
        self.marks.insert(start, Mark::Helper { name: String::from_utf8_lossy(name).into() });
        Some(close + 1)
    }
}
