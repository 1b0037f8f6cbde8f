//! `switch`: each case is a block that the one before falls into.
//! Must not know: which value leads to which case.

use super::DEEPEST;
use super::body::{Body, Exit};
use crate::scan::ir::{BlockId, End};
use crate::scan::parse::Node;

impl Body<'_, '_> {
    pub(super) fn switch(&mut self, node: Node<'_>) {
        let after = self.block();
        if let Some(condition) = node.child_by_field_name("condition") {
            self.value(condition);
        }
        let from = self.current;
        self.end(End::Never);
        let guards = self.guards.len();
        self.breaks.push(Exit { block: after, guards });
        self.conditional += 1;
        let mut cases = Vec::new();
        let mut default = false;
        if let Some(body) = node.child_by_field_name("body") {
            self.cases(body, &mut cases, &mut default, 0);
        }
        self.close(guards, node.end_position().row as u32 + 1);
        self.conditional -= 1;
        self.breaks.pop();
        self.end(End::Goto(after));
        if !default {
            cases.push(after);
        }
        self.function.blocks[from as usize].end = End::Any(cases);
        self.enter(after);
    }

    /// The statements of a switch: each case is a block that the one before
    /// falls into.
    fn cases(
        &mut self,
        node: Node<'_>,
        cases: &mut Vec<BlockId>,
        default: &mut bool,
        depth: usize,
    ) {
        if depth > DEEPEST {
            return;
        }
        let mut cursor = node.walk();
        let children: Vec<Node<'_>> = node.named_children(&mut cursor).collect();
        for child in children {
            match child.kind() {
                "case_statement" => {
                    let block = self.block();
                    self.flow(block);
                    cases.push(block);
                    let value = child.child_by_field_name("value");
                    *default |= value.is_none();
                    let mut inner = child.walk();
                    let statements: Vec<Node<'_>> = child.named_children(&mut inner).collect();
                    for statement in statements {
                        if Some(statement) == value {
                            continue;
                        }
                        match statement.kind() {
                            "case_statement" => self.case_inside(statement, cases, default),
                            _ => self.statement(statement),
                        }
                    }
                }
                kind if kind.starts_with("preproc_") => {
                    self.cases(child, cases, default, depth + 1);
                }
                _ => self.statement(child),
            }
        }
    }

    /// A case in a case, as the parser nests them after an `#if`.
    fn case_inside(&mut self, node: Node<'_>, cases: &mut Vec<BlockId>, default: &mut bool) {
        let block = self.block();
        self.flow(block);
        cases.push(block);
        *default |= node.child_by_field_name("value").is_none();
        self.statement(node);
    }
}
