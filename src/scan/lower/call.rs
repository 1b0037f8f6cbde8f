//! Calls: those that become operations, and the macros that are something else.
//! Must not know: what a function does.

use super::body::Body;
use crate::scan::ir::{Base, Call, Callee, End, Expr, Guard, Op, Path};
use crate::scan::parse::Node;
use crate::scan::tables;

/// Functions that do not return.
const NEVER: [&str; 9] = [
    "abort",
    "exit",
    "_exit",
    "g_assert_not_reached",
    "g_error",
    "__builtin_unreachable",
    "qemu_build_not_reached",
    "pthread_exit",
    "qemu_thread_exit",
];

/// Macros that give the value of their first argument.
pub(super) const TRANSPARENT: [&str; 12] = [
    "likely",
    "unlikely",
    "qatomic_read",
    "qatomic_load_acquire",
    "qatomic_rcu_read",
    "qatomic_mb_read",
    "atomic_read",
    "atomic_rcu_read",
    "atomic_mb_read",
    "G_LIKELY",
    "G_UNLIKELY",
    "__builtin_expect",
];

impl Body<'_, '_> {
    pub(super) fn call_expression(&mut self, node: Node<'_>) -> Expr {
        let Some(function) = node.child_by_field_name("function") else { return self.plain(node) };
        let mut arguments = Vec::new();
        if let Some(list) = node.child_by_field_name("arguments") {
            let mut cursor = list.walk();
            arguments.extend(list.named_children(&mut cursor).filter(|n| n.kind() != "comment"));
        }
        let name = match function.kind() {
            "identifier" => self.file.str(function),
            _ => String::new(),
        };
        if TRANSPARENT.contains(&name.as_str())
            && let Some(first) = arguments.first()
        {
            let value = self.value(*first);
            return value;
        }
        if matches!(name.as_str(), "assert" | "g_assert") {
            if let Some(first) = arguments.first() {
                self.assertion(*first, false);
            }
            return Expr::Const(0);
        }
        if self.guard_call(&name, &arguments, node) {
            return Expr::Const(0);
        }
        let args: Vec<Expr> = arguments.iter().map(|&argument| self.value(argument)).collect();
        if tables::locks().bql.main_thread.contains(&name) && args.is_empty() {
            let what = self.file.names.of(&name);
            let line = Self::line(node);
            self.op(Op::Require { held: true, what, line, conditional: self.conditional > 0 });
            return Expr::Const(1);
        }
        // Assigning through a macro: `qatomic_set(&x, v)`.
        if matches!(name.as_str(), "qatomic_set" | "atomic_set" | "qatomic_store_release")
            && let [Expr::Path(to), value] = &args[..]
        {
            let to = Path { address: false, ..to.clone() };
            self.op(Op::Assign { to, value: value.clone(), line: Self::line(node) });
            return Expr::Const(0);
        }
        let callee = match function.kind() {
            "identifier" => Callee::Name(self.file.names.of(&name)),
            _ => {
                self.effects_inside(function);
                let path = self.path(function);
                match (&path.base, path.fields.is_empty()) {
                    (Base::Var(name), true) => Callee::Name(*name),
                    (Base::Unknown, true) => Callee::Unknown,
                    _ => Callee::Path(path),
                }
            }
        };
        let temp = self.call(callee, args, node);
        if NEVER.contains(&name.as_str()) {
            self.end(End::Never);
        }
        Expr::Temp(temp)
    }

    /// A guard that lasts to the end of the scope around.
    fn guard_call(&mut self, name: &str, arguments: &[Node<'_>], node: Node<'_>) -> bool {
        let none = Path { base: Base::Unknown, fields: Vec::new(), address: false };
        let (guard, lock) = match name {
            "QEMU_LOCK_GUARD" => match arguments.first() {
                Some(&argument) => (Guard::Mutex, self.path(argument)),
                None => return false,
            },
            "RCU_READ_LOCK_GUARD" => (Guard::Rcu, none),
            _ if tables::locks().mutex.guards.contains_key(name) => {
                let mutex = &tables::locks().mutex.guards[name];
                (Guard::Mutex, self.path_of_text(mutex))
            }
            _ if tables::locks().bql.guards.iter().any(|guard| guard == name) => (Guard::Bql, none),
            _ => return false,
        };
        self.open(guard, lock, Self::line(node));
        true
    }

    /// An operation that is no call in C, but one to us.
    fn call(&mut self, callee: Callee, args: Vec<Expr>, node: Node<'_>) -> u32 {
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
