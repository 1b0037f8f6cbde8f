//! Expressions: the calls in them become operations in the order in which C
//! evaluates them, conditions become branches.
//! Must not know: what a function does.

use super::body::Body;
use super::{DEEPEST, Names};
use crate::scan::ir::{Base, BlockId, Callee, Comparison, End, Expr, Guard, Name, Op, Path};
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
const TRANSPARENT: [&str; 12] = [
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

fn variable(name: Name) -> Path {
    Path { base: Base::Var(name), fields: Vec::new(), address: false }
}

impl Names {
    fn opaque(&mut self, text: &str) -> Expr {
        let mut folded = String::with_capacity(text.len().min(200));
        for word in text.split_ascii_whitespace() {
            if !folded.is_empty() {
                folded.push(' ');
            }
            folded.push_str(word);
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut uses: Vec<Name> = folded
            .split(|c: char| !is_word(c))
            .filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
            .take(16)
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .iter()
            .map(|word| self.of(word))
            .collect();
        uses.sort();
        uses.dedup();
        Expr::Opaque { text: self.of(&folded), uses }
    }
}

impl Body<'_, '_> {
    /// Evaluates for the effects alone.
    pub(super) fn discard(&mut self, node: Node<'_>) {
        self.value(node);
    }

    /// `to = value`, where `value` is an expression or an initialiser.
    pub(super) fn assign_from(&mut self, to: Path, value: Node<'_>) {
        let line = Self::line(value);
        if value.kind() == "initializer_list" {
            self.members(&to, value, 0);
            return;
        }
        if value.kind() == "compound_literal_expression" {
            if let Some(inner) = value.child_by_field_name("value") {
                self.members(&to, inner, 0);
            }
            return;
        }
        let value = self.value_with_ways(value);
        self.op(Op::Assign { to, value, line });
    }

    /// `{ .read = f }` in a function.
    fn members(&mut self, to: &Path, list: Node<'_>, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        let mut cursor = list.walk();
        let children: Vec<Node<'_>> = list.named_children(&mut cursor).collect();
        for child in children {
            if child.kind() != "initializer_pair" {
                continue;
            }
            let Some(value) = child.child_by_field_name("value") else { continue };
            let mut path = Path { address: false, ..to.clone() };
            let mut inner = child.walk();
            for designator in child.children_by_field_name("designator", &mut inner) {
                if designator.kind() == "field_designator"
                    && let Some(field) = designator.named_child(0)
                {
                    path.fields.push(self.file.name(field));
                }
            }
            if value.kind() == "initializer_list" {
                self.members(&path, value, depth + 1);
            } else {
                let line = Self::line(value);
                let value = self.value(value);
                self.op(Op::Assign { to: path, value, line });
            }
        }
    }

    /// The value of an expression; `a ? b : c` and `a && b` become branches, so
    /// that what is returned or assigned stays tied to the way that led there.
    pub(super) fn value_with_ways(&mut self, node: Node<'_>) -> Expr {
        match node.kind() {
            "parenthesized_expression" => match node.named_child(0) {
                Some(inner) => self.value_with_ways(inner),
                None => Expr::Const(0),
            },
            "conditional_expression" => self.ternary(node),
            "binary_expression" if self.is_logical(node) => self.logical(node),
            _ => self.value(node),
        }
    }

    fn is_logical(&self, node: Node<'_>) -> bool {
        matches!(self.operator(node), Some("&&" | "||"))
    }

    fn operator<'t>(&self, node: Node<'t>) -> Option<&'t str> {
        node.child_by_field_name("operator").map(|operator| operator.kind())
    }

    fn synthetic(&mut self) -> Path {
        let name = format!("${}", self.function.temps);
        self.function.temps += 1;
        variable(self.file.names.of(&name))
    }

    fn ternary(&mut self, node: Node<'_>) -> Expr {
        let result = self.synthetic();
        let (yes, no, after) = (self.block(), self.block(), self.block());
        match node.child_by_field_name("condition") {
            Some(condition) => self.condition(condition, yes, no),
            None => self.end(End::Any(vec![yes, no])),
        }
        self.conditional += 1;
        for (block, field) in [(yes, "consequence"), (no, "alternative")] {
            self.enter(block);
            if let Some(value) = node.child_by_field_name(field) {
                let line = Self::line(value);
                let value = self.value_with_ways(value);
                self.op(Op::Assign { to: result.clone(), value, line });
            }
            self.end(End::Goto(after));
        }
        self.conditional -= 1;
        self.enter(after);
        Expr::Path(result)
    }

    fn logical(&mut self, node: Node<'_>) -> Expr {
        let result = self.synthetic();
        let line = Self::line(node);
        let (yes, no, after) = (self.block(), self.block(), self.block());
        self.condition(node, yes, no);
        for (block, value) in [(yes, 1), (no, 0)] {
            self.enter(block);
            self.op(Op::Assign { to: result.clone(), value: Expr::Const(value), line });
            self.end(End::Goto(after));
        }
        self.enter(after);
        Expr::Path(result)
    }

    /// The value of an expression, its calls as operations.
    pub(super) fn value(&mut self, node: Node<'_>) -> Expr {
        if self.depth > DEEPEST {
            return Expr::Opaque { text: self.file.names.of("(deep)"), uses: Vec::new() };
        }
        self.depth += 1;
        let value = self.value_of(node);
        self.depth -= 1;
        value
    }

    fn value_of(&mut self, node: Node<'_>) -> Expr {
        match node.kind() {
            "parenthesized_expression" => match node.named_child(0) {
                Some(inner) => self.value(inner),
                None => Expr::Const(0),
            },
            "number_literal" => self.number(node),
            "true" => Expr::Const(1),
            "false" | "null" => Expr::Const(0),
            "char_literal" => self.plain(node),
            "string_literal" | "concatenated_string" => {
                let text = self.file.str(node);
                Expr::Text(self.file.names.of(text.trim_matches('"')))
            }
            "identifier" | "field_expression" | "subscript_expression" | "pointer_expression" => {
                self.effects_inside(node);
                Expr::Path(self.path(node))
            }
            "cast_expression" => match node.child_by_field_name("value") {
                Some(inner) => match self.value(inner) {
                    Expr::Path(path) if path.fields.is_empty() => Expr::Path(path),
                    other => other,
                },
                None => Expr::Const(0),
            },
            "call_expression" => self.call_expression(node),
            "assignment_expression" => self.assignment(node),
            "comma_expression" => {
                let mut last = Expr::Const(0);
                for field in ["left", "right"] {
                    if let Some(inner) = node.child_by_field_name(field) {
                        last = self.value(inner);
                    }
                }
                last
            }
            "conditional_expression" => self.ternary(node),
            "unary_expression" => self.unary(node),
            "binary_expression" => self.binary(node),
            "update_expression" => {
                if let Some(inner) = node.child_by_field_name("argument") {
                    let to = self.path(inner);
                    let value = self.unknown();
                    self.op(Op::Assign { to, value, line: Self::line(node) });
                }
                self.plain(node)
            }
            "sizeof_expression" | "alignof_expression" | "offsetof_expression" => self.plain(node),
            "compound_statement" => {
                // A statement expression: `({ … })`.
                self.statement(node);
                self.plain(node)
            }
            _ => {
                let mut cursor = node.walk();
                let children: Vec<Node<'_>> = node.named_children(&mut cursor).collect();
                for child in children {
                    self.value(child);
                }
                self.plain(node)
            }
        }
    }

    fn unknown(&mut self) -> Expr {
        Expr::Opaque { text: self.file.names.of("(changed)"), uses: Vec::new() }
    }

    /// An expression by its text.
    fn plain(&mut self, node: Node<'_>) -> Expr {
        let text = self.file.str(node);
        self.file.names.opaque(&text)
    }

    fn number(&mut self, node: Node<'_>) -> Expr {
        let text = self.file.str(node);
        let digits = text.trim_end_matches(['u', 'U', 'l', 'L']);
        let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hex) => i64::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        value.map_or_else(|_| self.plain(node), Expr::Const)
    }

    fn unary(&mut self, node: Node<'_>) -> Expr {
        let Some(argument) = node.child_by_field_name("argument") else { return self.plain(node) };
        let operator = self.operator(node);
        let text = self.file.str(argument);
        let inner = self.value(argument);
        match (operator, inner) {
            (Some("!"), Expr::Const(value)) => Expr::Const(i64::from(value == 0)),
            (Some("!"), Expr::Not(inner)) => *inner,
            (Some("!"), inner) => Expr::Not(Box::new(inner)),
            (Some("-"), Expr::Const(value)) => Expr::Const(value.wrapping_neg()),
            // `-EINVAL`: which one does not matter, its sign does.
            (Some("-"), _) if text.starts_with('E') || text == "errno" => Expr::Const(-1),
            _ => self.plain(node),
        }
    }

    fn binary(&mut self, node: Node<'_>) -> Expr {
        if self.is_logical(node) {
            return self.logical(node);
        }
        let (Some(left), Some(right)) =
            (node.child_by_field_name("left"), node.child_by_field_name("right"))
        else {
            return self.plain(node);
        };
        let operator = self.operator(node).unwrap_or("");
        let comparison = matches!(operator, "==" | "!=" | "<" | "<=" | ">" | ">=");
        let left_value = self.value(left);
        let right_value = self.value(right);
        if !comparison {
            return self.plain(node);
        }
        let (subject, constant, operator) = match (left_value, right_value) {
            (subject, Expr::Const(constant)) => (subject, constant, operator),
            (Expr::Const(constant), subject) => {
                let mirrored = match operator {
                    "<" => ">",
                    "<=" => ">=",
                    ">" => "<",
                    ">=" => "<=",
                    same => same,
                };
                (subject, constant, mirrored)
            }
            _ => {
                let (left, right) = (self.file.str(left), self.file.str(right));
                return match operator {
                    "!=" => {
                        let equal = self.file.names.opaque(&format!("{left} == {right}"));
                        Expr::Not(Box::new(equal))
                    }
                    _ => self.file.names.opaque(&format!("{left} {operator} {right}")),
                };
            }
        };
        let compare = |how| Expr::Compare(how, Box::new(subject), constant);
        match operator {
            "==" => compare(Comparison::Equal),
            "!=" => Expr::Not(Box::new(compare(Comparison::Equal))),
            "<" => compare(Comparison::Less),
            ">=" => Expr::Not(Box::new(compare(Comparison::Less))),
            ">" => compare(Comparison::Greater),
            _ => Expr::Not(Box::new(compare(Comparison::Greater))),
        }
    }

    fn assignment(&mut self, node: Node<'_>) -> Expr {
        let (Some(left), Some(right)) =
            (node.child_by_field_name("left"), node.child_by_field_name("right"))
        else {
            return self.plain(node);
        };
        self.effects_inside(left);
        let to = self.path(left);
        if self.operator(node) == Some("=") {
            self.assign_from(to.clone(), right);
        } else {
            let value = self.value(right);
            match self.operator(node) {
                Some("|=") if self.is_bool(&to) => self.set_if(&to, value, true),
                Some("&=") if self.is_bool(&to) => self.set_if(&to, value, false),
                _ => {
                    let value = self.unknown();
                    self.op(Op::Assign { to: to.clone(), value, line: Self::line(node) });
                }
            }
        }
        Expr::Path(Path { address: false, ..to })
    }

    fn is_bool(&mut self, to: &Path) -> bool {
        let bool = self.file.names.of("bool");
        let Base::Var(name) = to.base else { return false };
        let plain = |ty: &crate::scan::ir::Type| ty.name == bool && ty.pointers == 0;
        let mut locals = self.function.locals.iter().rev();
        to.fields.is_empty()
            && locals.find(|(local, _)| *local == name).is_some_and(|(_, ty)| plain(ty))
    }

    /// `to |= value` of booleans is `if (value) to = true`, and `to &= value` is
    /// `if (!value) to = false`: `release_lock |= prepare_mmio_access(mr)`.
    fn set_if(&mut self, to: &Path, value: Expr, truth: bool) {
        let (set, after) = (self.block(), self.block());
        let (yes, no) = if truth { (set, after) } else { (after, set) };
        self.end(End::Branch { condition: value, yes, no });
        self.enter(set);
        let value = Expr::Const(i64::from(truth));
        self.op(Op::Assign { to: to.clone(), value, line: 0 });
        self.end(End::Goto(after));
        self.enter(after);
    }

    /// The calls in a place: `foo()->x`, `a[bar()]`.
    fn effects_inside(&mut self, node: Node<'_>) {
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

    /// The place that an expression names.
    fn path(&mut self, node: Node<'_>) -> Path {
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

    fn call_expression(&mut self, node: Node<'_>) -> Expr {
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

    /// `assert(x)`: what it says of the lock, and of variables.
    fn assertion(&mut self, node: Node<'_>, negated: bool) {
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
}
