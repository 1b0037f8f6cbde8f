//! From a parsed file to its facts: what stands at file scope. Bodies of
//! functions are in `body`, expressions in `expr`.
//! Must not know: other files, what a lock is worth.

mod assignment;
mod body;
mod call;
mod comment;
mod condition;
mod expr;
mod initialiser;
mod loops;
mod place;
mod qom;
mod switch;
mod types;

use super::ir::{FileFacts, Function, Name, StructDef, Type};
use super::mask::{Mark, Masked};
use super::parse::Node;
use std::collections::HashMap;

/// Deeper nesting than this is not followed: no code of people is so deep, and
/// the walks recurse.
pub(super) const DEEPEST: usize = 200;

/// Gives each name its number.
#[derive(Default)]
pub(super) struct Names {
    list: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Names {
    pub(super) fn of(&mut self, text: &str) -> Name {
        if let Some(&number) = self.numbers.get(text) {
            return Name(number);
        }
        let number = self.list.len() as u32;
        self.list.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        Name(number)
    }

    pub(super) fn text(&self, name: Name) -> &str {
        &self.list[name.0 as usize]
    }
}

/// A file under way.
pub(super) struct Lower<'a> {
    /// The text before it was masked.
    original: &'a [u8],
    /// The masked text, whose offsets are the original's.
    text: &'a [u8],
    masked: &'a Masked,
    names: Names,
    facts: FileFacts,
}

/// The facts of a file.
///
/// `original` is its text before it was masked; comments and QOM's macros are
/// read there. `unparsed` are the functions that did not parse clean.
pub fn lower<'a>(
    original: &'a [u8],
    masked: &'a Masked,
    root: Node<'_>,
    unparsed: Vec<(String, u32)>,
) -> FileFacts {
    let facts = FileFacts { unparsed, ..FileFacts::default() };
    let mut lower = Lower { original, text: &masked.text, masked, names: Names::default(), facts };
    lower.items(root, 0);
    qom::casts(original, &mut lower.names, &mut lower.facts);
    comment::read(original, root, &mut lower.names, &mut lower.facts);
    lower.facts.names = lower.names.list.into_iter().collect();
    lower.facts
}

impl<'a> Lower<'a> {
    /// The text of a node; what is not UTF-8 in it is replaced.
    fn str(&self, node: Node<'_>) -> String {
        String::from_utf8_lossy(&self.text[node.byte_range()]).into_owned()
    }

    fn name(&mut self, node: Node<'_>) -> Name {
        let range = node.byte_range();
        match std::str::from_utf8(&self.text[range]) {
            Ok(text) => self.names.of(text),
            Err(_) => {
                let text = self.str(node);
                self.names.of(&text)
            }
        }
    }

    /// What stands at file scope, inside `#if`s and `extern "C"` too.
    fn items(&mut self, node: Node<'_>, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            match child.kind() {
                "function_definition" => self.function(child),
                "declaration" => self.declaration(child),
                "type_definition" => self.typedef(child),
                "struct_specifier" | "union_specifier" => {
                    self.structure(child, None);
                }
                "preproc_function_def" => self.function_macro(child),
                "preproc_ifdef"
                | "preproc_if"
                | "preproc_else"
                | "preproc_elif"
                | "preproc_elifdef"
                | "linkage_specification"
                | "declaration_list"
                | "ERROR" => {
                    self.items(child, depth + 1);
                }
                _ => {}
            }
        }
    }

    fn function(&mut self, node: Node<'_>) {
        let Some(declarator) = node.child_by_field_name("declarator") else { return };
        let Some(body) = node.child_by_field_name("body") else { return };
        let Some(found) = self.declared_function(declarator) else { return };
        if node.has_error() {
            // It is among the unparsed: nothing in it is trusted.
            return;
        }
        let ty = node.child_by_field_name("type");
        let base = ty.map(|ty| self.type_name(ty, None));
        let base = base.unwrap_or_else(|| self.names.of("int"));
        self.facts.returns.push((found.name, Type { name: base, pointers: found.pointers }));
        let params = found.params.map(|list| self.params(list)).unwrap_or_default();
        let start = node.start_byte();
        let marked = |mark: fn(&Mark) -> bool, end: usize| {
            self.masked.marks.range(start.saturating_sub(40)..end).any(|(_, m)| mark(m))
        };
        let helper = marked(|m| matches!(m, Mark::Helper { .. }), body.start_byte());
        let coroutine = self
            .masked
            .marks
            .range(self.line_start_before(start)..body.start_byte())
            .any(|(_, m)| matches!(m, Mark::Coroutine));
        let is_static = self.text[start..declarator.start_byte()]
            .split(|b| b.is_ascii_whitespace())
            .any(|word| word == b"static");
        let mut function = Function {
            name: found.name,
            line: found.line,
            end_line: node.end_position().row as u32 + 1,
            is_static,
            coroutine,
            helper,
            params,
            locals: Vec::new(),
            blocks: Vec::new(),
            temps: 0,
        };
        body::lower(self, &mut function, body);
        self.facts.functions.push(function);
    }

    /// Where an attribute of the function that begins at `start` may stand: after
    /// the last `;`, `}` or end of a comment before it.
    fn line_start_before(&self, start: usize) -> usize {
        let before = &self.text[..start];
        let end = before.iter().rposition(|&b| matches!(b, b';' | b'}' | b'/' | b'"'));
        end.map_or(0, |at| at + 1)
    }

    /// A variable, or the prototype of a function.
    fn declaration(&mut self, node: Node<'_>) {
        let Some(ty) = node.child_by_field_name("type") else { return };
        let mut cursor = node.walk();
        let declarators: Vec<Node<'_>> =
            node.children_by_field_name("declarator", &mut cursor).collect();
        // `static struct { … } XBZRLE;`: a struct without a tag is called as its
        // variable.
        let first = declarators.first().and_then(|&first| self.declared(first));
        let base = self.type_name(ty, first.map(|(name, _)| name));
        for declarator in declarators {
            let (inner, value) = match declarator.kind() {
                "init_declarator" => (
                    declarator.child_by_field_name("declarator"),
                    declarator.child_by_field_name("value"),
                ),
                _ => (Some(declarator), None),
            };
            let Some(inner) = inner else { continue };
            if let Some(found) = self.declared_function(inner) {
                let ty = Type { name: base, pointers: found.pointers };
                self.facts.returns.push((found.name, ty));
                continue;
            }
            let Some((name, pointers)) = self.declared(inner) else { continue };
            self.facts.globals.push((name, Type { name: base, pointers }));
            if let Some(value) = value {
                self.initialiser(name, base, value);
            }
        }
    }

    fn typedef(&mut self, node: Node<'_>) {
        let Some(ty) = node.child_by_field_name("type") else { return };
        let mut cursor = node.walk();
        let declarators: Vec<Node<'_>> =
            node.children_by_field_name("declarator", &mut cursor).collect();
        let mut first = None;
        for declarator in declarators {
            let declared = match self.declared_function(declarator) {
                // A type of functions: its name is all that is asked for.
                Some(found) => Some((found.name, 0)),
                None => self.declared(declarator),
            };
            let Some((alias, pointers)) = declared else { continue };
            let base = *first.get_or_insert_with(|| self.type_name(ty, Some(alias)));
            if base != alias {
                self.facts.typedefs.push((alias, Type { name: base, pointers }));
            }
        }
    }

    /// `#define bql_lock() bql_lock_impl(__FILE__, __LINE__)`.
    fn function_macro(&mut self, node: Node<'_>) {
        let Some(name) = node.child_by_field_name("name") else { return };
        let Some(value) = node.child_by_field_name("value") else { return };
        let body = self.str(value);
        let body = body.trim();
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let callee: String = body.chars().take_while(|&c| letters(c)).collect();
        let rest = &body[callee.len()..];
        let one_call = rest.starts_with('(') && rest.ends_with(')') && {
            let mut depth = 0;
            rest.char_indices().all(|(at, c)| {
                depth += match c {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth > 0 || at + 1 == rest.len()
            })
        };
        let word = callee.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if one_call && word {
            let pair = (self.name(name), self.names.of(&callee));
            self.facts.aliases.push(pair);
        }
    }

    /// A struct or union; gives its name. `fallback` is the typedef's or the
    /// outer member's, for one without a tag.
    fn structure(&mut self, node: Node<'_>, fallback: Option<Name>) -> Name {
        let tag = node.child_by_field_name("name").map(|tag| self.name(tag));
        let name = tag.or(fallback).unwrap_or_else(|| self.names.of("(anonymous)"));
        let Some(body) = node.child_by_field_name("body") else { return name };
        let mut fields = Vec::new();
        self.fields(body, name, &mut fields, 0);
        self.facts.structs.push(StructDef { name, fields });
        name
    }

    fn fields(
        &mut self,
        body: Node<'_>,
        outer: Name,
        fields: &mut Vec<(Name, Type)>,
        depth: usize,
    ) {
        if depth > DEEPEST {
            return;
        }
        let mut cursor = body.walk();
        for child in body.children(&mut cursor) {
            match child.kind() {
                "field_declaration" => self.field(child, outer, fields, depth),
                kind if kind.starts_with("preproc_") => {
                    self.fields(child, outer, fields, depth + 1);
                }
                _ => {}
            }
        }
    }

    fn field(&mut self, node: Node<'_>, outer: Name, fields: &mut Vec<(Name, Type)>, depth: usize) {
        let Some(ty) = node.child_by_field_name("type") else { return };
        let mut cursor = node.walk();
        let declarators: Vec<Node<'_>> =
            node.children_by_field_name("declarator", &mut cursor).collect();
        if declarators.is_empty() {
            // A struct without a name: its members are the outer one's.
            if let Some(body) = ty.child_by_field_name("body") {
                self.fields(body, outer, fields, depth + 1);
            }
            return;
        }
        for declarator in declarators {
            let declared = match self.declared_function(declarator) {
                Some(found) => Some((found.name, 1)),
                None => self.declared(declarator),
            };
            let Some((name, pointers)) = declared else { continue };
            let inner = format!("{}.{}", self.names.text(outer), self.names.text(name));
            let fallback = self.names.of(&inner);
            let base = self.type_name(ty, Some(fallback));
            fields.push((name, Type { name: base, pointers }));
        }
    }
}
