//! Statements, to a graph of blocks. Guards end where their scope ends, on every
//! way out of it.
//! Must not know: what an operation does to a lock.

use super::{DEEPEST, Lower};
use crate::scan::ir::{
    Base, Block, BlockId, Call, Callee, End, Expr, Function, Guard, Name, Op, Path,
};
use crate::scan::mask::Mark;
use crate::scan::parse::Node;
use crate::scan::tables;
use std::collections::HashMap;

/// A guard whose scope is open.
#[derive(Clone)]
struct Open {
    guard: Guard,
    lock: Path,
}

/// Where `break` or `continue` go, and how many guards are open there.
#[derive(Clone, Copy)]
struct Exit {
    block: BlockId,
    guards: usize,
}

/// A function body under way.
pub(super) struct Body<'l, 'a> {
    pub(super) file: &'l mut Lower<'a>,
    pub(super) function: &'l mut Function,
    /// Where operations go. A block that nothing leads to is kept: it is dead.
    current: BlockId,
    guards: Vec<Open>,
    breaks: Vec<Exit>,
    continues: Vec<Exit>,
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
    fn close(&mut self, down_to: usize, line: u32) {
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

    fn local(&mut self, node: Node<'_>) {
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
            let ty = crate::scan::ir::Type { name: base, pointers };
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
    fn scoped(&mut self, node: Node<'_>) {
        let guards = self.guards.len();
        self.statement(node);
        self.close(guards, node.end_position().row as u32 + 1);
    }

    fn loop_or_guard(&mut self, node: Node<'_>) {
        let mark = self.file.masked.marks.get(&node.start_byte());
        match mark {
            Some(Mark::Guard { guard, lock }) => {
                let (guard, lock) = (*guard, lock.clone());
                self.guard_statement(node, guard, &lock);
            }
            Some(Mark::Loop { args, .. }) => {
                let args = args.clone();
                self.each(node, &args);
            }
            _ => self.plain_loop(node),
        }
    }

    /// `WITH_QEMU_LOCK_GUARD(&x) { … }`: a loop of one turn; `break` leaves it.
    fn guard_statement(&mut self, node: Node<'_>, guard: Guard, lock: &str) {
        let lock = match lock.trim().is_empty() && guard == Guard::Mutex {
            true => self.guard_without_argument(node),
            false => self.path_of_text(lock),
        };
        let after = self.block();
        let guards = self.guards.len();
        self.open(guard, lock, Self::line(node));
        let exit = Exit { block: after, guards };
        self.breaks.push(exit);
        self.continues.push(exit);
        if let Some(body) = node.child_by_field_name("body") {
            self.statement(body);
        }
        self.breaks.pop();
        self.continues.pop();
        self.close(guards, node.end_position().row as u32 + 1);
        self.flow(after);
    }

    /// The mutex of `WITH_JOB_LOCK_GUARD()`, by the macro's name.
    fn guard_without_argument(&mut self, node: Node<'_>) -> Path {
        let text = &self.file.original[node.start_byte()..];
        let end = text.iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'_');
        let name = String::from_utf8_lossy(&text[..end.unwrap_or(text.len())]);
        let mutex = tables::locks().mutex.guards.get(&*name).map_or("", String::as_str);
        self.path_of_text(mutex)
    }

    /// `QTAILQ_FOREACH(…) { … }`: none, one or more turns.
    fn each(&mut self, node: Node<'_>, args: &str) {
        let (head, body, after) = (self.block(), self.block(), self.block());
        self.flow(head);
        // What the macro assigns takes a value of which nothing is known.
        for word in args.split(',').take(1) {
            let to = self.path_of_text(word);
            let value = Expr::Opaque { text: self.file.names.of("(each)"), uses: Vec::new() };
            self.op(Op::Assign { to, value, line: Self::line(node) });
        }
        self.end(End::Any(vec![body, after]));
        self.turn(node, body, head, after, head);
    }

    /// The body of a loop.
    fn turn(
        &mut self,
        node: Node<'_>,
        body: BlockId,
        next: BlockId,
        after: BlockId,
        then: BlockId,
    ) {
        let guards = self.guards.len();
        self.enter(body);
        self.breaks.push(Exit { block: after, guards });
        self.continues.push(Exit { block: next, guards });
        self.conditional += 1;
        if let Some(body) = node.child_by_field_name("body") {
            self.scoped(body);
        }
        self.conditional -= 1;
        self.breaks.pop();
        self.continues.pop();
        self.end(End::Goto(then));
        self.enter(after);
    }

    fn plain_loop(&mut self, node: Node<'_>) {
        let (head, body, next, after) = (self.block(), self.block(), self.block(), self.block());
        if let Some(initializer) = node.child_by_field_name("initializer") {
            match initializer.kind() {
                "declaration" => self.local(initializer),
                _ => self.discard(initializer),
            }
        }
        let condition = node.child_by_field_name("condition");
        let test = |this: &mut Self, yes, no| match condition {
            Some(condition) => this.condition(condition, yes, no),
            None => this.end(End::Goto(yes)),
        };
        if node.kind() == "do_statement" {
            self.flow(body);
            self.turn(node, body, head, after, head);
            self.enter(head);
            test(self, body, after);
        } else {
            self.flow(head);
            test(self, body, after);
            self.turn(node, body, next, after, next);
            self.enter(next);
            if let Some(update) = node.child_by_field_name("update") {
                self.discard(update);
            }
            self.end(End::Goto(head));
        }
        self.enter(after);
    }

    fn switch(&mut self, node: Node<'_>) {
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

    fn return_statement(&mut self, node: Node<'_>) {
        let line = Self::line(node);
        let value = node.named_child(0).map(|inner| self.value_with_ways(inner));
        self.leave(0, line);
        self.end(End::Return { value, line });
    }

    /// An operation that is no call in C, but one to us.
    pub(super) fn call(&mut self, callee: Callee, args: Vec<Expr>, node: Node<'_>) -> u32 {
        let temp = self.function.temps;
        self.function.temps += 1;
        let start = node.start_position();
        self.op(Op::Call(Call {
            callee,
            args,
            line: start.row as u32 + 1,
            column: start.column as u32 + 1,
            temp,
            conditional: self.conditional > 0,
        }));
        temp
    }
}
