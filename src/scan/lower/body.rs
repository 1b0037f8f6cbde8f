//! Statements, to a graph of blocks. Guards end where their scope ends, on every
//! way out of it.
//! Must not know: what an operation does to a lock.

use super::{DEEPEST, Lower};
use crate::scan::ir::{Base, Block, BlockId, End, Function, Guard, Name, Op, Path, Type};
use crate::scan::parse::Node;
use std::collections::HashMap;

/// A guard whose scope is open.
#[derive(Clone)]
pub(super) struct Open {
    guard: Guard,
    lock: Path,
}

/// Where `break` or `continue` go, and how many guards are open there.
#[derive(Clone, Copy)]
pub(super) struct Exit {
    pub(super) block: BlockId,
    pub(super) guards: usize,
}

/// A function body under way.
pub(super) struct Body<'l, 'a> {
    pub(super) file: &'l mut Lower<'a>,
    pub(super) function: &'l mut Function,
    /// Where operations go. A block that nothing leads to is kept: it is dead.
    pub(super) current: BlockId,
    pub(super) guards: Vec<Open>,
    pub(super) breaks: Vec<Exit>,
    pub(super) continues: Vec<Exit>,
    /// The labels met: their block and the guards open there.
    labels: HashMap<Name, (BlockId, usize)>,
    /// Jumps: from which block, to which label, with which guards open.
    jumps: Vec<(BlockId, Name, Vec<Open>, u32)>,
    /// How many conditions, loops and cases there are around.
    pub(super) conditional: u32,
    pub(super) depth: usize,
}

/// Lowers `body` into `function.blocks`.
pub(super) fn lower(file: &mut Lower<'_>, function: &mut Function, body: Node<'_>) {
    let end_line = function.end_line;
    let mut this = Body {
        file,
        function,
        current: 0,
        guards: Vec::new(),
        breaks: Vec::new(),
        continues: Vec::new(),
        labels: HashMap::new(),
        jumps: Vec::new(),
        conditional: 0,
        depth: 0,
    };
    this.current = this.block();
    this.statement(body);
    this.end(End::Return { value: None, line: end_line });
    this.resolve_jumps();
}

impl Body<'_, '_> {
    /// A new block, which leads nowhere as yet.
    pub(super) fn block(&mut self) -> BlockId {
        self.function.blocks.push(Block { ops: Vec::new(), end: End::Never });
        (self.function.blocks.len() - 1) as BlockId
    }

    pub(super) fn op(&mut self, op: Op) {
        self.function.blocks[self.current as usize].ops.push(op);
    }

    /// Ends the current block; what follows is dead until `enter`.
    pub(super) fn end(&mut self, end: End) {
        self.function.blocks[self.current as usize].end = end;
        self.current = self.block();
    }

    /// Goes on in `block`.
    pub(super) fn enter(&mut self, block: BlockId) {
        self.current = block;
    }

    /// Goes to `block` and goes on there.
    pub(super) fn flow(&mut self, block: BlockId) {
        self.function.blocks[self.current as usize].end = End::Goto(block);
        self.current = block;
    }

    pub(super) fn line(node: Node<'_>) -> u32 {
        node.start_position().row as u32 + 1
    }

    /// Leaves the guards above `down_to`, innermost first, without forgetting them.
    fn leave(&mut self, down_to: usize, line: u32) {
        for at in (down_to..self.guards.len()).rev() {
            let Open { guard, lock } = self.guards[at].clone();
            self.op(Op::Leave { guard, lock, line });
        }
    }

    /// Opens a guard; its scope ends with the block of statements around.
    pub(super) fn open(&mut self, guard: Guard, lock: Path, line: u32) {
        self.op(Op::Enter { guard, lock: lock.clone(), line });
        self.guards.push(Open { guard, lock });
    }

    /// Ends the scope of the guards above `down_to`.
    pub(super) fn close(&mut self, down_to: usize, line: u32) {
        self.leave(down_to, line);
        self.guards.truncate(down_to);
    }

    fn jump(&mut self, to: Exit, line: u32) {
        self.leave(to.guards, line);
        self.end(End::Goto(to.block));
    }

    fn resolve_jumps(&mut self) {
        for (from, label, open, line) in std::mem::take(&mut self.jumps) {
            let Some(&(to, guards)) = self.labels.get(&label) else {
                // A label that was lost: the jump leads out of what is known.
                continue;
            };
            self.current = from;
            for Open { guard, lock } in open.into_iter().skip(guards).rev() {
                self.op(Op::Leave { guard, lock, line });
            }
            self.function.blocks[from as usize].end = End::Goto(to);
        }
    }

    pub(super) fn statement(&mut self, node: Node<'_>) {
        if self.depth > DEEPEST {
            return;
        }
        self.depth += 1;
        match node.kind() {
            "compound_statement" => {
                let guards = self.guards.len();
                let mut cursor = node.walk();
                for child in node.named_children(&mut cursor) {
                    self.statement(child);
                }
                self.close(guards, node.end_position().row as u32 + 1);
            }
            "expression_statement" => {
                if let Some(inner) = node.named_child(0) {
                    self.discard(inner);
                }
            }
            "declaration" => self.local(node),
            "if_statement" => self.conditional_statement(node),
            "while_statement" | "do_statement" | "for_statement" => self.loop_or_guard(node),
            "switch_statement" => self.switch(node),
            "return_statement" => self.return_statement(node),
            "break_statement" => {
                if let Some(&to) = self.breaks.last() {
                    self.jump(to, Self::line(node));
                }
            }
            "continue_statement" => {
                if let Some(&to) = self.continues.last() {
                    self.jump(to, Self::line(node));
                }
            }
            "goto_statement" => {
                if let Some(label) = node.child_by_field_name("label") {
                    let label = self.file.name(label);
                    let from = self.current;
                    self.jumps.push((from, label, self.guards.clone(), Self::line(node)));
                    self.end(End::Never);
                    // `end` set what `resolve_jumps` will set again.
                }
            }
            "labeled_statement" => {
                if let Some(label) = node.child_by_field_name("label") {
                    let label = self.file.name(label);
                    let block = self.block();
                    self.flow(block);
                    self.labels.insert(label, (block, self.guards.len()));
                }
                let count = node.named_child_count();
                if let Some(inner) = node.named_child(count.saturating_sub(1) as u32)
                    && count > 1
                {
                    self.statement(inner);
                }
            }
            "case_statement"
            | "preproc_if"
            | "preproc_ifdef"
            | "preproc_else"
            | "preproc_elif"
            | "preproc_elifdef"
            | "else_clause"
            | "attributed_statement" => {
                // Both halves of an `#if` are read, one after the other.
                let mut cursor = node.walk();
                let named: Vec<Node<'_>> = node.named_children(&mut cursor).collect();
                for child in named {
                    self.statement(child);
                }
            }
            kind if kind.ends_with("_expression") => self.discard(node),
            _ => {}
        }
        self.depth -= 1;
    }

    pub(super) fn local(&mut self, node: Node<'_>) {
        let Some(ty) = node.child_by_field_name("type") else { return };
        let base = self.file.type_name(ty, None);
        let mut cursor = node.walk();
        let declarators: Vec<Node<'_>> =
            node.children_by_field_name("declarator", &mut cursor).collect();
        for declarator in declarators {
            let (inner, value) = match declarator.kind() {
                "init_declarator" => (
                    declarator.child_by_field_name("declarator"),
                    declarator.child_by_field_name("value"),
                ),
                _ => (Some(declarator), None),
            };
            let Some((name, pointers)) = inner.and_then(|inner| self.file.declared(inner)) else {
                continue;
            };
            let ty = Type { name: base, pointers };
            self.function.locals.push((name, ty));
            let Some(value) = value else { continue };
            let to = Path { base: Base::Var(name), fields: Vec::new(), address: false };
            self.assign_from(to, value);
        }
    }

    fn conditional_statement(&mut self, node: Node<'_>) {
        let (yes, no, after) = (self.block(), self.block(), self.block());
        if let Some(condition) = node.child_by_field_name("condition") {
            self.condition(condition, yes, no);
        } else {
            self.end(End::Any(vec![yes, no]));
        }
        self.conditional += 1;
        self.enter(yes);
        if let Some(then) = node.child_by_field_name("consequence") {
            self.scoped(then);
        }
        self.end(End::Goto(after));
        self.enter(no);
        if let Some(otherwise) = node.child_by_field_name("alternative") {
            self.scoped(otherwise);
        }
        self.end(End::Goto(after));
        self.conditional -= 1;
        self.enter(after);
    }

    /// A statement that is a scope of its own, with or without braces.
    pub(super) fn scoped(&mut self, node: Node<'_>) {
        let guards = self.guards.len();
        self.statement(node);
        self.close(guards, node.end_position().row as u32 + 1);
    }

    fn return_statement(&mut self, node: Node<'_>) {
        let line = Self::line(node);
        let value = node.named_child(0).map(|inner| self.value_with_ways(inner));
        self.leave(0, line);
        self.end(End::Return { value, line });
    }
}
