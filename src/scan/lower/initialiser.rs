//! Initialisers at file scope: which member is set to which function.
//! Must not know: what the member is for.

use super::{DEEPEST, Lower};
use crate::scan::ir::{Member, Name, Store};
use crate::scan::parse::Node;

impl Lower<'_> {
    /// Records the members that `value` sets to a name.
    pub(super) fn initialiser(&mut self, owner: Name, ty: Name, value: Node<'_>) {
        let mut fields = Vec::new();
        self.initialise(owner, ty, value, &mut fields);
    }

    fn initialise(&mut self, owner: Name, ty: Name, value: Node<'_>, fields: &mut Vec<Member>) {
        if fields.len() > DEEPEST {
            return;
        }
        match value.kind() {
            "initializer_list" => {
                let mut position = 0;
                let mut cursor = value.walk();
                for child in value.named_children(&mut cursor) {
                    if child.kind() == "comment" {
                        continue;
                    }
                    let depth = fields.len();
                    let inner = match child.kind() {
                        "initializer_pair" => {
                            self.designators(child, fields);
                            child.child_by_field_name("value")
                        }
                        _ => {
                            fields.push(Member::At(position));
                            Some(child)
                        }
                    };
                    position += 1;
                    if let Some(inner) = inner {
                        self.initialise(owner, ty, inner, fields);
                    }
                    fields.truncate(depth);
                }
            }
            "compound_literal_expression" => {
                if let Some(inner) = value.child_by_field_name("value") {
                    self.initialise(owner, ty, inner, fields);
                }
            }
            "identifier" => self.store(owner, ty, value, fields),
            "pointer_expression" | "cast_expression" | "parenthesized_expression" => {
                let inner = value
                    .child_by_field_name("argument")
                    .or_else(|| value.child_by_field_name("value"))
                    .or_else(|| value.named_child(0));
                if let Some(inner) = inner.filter(|inner| inner.kind() == "identifier") {
                    self.store(owner, ty, inner, fields);
                }
            }
            // `.load_state = true`: that it is set matters too.
            "true" | "number_literal" => self.store(owner, ty, value, fields),
            _ => {}
        }
    }

    fn store(&mut self, owner: Name, ty: Name, value: Node<'_>, fields: &[Member]) {
        let line = value.start_position().row as u32 + 1;
        let value = self.name(value);
        self.facts.stores.push(Store { owner, ty, fields: fields.to_vec(), value, line });
    }

    /// `.a.b[3] =`: subscripts are left out, since the members of all elements
    /// are of one type.
    fn designators(&mut self, pair: Node<'_>, fields: &mut Vec<Member>) {
        let mut cursor = pair.walk();
        let mut any = false;
        for designator in pair.children_by_field_name("designator", &mut cursor) {
            any = true;
            if designator.kind() == "field_designator"
                && let Some(field) = designator.named_child(0)
            {
                fields.push(Member::Named(self.name(field)));
            }
        }
        if !any && let Some(first) = pair.named_child(0) {
            fields.push(Member::Named(self.name(first)));
        }
    }
}
