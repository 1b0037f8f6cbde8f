//! `#if … #else … #endif`: which halves are left for the parser.
//! The grammar copes where every half is whole statements or declarations.
//! Elsewhere the directives are blanked, and of halves that exclude one another
//! the first is kept, or the second if the first is for a QEMU that migrates no
//! guest. `#if 0` is blanked.
//! Must not know: macros, what a statement is called.

use super::lex::{Kind, Token};
use super::table::TABLE;
use super::{blank, word_at};

/// One `#if` with its halves.
struct Group {
    /// Indices of its directives: `#if`, `#else`…
    directives: Vec<usize>,
    /// The state in front of `#if`.
    before: State,
    /// After the first half.
    first: Option<State>,
    /// The lowest depth that the half in hand has reached.
    lowest: i64,
    /// Whether the halves can be left to the grammar, so far.
    whole: bool,
    /// Whether each half is a part of a list.
    list: bool,
}

/// What is known between two words.
#[derive(Clone, Copy)]
struct State {
    braces: i64,
    parens: i64,
    last: Last,
}

/// The last word before a place.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    /// `;`, `{`, `}`, `:` or the beginning: a statement may begin.
    Boundary(u8),
    Comma,
    /// `(`.
    Open,
    /// `)`.
    Close,
    Other,
}

impl State {
    /// Whether a statement or a declaration may begin here: at file scope also
    /// after a macro that has no semicolon.
    fn may_begin(&self) -> bool {
        let begins = match self.last {
            Last::Boundary(_) => true,
            Last::Close => self.braces == 0,
            _ => false,
        };
        begins && self.parens <= 0
    }
}

/// Whether the colon at `index` ends a label; the grammar wants a statement
/// behind it, not a directive.
fn is_label(text: &[u8], tokens: &[Token], index: usize) -> bool {
    let name = index.checked_sub(1).map(|at| tokens[at]);
    let named = name.is_some_and(|t| t.kind == Kind::Ident && t.of(text) != b"default");
    let before = index.checked_sub(2).map(|at| tokens[at].kind);
    named && matches!(before, Some(Kind::Directive | Kind::Punct(b';' | b'{' | b'}' | b':')))
}

/// Blanks what cannot be left to the grammar, in `out` and in `tokens`.
pub fn settle(text: &[u8], tokens: &mut [Token], out: &mut [u8]) {
    let mut groups: Vec<Group> = Vec::new();
    let mut state = State { braces: 0, parens: 0, last: Last::Boundary(b';') };
    let mut blanks: Vec<(usize, usize)> = Vec::new();
    for index in 0..tokens.len() {
        match tokens[index].kind {
            Kind::Directive => {
                directive(text, tokens, index, &mut groups, &mut state, &mut blanks);
                continue;
            }
            Kind::Punct(byte) => {
                match byte {
                    b'{' => state.braces += 1,
                    b'}' => state.braces -= 1,
                    b'(' => state.parens += 1,
                    b')' => state.parens -= 1,
                    _ => {}
                }
                state.last = match byte {
                    b':' if is_label(text, tokens, index) => Last::Other,
                    // A list of values.
                    b'{' if index > 0 && tokens[index - 1].kind == Kind::Punct(b'=') => Last::Comma,
                    b';' | b'{' | b'}' | b':' => Last::Boundary(byte),
                    b',' => Last::Comma,
                    b'(' => Last::Open,
                    b')' => Last::Close,
                    _ => Last::Other,
                };
            }
            _ => state.last = Last::Other,
        }
        if let Some(group) = groups.last_mut() {
            group.lowest = group.lowest.min(state.braces);
        }
    }
    // An #if without an end: its directives go, its halves stay.
    for group in groups {
        blanks.extend(group.directives.iter().map(|&index| (index, index + 1)));
    }
    erase(blanks, tokens, out);
}

/// Blanks the words from one index up to another, in linear time.
fn erase(mut blanks: Vec<(usize, usize)>, tokens: &mut [Token], out: &mut [u8]) {
    blanks.sort_unstable();
    let mut done = 0;
    for (from, to) in blanks {
        for token in &mut tokens[from.max(done).min(to)..to] {
            blank(out, token.start as usize, token.end as usize);
            token.kind = Kind::Gone;
        }
        done = done.max(to);
    }
}

fn directive(
    text: &[u8],
    tokens: &[Token],
    index: usize,
    groups: &mut Vec<Group>,
    state: &mut State,
    blanks: &mut Vec<(usize, usize)>,
) {
    let body = tokens[index].of(text)[1..].trim_ascii_start();
    let length = body.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    match &body[..length] {
        b"if" | b"ifdef" | b"ifndef" => groups.push(Group {
            directives: vec![index],
            before: *state,
            first: None,
            lowest: state.braces,
            // The grammar knows no `__has_warning("…")`.
            whole: state.may_begin() && !tokens[index].of(text).contains(&b'"'),
            list: matches!(state.last, Last::Comma | Last::Open | Last::Boundary(b'{')),
        }),
        b"else" | b"elif" | b"elifdef" | b"elifndef" => {
            let Some(group) = groups.last_mut() else { return blanks.push((index, index + 1)) };
            group.end_half(text, tokens, index, state);
            group.directives.push(index);
            *state = group.before;
            group.lowest = state.braces;
        }
        b"endif" => {
            let Some(mut group) = groups.pop() else { return blanks.push((index, index + 1)) };
            group.end_half(text, tokens, index, state);
            group.directives.push(index);
            *state = group.first.unwrap_or(*state);
            if word_at(text, tokens, index + 1) == b"else" {
                group.whole = false;
            }
            // The state after it is that of the first half, also for the group
            // round it.
            if let Some(outer) = groups.last_mut() {
                outer.lowest = outer.lowest.min(group.lowest);
            }
            group.decide(text, tokens, blanks);
        }
        // In the middle of a statement the grammar has no place for it.
        _ if !state.may_begin() => blanks.push((index, index + 1)),
        _ => {}
    }
}

impl Group {
    /// The half in hand ends in front of the directive `index`.
    fn end_half(&mut self, text: &[u8], tokens: &[Token], index: usize, state: &State) {
        let begin = self.directives.last().map_or(index, |last| last + 1);
        let empty = begin >= index;
        let balanced = state.braces == self.before.braces
            && state.parens == self.before.parens
            && self.lowest >= self.before.braces;
        let ends = empty || matches!(state.last, Last::Boundary(_));
        self.whole &= balanced && ends && word_at(text, tokens, begin) != b"else";
        self.list &= balanced && (empty || state.last == Last::Comma);
        self.first.get_or_insert(*state);
    }

    /// What of the group goes.
    fn decide(&self, text: &[u8], tokens: &[Token], blanks: &mut Vec<(usize, usize)>) {
        let first = tokens[self.directives[0]].of(text);
        let constant = holds(first, &TABLE.absent);
        if self.whole && constant.is_none() {
            return;
        }
        let last = self.directives.len() - 1;
        // The half that is kept; the others go, unless they make one list.
        let unlikely = holds(first, &TABLE.unlikely) == Some(false) && last > 1;
        let kept = if constant == Some(false) || unlikely { 1 } else { 0 };
        for (half, &index) in self.directives.iter().enumerate() {
            blanks.push((index, index + 1));
            let keep = half == kept || (self.list && constant.is_none());
            if half < last && !keep {
                blanks.push((index, self.directives[half + 1]));
            }
        }
    }
}

/// Whether the condition holds, if `absent` are not defined: `#if 0`, `#if 1`,
/// `#ifdef __cplusplus`. None: who knows.
fn holds(directive: &[u8], absent: &[String]) -> Option<bool> {
    let absent = |name: &[u8]| absent.iter().any(|known| known.as_bytes() == name);
    let mut words = directive[1..]
        .split(|byte| byte.is_ascii_whitespace() || b"/()".contains(byte))
        .filter(|word| !word.is_empty());
    match (words.next()?, words.next()?, words.next()) {
        (b"if", b"0", _) => Some(false),
        (b"if", b"1", None) => Some(true),
        (b"ifdef", name, _) | (b"if", b"defined", Some(name)) if absent(name) => Some(false),
        (b"ifndef", name, _) | (b"if", b"!defined", Some(name)) if absent(name) => Some(true),
        _ => None,
    }
}
