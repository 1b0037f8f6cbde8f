//! Expressions: the calls in them become operations in the order in which C
//! evaluates them.
//! Must not know: what a function does.

use super::body::Body;
use super::{DEEPEST, Names};
use crate::scan::ir::{Base, Comparison, End, Expr, Name, Op, Path};
use crate::scan::parse::Node;

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

    pub(super) fn is_logical(&self, node: Node<'_>) -> bool {
        matches!(self.operator(node), Some("&&" | "||"))
    }

    pub(super) fn operator<'t>(&self, node: Node<'t>) -> Option<&'t str> {
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

    pub(super) fn unknown(&mut self) -> Expr {
        Expr::Opaque { text: self.file.names.of("(changed)"), uses: Vec::new() }
    }

    /// An expression by its text.
    pub(super) fn plain(&mut self, node: Node<'_>) -> Expr {
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
}
