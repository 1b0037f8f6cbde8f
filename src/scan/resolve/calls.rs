//! A call with its names resolved: what it locks, waits for, wakes, registers or
//! invokes, and its arguments.
//! Must not know: where in the function it stands.

use super::Resolver;
use super::primitives::LockCall;
use super::steps::{ANY, Arg, CallStep, Invoke, POSITIVE, Value, signs};
use crate::scan::ir::{Base, Call, Callee, Expr, Name, Path};
use crate::scan::place::{AIO_CONTEXT, Key, Object, Place, Root, UNKNOWN};
use crate::scan::program::{FnId, Sym};
use crate::scan::tables;

impl<'p> Resolver<'p> {
    pub(super) fn call(&mut self, call: &'p Call) -> CallStep<'p> {
        let temp = self.temps.get(&call.temp).copied();
        let args: Box<[Arg<'p>]> = call.args.iter().map(|arg| self.arg(arg)).collect();
        let mut step = CallStep {
            name: None,
            lock: None,
            object: None,
            wait: None,
            mutex: None,
            wake: None,
            register: &[],
            invoke: Invoke::Nothing,
            line: call.line,
            column: call.column,
            conditional: call.conditional,
            temp,
            args,
            forget: Box::default(),
            predicate: temp.is_some_and(|temp| self.predicates.values().any(|&var| var == temp)),
        };
        let mut forget = Vec::new();
        for arg in &call.args {
            if let Expr::Path(path @ Path { address: true, .. }) = arg {
                forget.extend(self.forgets(path));
            }
        }
        step.forget = forget.into();
        match &call.callee {
            Callee::Name(name) => {
                let sym = self.scope.sym(*name);
                step.name = Some(sym);
                self.temp_names.insert(call.temp, sym);
                if call.args.is_empty() {
                    self.plain_temps.insert(call.temp);
                }
                match self.scope.param(*name) {
                    Some(at) => step.invoke = Invoke::Param(at),
                    None => self.named(sym, call, &mut step),
                }
            }
            Callee::Path(path) => {
                let key = self.scope.key_of(path);
                step.name = Some(key.name);
                step.invoke = Invoke::Hook(key);
            }
            Callee::Unknown => {}
        }
        step
    }

    fn named(&mut self, sym: Sym, call: &Call, step: &mut CallStep<'p>) {
        let object = |at: Option<usize>| {
            let mut object = at.and_then(|at| call.args.get(at)).and_then(|arg| match arg {
                Expr::Path(path) => Some(self.scope.object(path)),
                _ => None,
            });
            if let Some(object) = &mut object
                && let Some(&other) = self.primitives.same.get(&object.key)
            {
                object.key = other;
            }
            object.map(Box::new)
        };
        let unknown = Object {
            key: Key { owner: UNKNOWN, name: sym },
            place: Place { root: Root::Unknown, fields: Vec::new() },
        };
        if let Some(&lock) = self.primitives.locks.get(&sym) {
            step.lock = Some(lock);
            let aio = &tables::locks().aio_context;
            let text = self.scope.program.text(sym);
            let is_aio = aio.lock.iter().chain(&aio.unlock).any(|name| name == text);
            step.object = match lock {
                LockCall::LockOf(key) | LockCall::UnlockOf(key) => Some(match object(Some(0)) {
                    // `bdrv_dirty_bitmap_lock(bitmap)` is of that bitmap.
                    Some(mut object) => {
                        object.place.fields.push(key.name);
                        object.key = key;
                        object
                    }
                    None => Box::new(Object::only(key)),
                }),
                _ if is_aio => Some(Box::new(Object { key: AIO_CONTEXT, ..unknown })),
                _ => Some(object(Some(0)).unwrap_or_else(|| Box::new(unknown))),
            };
            return;
        }
        if let Some(&at) = self.primitives.waits.get(&sym) {
            let wait = &tables::waits().waits[usize::from(at)];
            step.wait = Some(at);
            step.object = object(wait.object);
            step.mutex = object(wait.mutex);
        }
        if let Some(&at) = self.primitives.wakes.get(&sym) {
            step.wake = Some(at);
            step.object = object(tables::waits().wakes[usize::from(at)].object);
        }
        if let Some(rows) = self.primitives.registrars.get(&sym) {
            step.register = rows;
        }
        if step.wait.is_none() && step.wake.is_none() && step.register.is_empty() {
            let functions = self.scope.program.lookup(self.scope.file, sym);
            if !functions.is_empty() {
                step.invoke = Invoke::Functions(functions);
            } else if let Some(&callback) = self.primitives.callers.get(&sym)
                && let Some(arg) = step.args.get(callback)
                && !arg.functions.is_empty()
            {
                step.invoke = Invoke::Functions(arg.functions);
            }
        }
    }

    fn arg(&mut self, expr: &'p Expr) -> Arg<'p> {
        let value = self.given(expr);
        let mut arg =
            Arg { value, param: None, functions: &[], word: None, plain: false, path: None };
        match expr {
            Expr::Path(path) => {
                arg.path = Some(path);
                match (path.base, path.fields.is_empty()) {
                    (Base::Var(name), true) => {
                        arg.param = self.scope.param(name);
                        arg.functions = self.functions_of(name);
                    }
                    (Base::Call(name), true) => arg.word = Some(self.scope.sym(name)),
                    _ => {}
                }
            }
            Expr::Text(text) => arg.word = Some(self.scope.sym(*text)),
            Expr::Temp(temp) => {
                arg.word = self.temp_names.get(temp).copied();
                arg.plain = self.plain_temps.contains(temp);
            }
            _ => {}
        }
        arg
    }

    /// The value of an argument, as far as a callee is told: what else there is to
    /// know of a variable ends at the call.
    fn given(&self, expr: &Expr) -> Value {
        match expr {
            Expr::Const(constant) => Value::Signs(signs(*constant)),
            Expr::Text(_) | Expr::Path(Path { address: true, .. }) => Value::Signs(POSITIVE),
            Expr::Path(Path { base, fields, .. }) if fields.is_empty() => {
                let var = self.paths.get(&(*base, (&[][..]).into())).copied();
                let param = var.filter(|var| self.params.contains(var));
                param.map_or(Value::Signs(ANY), Value::Of)
            }
            _ => Value::Signs(ANY),
        }
    }

    pub(super) fn functions_of(&self, name: Name) -> &'p [FnId] {
        match self.scope.is_variable(name) {
            true => &[],
            false => self.scope.program.lookup(self.scope.file, self.scope.sym(name)),
        }
    }
}
