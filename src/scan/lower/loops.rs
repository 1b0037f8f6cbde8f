//! Loops, and guards that the mask made loops of.
//! Must not know: what a condition or a statement in them does.

use super::body::{Body, Exit};
use crate::scan::ir::{BlockId, End, Expr, Guard, Op, Path};
use crate::scan::mask::Mark;
use crate::scan::parse::Node;
use crate::scan::tables;

impl Body<'_, '_> {
    pub(super) fn loop_or_guard(&mut self, node: Node<'_>) {
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
}
