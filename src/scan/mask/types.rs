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

/// The words of one argument: if they are a type, its last name is left, with a
/// capital if it is the grammar's own.
pub fn argument(text: &[u8], words: &[Token], out: &mut [u8]) {
    let mut is_type = words.len() > 1 && words[words.len() - 1].kind == Kind::Punct(b'*');
    let mut name = None;
    for token in words {
        match token.kind {
            Kind::Ident => {
                let word = token.of(text);
                is_type |= is_tag(word) || is_primitive(word);
                name = Some(*token);
            }
            Kind::Punct(b'*') => {}
            _ => return,
        }
    }
    let (true, Some(name), Some(last)) = (is_type, name, words.last()) else { return };
    if words[0].kind != Kind::Ident {
        return;
    }
    blank(out, words[0].start as usize, name.start as usize);
    blank(out, name.end as usize, last.end as usize);
    if is_primitive(name.of(text)) {
        out[name.start as usize].make_ascii_uppercase();
    }
}
