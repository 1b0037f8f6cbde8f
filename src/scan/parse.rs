//! The C parser, and the functions that it finds. The only file that names the
//! parser's package.
//! Must not know: what the code does.

use super::mask::Masked;
pub use tree_sitter::{Node, Tree, TreeCursor};

/// Nested deeper than this, a file is listed as a problem and not walked.
pub const DEEPEST: usize = 1000;

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

/// Parses a masked file. None: the parser gave up, or the file is nested too
/// deep to be walked.
pub fn parse(masked: &Masked) -> Option<Tree> {
    let mut parser = tree_sitter::Parser::new();
    parser.set_language(&tree_sitter_c::LANGUAGE.into()).expect("both versions are pinned");
    let tree = parser.parse(&masked.text, None)?;
    (depth(&tree) <= DEEPEST).then_some(tree)
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
    lost(&masked.text, &mut found);
    found.sort();
    found
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
    let name = name?;
    Some(FunctionSpan {
        start: node.start_byte(),
        end: node.end_byte(),
        name: String::from_utf8_lossy(&text[name.byte_range()]).into_owned(),
        line: name.start_position().row as u32 + 1,
        clean: !node.has_error(),
    })
}

/// Adds what looks like a function, `{` at the margin after a `)`, and is in
/// none that was found.
fn lost(text: &[u8], found: &mut Vec<FunctionSpan>) {
    let mut line = 1;
    let mut known = 0;
    let mut added = Vec::new();
    for at in 0..text.len() {
        if text[at] == b'\n' {
            line += 1;
            if text.get(at + 1) != Some(&b'{') {
                continue;
            }
            let brace = at + 1;
            while known < found.len() && found[known].end <= brace {
                known += 1;
            }
            if found.get(known).is_some_and(|f| f.start <= brace) {
                continue;
            }
            if let Some((start, name)) = header(text, at) {
                added.push(FunctionSpan { start, end: brace + 1, name, line, clean: false });
            }
        }
    }
    found.extend(added);
}

/// The name in front of the parentheses that end at `end`.
fn header(text: &[u8], end: usize) -> Option<(usize, String)> {
    // As far back as a long list of parameters goes.
    let floor = end.saturating_sub(4096);
    let mut depth = 0;
    let head = text[floor..end].trim_ascii_end();
    if head.last() != Some(&b')') {
        return None;
    }
    let open = head.iter().rposition(|&byte| {
        match byte {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    let head = head[..open].trim_ascii_end();
    let name = head.iter().rposition(|b| !super::mask::is_word(*b)).map_or(0, |at| at + 1);
    let name_text = String::from_utf8_lossy(&head[name..]).into_owned();
    (!name_text.is_empty()).then_some((floor + name, name_text))
}
