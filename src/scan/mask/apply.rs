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
    /// The index behind the last macro that was blanked: a statement may begin.
    fresh: usize,
}

/// Masks `out`, which is `text` without its dead halves.
pub fn apply(text: &[u8], tokens: &[Token], out: &mut [u8], marks: &mut BTreeMap<usize, Mark>) {
    let closes = closes(tokens);
    let mut walk = Walk { text, tokens, closes, out, marks, braces: 0, parens: 0, fresh: 0 };
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
            // `extern "C" {` is no block.
            Kind::Punct(b'{') if index < 2 || self.word(index - 2) != b"extern" => self.braces += 1,
            Kind::Punct(b'}') => self.braces = (self.braces - 1).max(0),
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
                let start = self.start(index);
                self.blank(index, index + 1);
                self.blank(index + 3, close);
                self.out[start..start + 4].copy_from_slice(b"long");
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
        let mut after = self.close(index + 1).map_or(index + 1, |close| close + 1);
        // Several such macros in a row.
        while after < index + 8 && self.capital(after) && self.tokens[after].kind == Kind::Ident {
            after += 1;
        }
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
                let start = self.start(index);
                self.blank(index, close);
                self.out[start..start + 6].copy_from_slice(b"case 0");
                Some(close + 1)
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
    fn argument(&mut self, from: usize, to: usize, open: usize, close: usize) {
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
    fn number(&mut self, index: usize) {
        let word = self.word(index);
        let hexadecimal = word.len() > 1 && matches!(word[1], b'x' | b'X' | b'b' | b'B');
        let letter = |b: &u8| b.is_ascii_alphabetic() && !b"uUlLfFeEiI".contains(b);
        if !hexadecimal && word.iter().any(letter) {
            self.out[self.start(index)] = b'_';
        }
    }

    /// `case 0 ... 3:`: `case 0       :`.
    fn case(&mut self, index: usize) -> usize {
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

    /// Whether it is an attribute that the table does not know: `void ATTR f(`.
    fn is_attribute(&self, index: usize) -> bool {
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

    /// Whether the name at `index` may be what is called.
    fn is_call(&self, index: usize) -> bool {
        let word = self.word(index);
        let name = self.tokens[index].kind == Kind::Ident && !keyword(word);
        let declared = index > 0
            && match self.tokens[index - 1].kind {
                Kind::Ident => !keyword(self.word(index - 1)),
                _ => false,
            };
        name && !declared
    }

    /// Whether a statement or declaration begins with the word at `index`.
    fn begins(&self, index: usize) -> bool {
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
        let word = self.word(index);
        !word.is_empty() && !word.iter().any(u8::is_ascii_lowercase)
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
