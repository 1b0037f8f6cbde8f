//! Declarators: the name that is declared, and how many pointers are round it.
//! Must not know: what the type is used for.

use super::{DEEPEST, Lower};
use crate::scan::ir::{Name, Type};
use crate::scan::parse::Node;

/// The declarator of a function.
pub(super) struct Declared<'t> {
    pub name: Name,
    /// 1-based.
    pub line: u32,
    /// Of the returned type.
    pub pointers: u8,
    pub params: Option<Node<'t>>,
}

impl Lower<'_> {
    /// The name of the type that a specifier gives; a struct without a tag is
    /// called `fallback`.
    pub(super) fn type_name(&mut self, node: Node<'_>, fallback: Option<Name>) -> Name {
        match node.kind() {
            "struct_specifier" | "union_specifier" => self.structure(node, fallback),
            "enum_specifier" => self.names.of("int"),
            _ => self.name(node),
        }
    }

    /// The variable or member that a declarator declares.
    pub(super) fn declared(&mut self, mut node: Node<'_>) -> Option<(Name, u8)> {
        let mut pointers: u8 = 0;
        for _ in 0..DEEPEST {
            match node.kind() {
                "identifier" | "field_identifier" | "type_identifier" | "primitive_type" => {
                    return Some((self.name(node), pointers));
                }
                "pointer_declarator" | "array_declarator" => {
                    pointers = pointers.saturating_add(1);
                    node = node.child_by_field_name("declarator")?;
                }
                "function_declarator" | "init_declarator" => {
                    node = node.child_by_field_name("declarator")?;
                }
                "parenthesized_declarator" | "attributed_declarator" => {
                    node = node.named_child(0)?;
                }
                _ => return None,
            }
        }
        None
    }

    /// The function that a declarator declares: none for a variable, nor for a
    /// pointer to a function.
    pub(super) fn declared_function<'t>(&mut self, mut node: Node<'t>) -> Option<Declared<'t>> {
        let mut pointers: u8 = 0;
        for _ in 0..DEEPEST {
            match node.kind() {
                "pointer_declarator" => {
                    pointers = pointers.saturating_add(1);
                    node = node.child_by_field_name("declarator")?;
                }
                "attributed_declarator" => node = node.named_child(0)?,
                "function_declarator" => {
                    let params = node.child_by_field_name("parameters");
                    let mut inner = node.child_by_field_name("declarator")?;
                    while inner.kind() == "parenthesized_declarator" {
                        inner = inner.named_child(0)?;
                    }
                    if !matches!(
                        inner.kind(),
                        "identifier" | "field_identifier" | "type_identifier"
                    ) {
                        return None;
                    }
                    let line = inner.start_position().row as u32 + 1;
                    return Some(Declared { name: self.name(inner), line, pointers, params });
                }
                _ => return None,
            }
        }
        None
    }

    /// Parameters, in order; one without a name is called by its position.
    pub(super) fn params(&mut self, list: Node<'_>) -> Vec<(Name, Type)> {
        let mut params = Vec::new();
        let mut cursor = list.walk();
        for child in list.named_children(&mut cursor) {
            if child.kind() != "parameter_declaration" {
                continue;
            }
            let Some(ty) = child.child_by_field_name("type") else { continue };
            let base = self.type_name(ty, None);
            let declarator = child.child_by_field_name("declarator");
            let declared = declarator.and_then(|declarator| self.declared(declarator));
            if declared.is_none() && self.names.text(base) == "void" && declarator.is_none() {
                continue;
            }
            let (name, pointers) = match declared {
                Some(declared) => declared,
                None => (self.names.of(&format!("${}", params.len())), 1),
            };
            params.push((name, Type { name: base, pointers }));
        }
        params
    }
}
