//! A function with its names resolved: which call locks, waits, wakes, registers
//! or invokes what; which variables a condition looks at.
//! Must not know: which state a lock is in.

mod calls;
mod predicates;
mod primitives;
mod steps;
mod variables;

pub use primitives::{LockCall, Primitives, key};
pub use steps::{
    ANY, Arg, Block, CallStep, Invoke, NEGATIVE, POSITIVE, Resolved, Signs, Step, Stored, TRUE,
    Value, Var, Way, ZERO,
};

use super::ir::{Base, End, Expr, Name, Op};
use super::map::{Map, Set};
use super::place::{Key, Root, Scope};
use super::program::{FnId, Program, Sym};
use std::borrow::Cow;

struct Resolver<'p> {
    scope: Scope<'p>,
    primitives: &'p Primitives,
    /// Variables by base and members.
    paths: Map<(Base, Cow<'p, [Name]>), Var>,
    opaque: Map<Name, (Var, &'p [Name])>,
    temps: Map<u32, Var>,
    /// The name that a temporary's call has.
    temp_names: Map<u32, Sym>,
    /// Those whose call has no arguments.
    plain_temps: Set<u32>,
    /// By the text of a call that gives the same each time.
    predicates: Map<(Sym, Vec<Name>), Var>,
    /// The variable of each parameter, for the first few.
    params: Vec<Var>,
    /// The variables that locks are reached through.
    lock_roots: Vec<Root>,
    vars: u32,
}

/// Resolves a function.
pub fn resolve<'p>(program: &'p Program, primitives: &'p Primitives, id: FnId) -> Resolved<'p> {
    let scope = Scope::new(program, id);
    let function = scope.function;
    let mut this = Resolver {
        scope,
        primitives,
        paths: Map::default(),
        opaque: Map::default(),
        temps: Map::default(),
        temp_names: Map::default(),
        plain_temps: Set::default(),
        predicates: Map::default(),
        params: Vec::new(),
        lock_roots: Vec::new(),
        vars: 0,
    };
    this.find_predicates();
    this.find_variables();
    let mut interesting = 0;
    let blocks = (function.blocks.iter())
        .map(|block| {
            let ops = block.ops.iter().filter_map(|op| this.step(op)).collect();
            let end = match &block.end {
                End::Goto(to) => Way::Goto(*to),
                End::Branch { condition, yes, no } => match this.test(condition) {
                    Some((var, signs)) => Way::Branch { var, signs, yes: *yes, no: *no },
                    None => Way::Any(vec![*yes, *no]),
                },
                End::Any(to) => Way::Any(to.clone()),
                End::Return { value, line } => {
                    let value = value.as_ref().map(|value| this.value(value));
                    Way::Return { value: value.unwrap_or(Value::Signs(ANY)), line: *line }
                }
                End::Never => Way::Never,
            };
            if let Way::Branch { var, .. } = &end
                && let Some(at) = this.params.iter().position(|param| param == var)
            {
                interesting |= 1 << at;
            }
            Block { ops, end }
        })
        .collect();
    let stores = function.blocks.iter().flat_map(|block| &block.ops);
    let stores = stores.filter_map(|op| this.store(op)).collect();
    Resolved { blocks, params: this.params, interesting, stores }
}

impl<'p> Resolver<'p> {
    fn step(&mut self, op: &'p Op) -> Option<Step<'p>> {
        match op {
            Op::Call(call) => {
                let mut call = Box::new(self.call(call));
                let plain = call.invoke == Invoke::Nothing && !self.primitives.speak_of(&call);
                if plain && call.args.iter().all(|arg| arg.functions.is_empty()) {
                    call.args = Box::default();
                }
                let unseen = call.temp.is_none() || call.predicate;
                match plain && unseen && call.forget.is_empty() {
                    true => Some(Step::Idle(call)),
                    false => Some(Step::Call(call)),
                }
            }
            Op::Assign { to, value, .. } => {
                let forget = self.forgets(to);
                let var = self.path(to);
                let value = var.map_or(Value::Signs(ANY), |_| self.value(value));
                let root = to.fields.is_empty().then(|| self.scope.place_of(to).root);
                let root = root.filter(|root| self.lock_roots.contains(root));
                (var.is_some() || !forget.is_empty() || root.is_some()).then_some(Step::Set {
                    var,
                    value,
                    forget: forget.into(),
                    root,
                })
            }
            Op::Enter { guard, lock, line } => Some(Step::Enter {
                guard: *guard,
                lock: Box::new(self.scope.object(lock)),
                line: *line,
            }),
            Op::Leave { guard, lock, .. } => {
                Some(Step::Leave { guard: *guard, lock: Box::new(self.scope.object(lock)) })
            }
            Op::Require { held, what, line, conditional } => Some(Step::Require {
                held: *held,
                what: self.scope.sym(*what),
                line: *line,
                conditional: *conditional,
            }),
            Op::RequireCoroutine { inside } => Some(Step::RequireCoroutine { inside: *inside }),
        }
    }

    /// A member that an operation sets to a function.
    fn store(&self, op: &Op) -> Option<(Key, Stored<'p>)> {
        let Op::Assign { to, value: Expr::Path(path), .. } = op else { return None };
        let (Base::Var(name), true) = (path.base, path.fields.is_empty()) else { return None };
        if to.fields.is_empty()
            && !matches!(to.base, Base::Var(name) if !self.scope.is_variable(name))
        {
            return None;
        }
        let stored = match self.scope.param(name) {
            Some(at) => Stored::Param(at),
            None => Stored::Functions(self.functions_of(name)),
        };
        (stored != Stored::Functions(&[])).then(|| (self.scope.key_of(to), stored))
    }
}
