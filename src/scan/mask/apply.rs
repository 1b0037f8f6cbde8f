//! Masks one word after the other.
//! Must not know: which macros there are.

use super::lex::{Kind, Token};
use super::table::{Rule, TABLE};
use super::{Mark, blank, types, word_at};
use std::collections::BTreeMap;

const NONE: u32 = u32::MAX;

/// A walk through the words of a file.
struct Walk<'a> {
    text: &'a [u8],
    tokens: &'a [Token],
    /// For each `(`, the index of its `)`.
    closes: Vec<u32>,
    out: &'a mut [u8],
    marks: &'a mut BTreeMap<usize, Mark>,
    braces: i64,
    parens: i64,
}

/// Masks `out`, which is `text` without its dead halves.
pub fn apply(text: &[u8], tokens: &[Token], out: &mut [u8], marks: &mut BTreeMap<usize, Mark>) {
    let closes = closes(tokens);
    let mut walk = Walk { text, tokens, closes, out, marks, braces: 0, parens: 0 };
    let mut index = 0;
    while index < tokens.len() {
        index = walk.step(index);
    }
}

/// Which `)` closes which `(`.
fn closes(tokens: &[Token]) -> Vec<u32> {
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
    /// Masks the word at `index`; gives the index of the next to look at.
    fn step(&mut self, index: usize) -> usize {
        match self.tokens[index].kind {
            Kind::Punct(b'{') => self.braces += 1,
            Kind::Punct(b'}') => self.braces -= 1,
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

    fn ident(&mut self, index: usize) -> usize {
        let word = self.word(index);
        if let Some(rule) = TABLE.rule(word) {
            if let Some(next) = self.known(index, rule) {
                return next;
            }
        }
        match word {
            b"coroutine_fn" => {
                self.marks.insert(self.start(index), Mark::Coroutine);
                self.blank(index, index);
                return index + 1;
            }
            b"HELPER" => self.helper(index).unwrap_or(index + 1),
            b"typeof" | b"__typeof__" | b"__typeof" => self.type_of(index).unwrap_or(index + 1),
            _ if self.beside_text(index) => self.in_text(index),
            _ => self.unknown(index).unwrap_or(index + 1),
        }
    }

    /// Masks a macro of the table.
    fn known(&mut self, index: usize, rule: Rule) -> Option<usize> {
        let close = self.close(index + 1);
        match rule {
            Rule::Blank => {
                // `QEMU_PACKED` has no arguments, what follows in parentheses is
                // its own only if the two touch.
                let touches = self.start(index + 1) == self.end(index);
                let doubled = self.is(index + 1, b'(') && self.is(index + 2, b'(');
                let end = close.filter(|_| touches || doubled).unwrap_or(index);
                self.blank(index, end);
                Some(end + 1)
            }
            Rule::Pointer | Rule::Value => {
                let close = close?;
                self.blank(index, index + 1);
                match rule {
                    Rule::Pointer => self.out[self.start(close)] = b'*',
                    _ => self.blank(close, close),
                }
                Some(close + 1)
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
        let (start, end) = (self.start(index), self.end(close));
        let room = self.text.get(start..start + LOOP.len())?;
        if self.braces <= 0 || end < start + LOOP.len() || room.contains(&b'\n') {
            return None;
        }
        self.blank(index, close);
        self.out[start..start + LOOP.len()].copy_from_slice(LOOP);
        self.marks.insert(start, mark);
        Some(close + 1)
    }

    /// `HELPER(x)`: `helper_x`.
    fn helper(&mut self, index: usize) -> Option<usize> {
        let close = self.close(index + 1).filter(|&close| close == index + 3)?;
        let name = self.word(index + 2).to_vec();
        let (start, full) = (self.start(index), [b"helper_", &name[..]].concat());
        self.blank(index, close);
        self.out[start..start + full.len()].copy_from_slice(&full);
        self.marks.insert(start, Mark::Helper { name: String::from_utf8_lossy(&name).into() });
        Some(close + 1)
    }

    /// `typeof(x)`: `int`.
    fn type_of(&mut self, index: usize) -> Option<usize> {
        let close = self.close(index + 1)?;
        let start = self.start(index);
        self.blank(index, close);
        self.out[start..start + 3].copy_from_slice(b"int");
        Some(close + 1)
    }

    /// Whether the name, or the call that it begins, touches a string.
    fn beside_text(&self, index: usize) -> bool {
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
        let after = self.close(index + 1).map_or(index + 1, |close| close + 1);
        let double = |at: usize| text(at) && self.out[self.start(at)] == b'"';
        index > 0 && double(index - 1) || double(after)
    }

    /// A macro that stands for a part of a string.
    fn in_text(&mut self, index: usize) -> usize {
        let end = self.close(index + 1).unwrap_or(index);
        self.blank(index, end);
        end + 1
    }

    /// A name that is not in the table.
    fn unknown(&mut self, index: usize) -> Option<usize> {
        if !self.begins(index) {
            return None;
        }
        let close = self.close(index + 1)?;
        if self.braces == 0 {
            return self.declaration(index);
        }
        if keyword(self.word(index)) {
            return None;
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
                let start = self.start(index);
                self.blank(index, close);
                self.out[start..start + 6].copy_from_slice(b"case 0");
                Some(close + 1)
            }
            _ => None,
        }
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
        Some(close + 1)
    }

    /// Types among the arguments of a call.
    fn arguments(&mut self, open: usize) {
        if self.braces <= 0 || open == 0 || !self.is_call(open - 1) {
            return;
        }
        let Some(close) = self.close(open) else { return };
        let mut from = open + 1;
        let mut at = from;
        while at <= close {
            match self.tokens[at].kind {
                Kind::Punct(b',' | b')') => {
                    types::argument(self.text, &self.tokens[from..at], self.out);
                    from = at + 1;
                    at += 1;
                }
                Kind::Punct(b'(') => at = self.close(at).map_or(close, |inner| inner) + 1,
                _ => at += 1,
            }
        }
    }

    /// Whether the name at `index` may be what is called.
    fn is_call(&self, index: usize) -> bool {
        let word = self.word(index);
        let name = self.tokens[index].kind == Kind::Ident && !keyword(word);
        let declared = index > 0
            && match self.tokens[index - 1].kind {
                Kind::Ident => !keyword(self.word(index - 1)),
                _ => false,
            };
        name && !declared && word != b"offsetof"
    }

    /// Whether a statement or declaration begins with the word at `index`.
    fn begins(&self, index: usize) -> bool {
        let Some(before) = index.checked_sub(1) else { return true };
        match self.tokens[before].kind {
            Kind::Punct(b';' | b'{' | b'}' | b':') => true,
            // At file scope, after a macro without a semicolon.
            Kind::Punct(b')') => self.braces == 0 && self.new_line(before),
            _ => false,
        }
    }

    fn word(&self, index: usize) -> &'a [u8] {
        word_at(self.text, self.tokens, index)
    }

    fn is(&self, index: usize, byte: u8) -> bool {
        self.tokens.get(index).is_some_and(|token| token.kind == Kind::Punct(byte))
    }

    fn start(&self, index: usize) -> usize {
        self.tokens.get(index).map_or(self.text.len(), |token| token.start as usize)
    }

    fn end(&self, index: usize) -> usize {
        self.tokens[index].end as usize
    }

    /// The index of the parenthesis that closes the one at `open`.
    fn close(&self, open: usize) -> Option<usize> {
        let close = *self.closes.get(open)?;
        (close != NONE).then_some(close as usize)
    }

    /// Whether the word after `index` is on another line.
    fn new_line(&self, index: usize) -> bool {
        let next = self.start(index + 1);
        self.text[self.end(index)..next].contains(&b'\n')
    }

    fn capital(&self, index: usize) -> bool {
        self.word(index).iter().all(|byte| !byte.is_ascii_lowercase())
    }

    /// What stands between the parentheses.
    fn between(&self, open: usize, close: usize) -> String {
        String::from_utf8_lossy(&self.text[self.end(open)..self.start(close)]).trim().to_owned()
    }

    fn blank(&mut self, from: usize, to: usize) {
        blank(self.out, self.start(from), self.end(to));
    }
}

/// Whether C itself gives `word` a meaning in front of a parenthesis or a name.
fn keyword(word: &[u8]) -> bool {
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
