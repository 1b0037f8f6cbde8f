//! Conditions, which become branches, and what an assert says.
//! Must not know: what stands on either side of a branch.

use super::DEEPEST;
use super::body::Body;
use super::call::TRANSPARENT;
use crate::scan::ir::{BlockId, End, Expr, Op};
use crate::scan::parse::Node;
use crate::scan::tables;

impl Body<'_, '_> {
    /// Branches to `yes` if the expression is true, else to `no`.
    pub(super) fn condition(&mut self, node: Node<'_>, yes: BlockId, no: BlockId) {
        if self.depth > DEEPEST {
            self.end(End::Any(vec![yes, no]));
            return;
        }
        self.depth += 1;
        self.branch(node, yes, no);
        self.depth -= 1;
    }

    fn branch(&mut self, node: Node<'_>, yes: BlockId, no: BlockId) {
        match node.kind() {
            "parenthesized_expression" => {
                if let Some(inner) = node.named_child(0) {
                    return self.condition(inner, yes, no);
                }
            }
            "unary_expression" if self.operator(node) == Some("!") => {
                if let Some(inner) = node.child_by_field_name("argument") {
                    return self.condition(inner, no, yes);
                }
            }
            "binary_expression" if self.is_logical(node) => {
                let (Some(left), Some(right)) =
                    (node.child_by_field_name("left"), node.child_by_field_name("right"))
                else {
                    return self.end(End::Any(vec![yes, no]));
                };
                let second = self.block();
                match self.operator(node) {
                    Some("&&") => self.condition(left, second, no),
                    _ => self.condition(left, yes, second),
                }
                self.enter(second);
                self.conditional += 1;
                self.condition(right, yes, no);
                self.conditional -= 1;
                return;
            }
            "call_expression" => {
                let name = node.child_by_field_name("function").map(|f| self.file.str(f));
                let list = node.child_by_field_name("arguments");
                if name.as_deref().is_some_and(|name| TRANSPARENT.contains(&name))
                    && let Some(inner) = list.and_then(|list| list.named_child(0))
                {
                    return self.condition(inner, yes, no);
                }
            }
            _ => {}
        }
        let condition = self.value(node);
        self.end(match condition {
            Expr::Const(value) => End::Goto(if value != 0 { yes } else { no }),
            Expr::Not(inner) => End::Branch { condition: *inner, yes: no, no: yes },
            condition => End::Branch { condition, yes, no },
        });
    }

    /// `assert(x)`: what it says of the lock, and of variables.
    pub(super) fn assertion(&mut self, node: Node<'_>, negated: bool) {
        let conditional = self.conditional > 0;
        let line = Self::line(node);
        match node.kind() {
            "parenthesized_expression" => {
                if let Some(inner) = node.named_child(0) {
                    self.assertion(inner, negated);
                }
            }
            "unary_expression" if self.operator(node) == Some("!") => {
                if let Some(inner) = node.child_by_field_name("argument") {
                    self.assertion(inner, !negated);
                }
            }
            "binary_expression" if self.operator(node) == Some("&&") && !negated => {
                for field in ["left", "right"] {
                    if let Some(inner) = node.child_by_field_name(field) {
                        self.assertion(inner, false);
                    }
                }
            }
            "binary_expression" if self.operator(node) == Some("||") && !negated => {
                let (Some(left), Some(right)) =
                    (node.child_by_field_name("left"), node.child_by_field_name("right"))
                else {
                    return;
                };
                let (next, after) = (self.block(), self.block());
                self.condition(left, after, next);
                self.enter(next);
                self.conditional += 1;
                self.assertion(right, false);
                self.conditional -= 1;
                self.flow(after);
            }
            "call_expression" => {
                let name = node.child_by_field_name("function").map(|f| self.file.str(f));
                let name = name.unwrap_or_default();
                let bql = &tables::locks().bql;
                if bql.locked.contains(&name) {
                    let what = self.file.names.of(&name);
                    self.op(Op::Require { held: !negated, what, line, conditional });
                } else if name == "qemu_in_coroutine" {
                    self.op(Op::RequireCoroutine { inside: !negated });
                } else {
                    self.assertion_of_value(node, negated);
                }
            }
            _ => self.assertion_of_value(node, negated),
        }
    }

    fn assertion_of_value(&mut self, node: Node<'_>, negated: bool) {
        let (holds, fails) = (self.block(), self.block());
        match negated {
            false => self.condition(node, holds, fails),
            true => self.condition(node, fails, holds),
        }
        self.enter(fails);
        self.end(End::Never);
        self.enter(holds);
    }
}
