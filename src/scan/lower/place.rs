//! The place that an expression names: a variable or a call's result, and the
//! members down from it.
//! Must not know: what is done with it.

use super::DEEPEST;
use super::body::Body;
use super::call::TRANSPARENT;
use crate::scan::ir::{Base, Path};
use crate::scan::parse::Node;

/// Macros that take a type, of which the result is: which argument it is.
const TYPED: [(&str, usize); 10] = [
    ("container_of", 1),
    ("DO_UPCAST", 0),
    ("g_new0", 0),
    ("g_new", 0),
    ("g_try_new0", 0),
    ("g_try_new", 0),
    ("OBJECT_CHECK", 0),
    ("OBJECT_GET_CLASS", 0),
    ("OBJECT_CLASS_CHECK", 0),
    ("INTERFACE_CHECK", 0),
];

impl Body<'_, '_> {
    /// The place that an expression names.
    pub(super) fn path(&mut self, node: Node<'_>) -> Path {
        let mut fields = Vec::new();
        let mut address = false;
        let mut node = node;
        let mut base = Base::Unknown;
        for step in 0..DEEPEST {
            match node.kind() {
                "identifier" => {
                    base = Base::Var(self.file.name(node));
                    break;
                }
                "field_expression" => {
                    if let Some(field) = node.child_by_field_name("field") {
                        fields.push(self.file.name(field));
                    }
                    let Some(inner) = node.child_by_field_name("argument") else { break };
                    node = inner;
                }
                "pointer_expression" => {
                    address |= step == 0 && self.operator(node) == Some("&");
                    let Some(inner) = node.child_by_field_name("argument") else { break };
                    node = inner;
                }
                "subscript_expression" => {
                    let Some(inner) = node.child_by_field_name("argument") else { break };
                    node = inner;
                }
                "parenthesized_expression" => {
                    let Some(inner) = node.named_child(0) else { break };
                    node = inner;
                }
                "cast_expression" => {
                    if let Some(ty) = node.child_by_field_name("type") {
                        let ty = ty.child_by_field_name("type").unwrap_or(ty);
                        base = Base::Typed(self.file.type_name(ty, None));
                    }
                    break;
                }
                "call_expression" => {
                    base = self.base_of_call(node);
                    break;
                }
                "assignment_expression" => {
                    let Some(inner) = node.child_by_field_name("left") else { break };
                    node = inner;
                }
                _ => break,
            }
        }
        fields.reverse();
        Path { base, fields, address }
    }

    fn base_of_call(&mut self, node: Node<'_>) -> Base {
        let Some(function) = node.child_by_field_name("function") else { return Base::Unknown };
        let name = self.file.str(function);
        let argument = |at: usize| {
            let list = node.child_by_field_name("arguments")?;
            list.named_child(at as u32)
        };
        if let Some((_, at)) = TYPED.iter().find(|(typed, _)| *typed == name) {
            return match argument(*at) {
                Some(ty) => {
                    let text = self.file.str(ty);
                    let text =
                        text.trim().trim_start_matches("struct ").trim_end_matches(['*', ' ']);
                    Base::Typed(self.file.names.of(text))
                }
                None => Base::Unknown,
            };
        }
        if TRANSPARENT.contains(&name.as_str())
            && let Some(inner) = argument(0)
        {
            let path = self.path(inner);
            return if path.fields.is_empty() { path.base } else { Base::Unknown };
        }
        match function.kind() {
            "identifier" => Base::Call(self.file.names.of(&name)),
            _ => Base::Unknown,
        }
    }

    /// A place given as text: the argument of a guard that was masked.
    pub(super) fn path_of_text(&mut self, text: &str) -> Path {
        let address = text.trim_start().starts_with('&');
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut words = text.split(|c: char| !is_word(c)).filter(|word| !word.is_empty());
        let base = match words.next() {
            Some(word) if text.contains(&format!("{word}(")) => {
                Base::Call(self.file.names.of(word))
            }
            Some(word) => Base::Var(self.file.names.of(word)),
            None => Base::Unknown,
        };
        let fields = words.map(str::to_owned).collect::<Vec<_>>();
        let fields = fields.iter().map(|word| self.file.names.of(word)).collect();
        Path { base, fields, address }
    }

    /// The calls in a place: `foo()->x`, `a[bar()]`.
    pub(super) fn effects_inside(&mut self, node: Node<'_>) {
        let mut inner = Some(node);
        for _ in 0..DEEPEST {
            let Some(node) = inner else { return };
            match node.kind() {
                "call_expression" => {
                    self.value(node);
                    return;
                }
                "field_expression" | "pointer_expression" | "cast_expression" => {
                    inner = node
                        .child_by_field_name("argument")
                        .or_else(|| node.child_by_field_name("value"));
                }
                "subscript_expression" => {
                    if let Some(index) = node.child_by_field_name("index")
                        && !matches!(index.kind(), "identifier" | "number_literal")
                    {
                        self.value(index);
                    }
                    inner = node.child_by_field_name("argument");
                }
                "parenthesized_expression" => inner = node.named_child(0),
                "assignment_expression" | "comma_expression" | "conditional_expression" => {
                    self.value(node);
                    return;
                }
                _ => return,
            }
        }
    }
}
