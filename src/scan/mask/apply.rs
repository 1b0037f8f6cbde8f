//! Masks one word after the other.
//! Must not know: which macros there are.

use super::lex::{Kind, Token};
use super::table::{Rule, TABLE};
use super::walk::{Walk, closes, keyword};
use super::{Mark, word_at};
use std::collections::BTreeMap;

/// Masks `out`, which is `text` without its dead halves.
pub fn apply(text: &[u8], tokens: &[Token], out: &mut [u8], marks: &mut BTreeMap<usize, Mark>) {
    let closes = closes(tokens);
    let mut walk = Walk { text, tokens, closes, out, marks, braces: 0, parens: 0, fresh: 0 };
    let mut index = 0;
    while index < tokens.len() {
        index = walk.step(index);
    }
}

impl Walk<'_> {
    /// Masks the word at `index`; gives the index of the next to look at.
    fn step(&mut self, index: usize) -> usize {
        match self.tokens[index].kind {
            // `extern "C" {` is no block.
            Kind::Punct(b'{') if index < 2 || self.word(index - 2) != b"extern" => self.braces += 1,
            Kind::Punct(b'}') => {
                self.braces = (self.braces - 1).max(0);
                if self.braces == 0 {
                    self.parens = 0;
                }
            }
            Kind::Number => self.number(index),
            Kind::Punct(b'(') => {
                self.parens += 1;
                self.arguments(index);
            }
            Kind::Punct(b')') => self.parens -= 1,
            Kind::Ident => return self.ident(index),
            _ => {}
        }
        index + 1
    }

    /// Masks the name at `index`.
    fn ident(&mut self, index: usize) -> usize {
        let word = self.word(index);
        if let Some(next) = TABLE.rule(word).and_then(|rule| self.known(index, rule)) {
            return next;
        }
        match word {
            b"coroutine_fn" => {
                self.marks.insert(self.start(index), Mark::Coroutine);
                self.blank(index, index);
                index + 1
            }
            b"HELPER" => self.helper(index).unwrap_or(index + 1),
            b"typeof" | b"__typeof__" | b"__typeof" => self.type_of(index).unwrap_or(index + 1),
            b"case" => self.case(index),
            _ if self.is_attribute(index) => {
                self.blank(index, index);
                index + 1
            }
            _ if self.beside_text(index) => self.in_text(index),
            _ => self.unknown(index).unwrap_or(index + 1),
        }
    }

    /// Masks a macro of the table.
    fn known(&mut self, index: usize, rule: Rule) -> Option<usize> {
        let close = self.close(index + 1);
        match rule {
            Rule::Blank => {
                // `GRAPH_RDLOCK_PTR (*hook)(…)` has no arguments.
                let end = close.filter(|_| !self.is(index + 2, b'*')).unwrap_or(index);
                self.blank(index, end);
                Some(end + 1)
            }
            Rule::Pointer | Rule::Value => {
                let close = close?;
                if rule == Rule::Pointer && self.is(close + 1, b';') {
                    return self.declaration(index);
                }
                // The type is the last argument, its name the last word.
                let last = close - 1;
                if self.tokens[last].kind != Kind::Ident {
                    return None;
                }
                self.blank(index, last - 1);
                self.blank(close, close);
                if rule == Rule::Pointer {
                    self.out[self.start(close)] = b'*';
                }
                Some(close + 1)
            }
            Rule::Array => {
                let close = close.filter(|close| *close > index + 3)?;
                self.put(index, index + 1, b"long");
                self.blank(index + 3, close);
                Some(close + 1)
            }
            Rule::Call => {
                let start = self.start(index);
                let letter =
                    word_at(self.text, self.tokens, index).iter().position(|b| *b != b'_')?;
                self.out[start + letter].make_ascii_uppercase();
                Some(index + 1)
            }
            Rule::Guard(guard) => {
                let close = close?;
                let lock = self.between(index + 1, close);
                self.statement(index, close, Mark::Guard { guard, lock })
            }
            Rule::Loop => {
                let close = close?;
                let mark = Mark::Loop {
                    name: String::from_utf8_lossy(self.word(index)).into_owned(),
                    args: self.between(index + 1, close),
                };
                self.statement(index, close, mark)
            }
            Rule::Block => {
                let end = close.unwrap_or(index);
                self.blank(index, end);
                Some(end + 1)
            }
            Rule::Declares => self.declaration(index),
        }
    }

    /// Puts `for (;;)` in place of a macro with its arguments.
    fn statement(&mut self, index: usize, close: usize, mark: Mark) -> Option<usize> {
        const LOOP: &[u8] = b"for (;;)";
        let start = self.start(index);
        if self.braces <= 0 || !self.put(index, close, LOOP) {
            return None;
        }
        self.marks.insert(start, mark);
        Some(close + 1)
    }

    /// A name that is not in the table.
    fn unknown(&mut self, index: usize) -> Option<usize> {
        if !self.begins(index) {
            return None;
        }
        if self.braces == 0 {
            return self.declaration(index);
        }
        if keyword(self.word(index)) {
            return None;
        }
        let Some(close) = self.close(index + 1) else { return self.alone(index) };
        if let Some(end) = self.statements(index + 1, close) {
            // `DLOG(a(); b());`: its statements are left.
            self.blank(index, index + 1);
            self.blank(close, close);
            self.fresh = index + 2;
            self.parens += 1;
            return Some(end);
        }
        match self.tokens.get(close + 1)?.kind {
            // No statement of C looks so: a loop of somebody's own.
            Kind::Punct(b'{') => self.known(index, Rule::Loop),
            // A macro that is a statement, or several, without a semicolon.
            Kind::Ident | Kind::Punct(b'}') if self.new_line(close) && self.capital(index) => {
                self.gone(index, close)
            }
            // `CASE_OP_32_64(add):`
            Kind::Punct(b':') if self.capital(index) => {
                self.put(index, close, b"case 0").then_some(close + 1)
            }
            _ => None,
        }
    }

    /// A macro that is a whole statement, without arguments and semicolon.
    fn alone(&mut self, index: usize) -> Option<usize> {
        let next = self.tokens.get(index + 1)?;
        let more = matches!(next.kind, Kind::Ident | Kind::Punct(b'{'));
        let is = self.capital(index) && more && self.new_line(index);
        is.then(|| {
            let name = String::from_utf8_lossy(self.word(index)).into_owned();
            self.marks.insert(self.start(index), Mark::Macro { name, args: String::new() });
            self.blank(index, index);
            self.fresh = index + 1;
            index + 1
        })
    }

    /// Where to go on if there are whole statements in the parentheses.
    fn statements(&self, open: usize, close: usize) -> Option<usize> {
        let mut at = open + 1;
        while at < close {
            match self.tokens[at].kind {
                Kind::Punct(b';') => return Some(open + 1),
                Kind::Punct(b'{') => return None,
                Kind::Punct(b'(') => at = self.close(at).unwrap_or(close) + 1,
                _ => at += 1,
            }
        }
        None
    }

    /// A macro in place of a declaration.
    fn declaration(&mut self, index: usize) -> Option<usize> {
        if self.braces != 0 || self.parens != 0 || !self.begins(index) {
            return None;
        }
        let close = self.close(index + 1)?;
        match self.tokens.get(close + 1).map(|token| token.kind) {
            Some(Kind::Punct(b';')) => {
                self.gone(index, close);
                self.blank(close + 1, close + 1);
                self.fresh = close + 2;
                Some(close + 2)
            }
            None | Some(Kind::Ident) if self.new_line(close) => self.gone(index, close),
            _ => None,
        }
    }

    /// Blanks a macro and its arguments and remembers it.
    fn gone(&mut self, index: usize, close: usize) -> Option<usize> {
        let name = String::from_utf8_lossy(self.word(index)).into_owned();
        let args = self.between(index + 1, close);
        self.marks.insert(self.start(index), Mark::Macro { name, args });
        self.blank(index, close);
        self.fresh = close + 1;
        Some(close + 1)
    }
}
