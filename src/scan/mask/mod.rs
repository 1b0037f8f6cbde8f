//! The mask: QEMU's C made fit for a grammar of plain C, byte for byte at its
//! place. Macros that no grammar can know are blanked or become the statement
//! that they stand for; what they meant is kept as marks, by offset. The macros
//! are data: `models/scan/mask.json`.
//! Must not know: the parser, what a mark leads to.

mod apply;
mod condition;
mod expression;
pub(super) mod lex;
mod table;
mod types;
mod walk;

use super::ir::Guard;
use lex::{Kind, Token};
use std::collections::BTreeMap;

/// A masked file: as long as the file, with every line feed at its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Masked {
    pub text: Vec<u8>,
    /// What was masked, by offset.
    pub marks: BTreeMap<usize, Mark>,
}

/// What stood where the mask now has something else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mark {
    /// `WITH_QEMU_LOCK_GUARD(&x) {`: the text has `for (;;)` at this offset, but
    /// the block runs once.
    Guard { guard: Guard, lock: String },
    /// `QTAILQ_FOREACH(…) {`: the text has `for (;;)` at this offset; the block
    /// runs any number of times, each with the variables in `args` assigned.
    Loop { name: String, args: String },
    /// `HELPER(name)`: the text has `helper_name` at this offset.
    Helper { name: String },
    /// `coroutine_fn`, blanked.
    Coroutine,
    /// A macro in place of a declaration, `OBJECT_DECLARE_TYPE(…)`, blanked.
    Macro { name: String, args: String },
}

/// Masks the text of a file. Linear in its length, whatever is in it.
pub fn mask(text: &[u8]) -> Masked {
    let mut out = text.to_vec();
    let mut marks = BTreeMap::new();
    // Places are kept in 32 bits; nobody writes such a file by hand.
    if u32::try_from(text.len()).is_ok() {
        let mut tokens = lex::tokens(text);
        condition::settle(text, &mut tokens, &mut out);
        comments_in_directives(text, &tokens, &mut out);
        tokens.retain(|token| !matches!(token.kind, Kind::Gone | Kind::Directive));
        apply::apply(text, &tokens, &mut out, &mut marks);
    }
    Masked { text: out, marks }
}

/// The grammar ends a `#define` at a comment in it: those before its end go.
fn comments_in_directives(text: &[u8], tokens: &[Token], out: &mut [u8]) {
    for token in tokens.iter().filter(|token| token.kind == Kind::Directive) {
        let (directive, begin) = (token.of(text), token.start as usize);
        for (from, to) in lex::comments(directive) {
            if directive[to..].iter().all(u8::is_ascii_whitespace) {
                break;
            }
            let (from, to) = (begin + from, begin + to);
            blank(out, from, to);
            // A line that the comment continued needs a backslash to go on; an empty
            // one has no room for it.
            for at in from + 1..to {
                if text[at] == b'\n' && !matches!(text[at - 1], b'\r' | b'\n') {
                    out[at - 1] = b'\\';
                }
            }
        }
    }
}

/// Spaces from one offset to another; ends of lines stay.
fn blank(out: &mut [u8], from: usize, to: usize) {
    for byte in &mut out[from..to] {
        if !matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// The word at `index`; empty beyond the end.
fn word_at<'a>(text: &'a [u8], tokens: &[Token], index: usize) -> &'a [u8] {
    tokens.get(index).map_or(b"", |token| token.of(text))
}
