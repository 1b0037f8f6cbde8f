//! What is assigned where: in expressions, initialisers and macros.
//! Must not know: which members hold functions.

use super::DEEPEST;
use super::body::Body;
use crate::scan::ir::{Base, End, Expr, Op, Path, Type};
use crate::scan::parse::Node;

impl Body<'_, '_> {
    pub(super) fn assignment(&mut self, node: Node<'_>) -> Expr {
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

    fn is_bool(&mut self, to: &Path) -> bool {
        let bool = self.file.names.of("bool");
        let Base::Var(name) = to.base else { return false };
        let plain = |ty: &Type| ty.name == bool && ty.pointers == 0;
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
}
