//! The C parser, and the functions that it finds. The only file that names the
//! parser's package.
//! Must not know: what the code does.

use super::mask::Masked;
use super::mask::lex::{self, Kind, Token};
use std::fmt;
use std::ops::ControlFlow;
pub use tree_sitter::{Node, Tree, TreeCursor};
use tree_sitter::{ParseOptions, ParseState, Parser};

/// Nested deeper than this, a file is listed as a problem and not walked.
pub const DEEPEST: usize = 1000;

/// A parse is stopped after so many steps, of a hundred operations each. The
/// largest file of QEMU takes 26,000. Steps rather than time: the result is the
/// same on every machine.
const STEPS: u32 = 60_000;

/// And after so many in which no reading of the text was without an error. No
/// file of QEMU has 100, even without the mask; what is no C has little else, and
/// takes seconds for a megabyte.
const STEPS_IN_ERROR: u32 = 1_000;

/// Why nothing in a file is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It has a zero byte.
    Binary,
    /// The parser would have taken too long, or made nothing of it.
    NotC,
    TooDeep,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Binary => "not text: nothing in it was looked at",
            Refused::NotC => "not C, as far as the parser goes: nothing in it was looked at",
            Refused::TooDeep => "nested too deep to be followed: nothing in it was looked at",
        })
    }
}

/// A function definition.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FunctionSpan {
    /// Where its definition begins and ends, in bytes.
    pub start: usize,
    pub end: usize,
    pub name: String,
    /// 1-based, of its name.
    pub line: u32,
    /// Whether the grammar understood all of it.
    pub clean: bool,
}

/// Parses a masked file.
pub fn parse(masked: &Masked) -> Result<Tree, Refused> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_c::LANGUAGE.into()).expect("both versions are pinned");
    let text = &masked.text;
    let (mut steps, mut in_error) = (0, 0);
    let mut go_on = |state: &ParseState| {
        steps += 1;
        in_error += u32::from(state.has_error());
        match steps > STEPS || in_error > STEPS_IN_ERROR {
            false => ControlFlow::Continue(()),
            true => ControlFlow::Break(()),
        }
    };
    let options = ParseOptions::new().progress_callback(&mut go_on);
    let mut read = |at: usize, _| text.get(at..).unwrap_or_default();
    let tree = parser.parse_with_options(&mut read, None, Some(options));
    let tree = tree.ok_or(Refused::NotC)?;
    match depth(&tree) {
        ..=DEEPEST => Ok(tree),
        _ => Err(Refused::TooDeep),
    }
}

/// Goes to the next node in the order of the text.
fn advance(cursor: &mut TreeCursor, into: bool, depth: &mut usize) -> bool {
    if into && cursor.goto_first_child() {
        *depth += 1;
        return true;
    }
    while !cursor.goto_next_sibling() {
        if !cursor.goto_parent() {
            return false;
        }
        *depth -= 1;
    }
    true
}

/// How deep the nodes are nested.
fn depth(tree: &Tree) -> usize {
    let (mut cursor, mut at, mut deepest) = (tree.walk(), 0, 0);
    while deepest <= DEEPEST && advance(&mut cursor, true, &mut at) {
        deepest = deepest.max(at);
    }
    deepest
}

/// Every function definition, by its place; those that the parser lost in an
/// error are found by their look.
pub fn functions(tree: &Tree, masked: &Masked) -> Vec<FunctionSpan> {
    let mut found = Vec::new();
    let (mut cursor, mut depth) = (tree.walk(), 0);
    let mut more = true;
    while more {
        let node = cursor.node();
        let inside = match node.kind() {
            "function_definition" => {
                found.extend(definition(node, &masked.text));
                node.has_error()
            }
            "declaration" | "expression_statement" | "type_definition" => node.has_error(),
            _ => true,
        };
        more = advance(&mut cursor, inside, &mut depth);
    }
    found.sort();
    if tree.root_node().has_error() {
        lost(&masked.text, &mut found);
        found.sort();
    }
    found
}

/// Whether an error is most of a file, and no function came out of it: nothing of
/// it was understood.
pub fn is_lost(tree: &Tree, functions: &[FunctionSpan]) -> bool {
    let root = tree.root_node();
    if !functions.is_empty() || !root.has_error() {
        return false;
    }
    let (mut cursor, mut depth) = (root.walk(), 0);
    // How deep the error is that the walk is in.
    let mut inside: Option<usize> = None;
    let (mut lost, mut all) = (0, 0);
    loop {
        let node = cursor.node();
        inside = inside.filter(|error| depth > *error);
        if node.is_error() && inside.is_none() {
            inside = Some(depth);
            lost += node.byte_range().len();
        }
        let is_word = node.child_count() == 0 && inside.is_none() && node.kind() != "comment";
        all += if is_word { node.byte_range().len() } else { 0 };
        if !advance(&mut cursor, true, &mut depth) {
            return lost > all;
        }
    }
}

/// A definition with its name.
fn definition(node: Node, text: &[u8]) -> Option<FunctionSpan> {
    let mut declarator = node.child_by_field_name("declarator")?;
    let mut name = None;
    // `**f(…)(…)`: down to the innermost.
    for _ in 0..64 {
        if matches!(declarator.kind(), "identifier" | "type_identifier") {
            name = Some(declarator);
            break;
        }
        let inner = declarator.child_by_field_name("declarator");
        match inner.or_else(|| declarator.named_child(0)) {
            Some(inner) => declarator = inner,
            None => break,
        }
    }
    let name = name.filter(|name| !is_keyword(&text[name.byte_range()]))?;
    Some(FunctionSpan {
        start: node.start_byte(),
        end: node.end_byte(),
        name: String::from_utf8_lossy(&text[name.byte_range()]).into_owned(),
        line: name.start_position().row as u32 + 1,
        clean: !node.has_error(),
    })
}

/// What an error may leave in the place of a name.
fn is_keyword(word: &[u8]) -> bool {
    matches!(word, b"if" | b"for" | b"while" | b"switch" | b"else" | b"do" | b"return")
}

/// Adds what looks like a function, `name(…)` and `{` at the margin, and is in
/// none that was found.
fn lost(text: &[u8], found: &mut Vec<FunctionSpan>) {
    let (mut line, mut counted, mut known) = (1, 0, 0);
    // The last call outside of parentheses: its name, and where it ends.
    let (mut depth, mut name, mut head) = (0_i64, None, None);
    let mut previous: Option<Token> = None;
    let mut added = Vec::new();
    for token in lex::tokens(text) {
        let start = token.start as usize;
        let margin = start == 0 || text[start - 1] == b'\n';
        if margin && token.kind != Kind::Punct(b'{') {
            // A declaration begins, whatever was left open.
            depth = 0;
        }
        match token.kind {
            Kind::Punct(b'(') => {
                if depth == 0 {
                    name = previous.filter(|token| token.kind == Kind::Ident);
                }
                depth += 1;
            }
            Kind::Punct(b')') => {
                depth -= 1;
                head = name.filter(|_| depth == 0);
            }
            Kind::Punct(b'{') if margin => {
                depth = 0;
                while known < found.len() && found[known].end <= start {
                    known += 1;
                }
                let inside = found.get(known).is_some_and(|function| function.start <= start);
                if let Some(name) = head.take().filter(|_| !inside) {
                    let begin = name.start as usize;
                    line += text[counted..begin].iter().filter(|b| **b == b'\n').count() as u32;
                    counted = begin;
                    let name = String::from_utf8_lossy(name.of(text)).into_owned();
                    added.push(FunctionSpan {
                        start: begin,
                        end: start + 1,
                        name,
                        line,
                        clean: false,
                    });
                }
            }
            _ => head = None,
        }
        previous = Some(token);
    }
    found.extend(added);
}
