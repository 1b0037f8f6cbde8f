//! The variables of a function that conditions look at, and what becomes of them
//! when something is assigned.
//! Must not know: calls, but that each gives a value.

use super::Resolver;
use super::primitives::LockCall;
use super::steps::{ANY, NEGATIVE, POSITIVE, Signs, TRUE, Value, Var, ZERO, signs};
use crate::scan::ir::{Base, Comparison, End, Expr, Name, Op, Path};
use std::borrow::Cow;

/// So often the assignments of a function are gone through for those that matter;
/// what is left then is followed as if it mattered.
const PASSES: usize = 8;

impl<'p> Resolver<'p> {
    /// Only what conditions and returned values look at is followed, through
    /// assignments too; and the parameters, which are passed on.
    pub(super) fn find_variables(&mut self) {
        let function = self.scope.function;
        for block in &function.blocks {
            match &block.end {
                End::Branch { condition, .. } => {
                    self.test(condition);
                }
                End::Return { value: Some(value), .. } => {
                    self.value(value);
                }
                _ => {}
            }
        }
        let params = function.params.iter().take(8);
        self.params =
            params.map(|(name, _)| self.path_var(Base::Var(*name), Cow::Borrowed(&[]))).collect();
        let ops = function.blocks.iter().flat_map(|block| &block.ops);
        let mut assignments: Vec<(&'p Path, &'p Expr)> = ops
            .filter_map(|op| match op {
                Op::Assign { to, value, .. } => Some((to, value)),
                _ => None,
            })
            .collect();
        // From the last to the first, as values flow; loops flow back.
        assignments.reverse();
        for _ in 0..PASSES {
            let before = assignments.len();
            assignments.retain(|(to, value)| {
                let followed = self.path(to).is_some();
                if followed {
                    self.value(value);
                }
                !followed
            });
            if assignments.len() == before {
                return;
            }
        }
        for (_, value) in assignments {
            self.value(value);
        }
    }

    /// The variable of a path, if it is followed.
    pub(super) fn path(&self, path: &'p Path) -> Option<Var> {
        self.paths.get(&(path.base, Cow::Borrowed(&path.fields[..]))).copied()
    }

    pub(super) fn fresh(&mut self) -> Var {
        self.vars += 1;
        self.vars - 1
    }

    pub(super) fn path_var(&mut self, base: Base, fields: Cow<'p, [Name]>) -> Var {
        let vars = &mut self.vars;
        *self.paths.entry((base, fields)).or_insert_with(|| {
            *vars += 1;
            *vars - 1
        })
    }

    pub(super) fn temp(&mut self, temp: u32) -> Var {
        if let Some(&var) = self.temps.get(&temp) {
            return var;
        }
        let var = self.fresh();
        self.temps.insert(temp, var);
        var
    }

    /// The variable that an expression is true by, and the signs it is true with.
    pub(super) fn test(&mut self, expr: &'p Expr) -> Option<(Var, Signs)> {
        match expr {
            Expr::Not(inner) => self.test(inner).map(|(var, signs)| (var, ANY & !signs)),
            Expr::Compare(how, inner, constant) => {
                let positive = match (how, constant) {
                    (Comparison::Equal, 0) => Some(ZERO),
                    (Comparison::Less, 0) => Some(NEGATIVE),
                    (Comparison::Less, 1) => Some(NEGATIVE | ZERO),
                    (Comparison::Greater, 0) => Some(POSITIVE),
                    (Comparison::Greater, -1) => Some(POSITIVE | ZERO),
                    // `== true`; of other numbers only the sign is known.
                    // What a failed trylock gives is negative, if it is told at all.
                    (Comparison::Equal, ..=-1) if self.is_trylock(inner) => Some(NEGATIVE),
                    (Comparison::Equal, 1) if matches!(**inner, Expr::Temp(_)) => Some(POSITIVE),
                    _ => None,
                };
                match positive {
                    Some(signs) => match &**inner {
                        // `!x == 0` and the like.
                        Expr::Not(_) | Expr::Compare(..) => {
                            let (var, truth) = self.test(inner)?;
                            match signs {
                                ZERO => Some((var, ANY & !truth)),
                                _ => Some((var, truth)),
                            }
                        }
                        _ => Some((self.var(inner)?, signs)),
                    },
                    None => {
                        // The comparison itself is the variable.
                        let (base, mut fields) = match &**inner {
                            Expr::Path(path) => (path.base, path.fields.clone()),
                            _ => return None,
                        };
                        fields.push(Name(u32::MAX - *how as u32));
                        fields.push(Name(*constant as u32));
                        Some((self.path_var(base, fields.into()), TRUE))
                    }
                }
            }
            Expr::Const(_) | Expr::Text(_) => None,
            _ => self.var(expr).map(|var| (var, TRUE)),
        }
    }

    fn is_trylock(&self, expr: &Expr) -> bool {
        let name = match expr {
            Expr::Temp(temp) => self.temp_names.get(temp),
            _ => None,
        };
        name.is_some_and(|name| self.primitives.locks.get(name) == Some(&LockCall::TryLock))
    }

    fn var(&mut self, expr: &'p Expr) -> Option<Var> {
        match expr {
            Expr::Path(Path { address: true, .. }) => None,
            Expr::Path(path) if path.base == Base::Unknown => None,
            Expr::Path(path) => Some(self.path_var(path.base, Cow::Borrowed(&path.fields))),
            Expr::Temp(temp) => Some(self.temp(*temp)),
            Expr::Opaque { text, uses } => {
                if uses.is_empty() {
                    return None;
                }
                if let Some((var, _)) = self.opaque.get(text) {
                    return Some(*var);
                }
                let var = self.fresh();
                self.opaque.insert(*text, (var, uses));
                Some(var)
            }
            _ => None,
        }
    }

    pub(super) fn value(&mut self, expr: &'p Expr) -> Value {
        match expr {
            Expr::Const(constant) => Value::Signs(signs(*constant)),
            Expr::Text(_) | Expr::Path(Path { address: true, .. }) => Value::Signs(POSITIVE),
            Expr::Path(_) | Expr::Temp(_) | Expr::Opaque { .. } => match self.var(expr) {
                Some(var) => Value::Of(var),
                None => Value::Signs(ANY),
            },
            Expr::Not(_) | Expr::Compare(..) => match self.test(expr) {
                Some((var, signs)) => Value::Test(var, signs),
                None => Value::Signs(ZERO | POSITIVE),
            },
        }
    }

    /// What is no longer known once `to` is assigned.
    pub(super) fn forgets(&self, to: &Path) -> Vec<Var> {
        let mut vars: Vec<Var> = Vec::new();
        for ((base, fields), &var) in &self.paths {
            let below = *base == to.base && fields.starts_with(&to.fields);
            if below {
                vars.push(var);
            }
        }
        // An assigned member is known by its name; a variable by itself.
        let name = match (to.fields.last(), to.base) {
            (Some(&field), _) => Some(field),
            (None, Base::Var(name)) => Some(name),
            _ => None,
        };
        if let Some(name) = name {
            let calls = self.predicates.iter().filter(|((_, words), _)| words.contains(&name));
            vars.extend(calls.map(|(_, var)| *var));
            let uses = self.opaque.values().filter(|(_, uses)| uses.contains(&name));
            vars.extend(uses.map(|(var, _)| *var));
        }
        vars.sort_unstable();
        vars
    }
}
