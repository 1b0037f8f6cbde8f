//! Types as arguments, `g_new(struct X *, 1)`, become names that the grammar of
//! an expression admits: `g_new(       X  , 1)`.
//! Must not know: macros.

use super::blank;
use super::lex::{Kind, Token};

/// Whether `word` begins a type and never an expression.
fn is_tag(word: &[u8]) -> bool {
    matches!(word, b"struct" | b"union" | b"enum" | b"const" | b"volatile")
}

/// Whether the grammar takes `word` for a type wherever it stands.
fn is_primitive(word: &[u8]) -> bool {
    matches!(
        word,
        b"void"
            | b"bool"
            | b"char"
            | b"short"
            | b"int"
            | b"long"
            | b"float"
            | b"double"
            | b"signed"
            | b"unsigned"
            | b"size_t"
            | b"ssize_t"
            | b"ptrdiff_t"
            | b"intptr_t"
            | b"uintptr_t"
            | b"charptr_t"
            | b"int8_t"
            | b"int16_t"
            | b"int32_t"
            | b"int64_t"
            | b"uint8_t"
            | b"uint16_t"
            | b"uint32_t"
            | b"uint64_t"
    )
}

/// The words of one argument: of a type, its last name is left, with a capital
/// if it is the grammar's own; of several names in a row, the last.
pub fn argument(text: &[u8], words: &[Token], out: &mut [u8]) {
    let names = words.iter().take_while(|token| token.kind == Kind::Ident).count();
    let Some(name) = names.checked_sub(1).map(|last| words[last]) else { return };
    let is_type =
        words[..names].iter().any(|word| is_tag(word.of(text)) || is_primitive(word.of(text)));
    let stars = words[names..].iter().all(|token| token.kind == Kind::Punct(b'*'));
    if stars && (is_type || names < words.len()) {
        blank(out, name.end as usize, words[words.len() - 1].end as usize);
        if is_primitive(name.of(text)) {
            out[name.start as usize].make_ascii_uppercase();
        }
    }
    if words[0].of(text) != b"sizeof" {
        blank(out, words[0].start as usize, name.start as usize);
    }
}
