//! A call with its names resolved: what it locks, waits for, wakes, registers or
//! invokes, and its arguments.
//! Must not know: where in the function it stands.

use super::Resolver;
use super::primitives::LockCall;
use super::steps::{Arg, CallStep, Invoke};
use crate::scan::ir::{Base, Call, Callee, Expr, Name, Path};
use crate::scan::place::{AIO_CONTEXT, Key, Object, Place, Root, UNKNOWN};
use crate::scan::program::{FnId, Sym};
use crate::scan::tables;

impl Resolver<'_> {
    pub(super) fn call(&mut self, call: &Call) -> CallStep {
        let temp = self.temp(call.temp);
        let args: Vec<Arg> = call.args.iter().map(|arg| self.arg(arg)).collect();
        let mut step = CallStep {
            name: None,
            lock: None,
            object: None,
            wait: None,
            mutex: None,
            wake: None,
            register: Vec::new(),
            invoke: Invoke::Nothing,
            line: call.line,
            column: call.column,
            conditional: call.conditional,
            temp,
            args,
            forget: Vec::new(),
            predicate: self.predicates.values().any(|&var| var == temp),
        };
        for arg in &call.args {
            if let Expr::Path(path @ Path { address: true, .. }) = arg {
                step.forget.extend(self.forgets(path));
            }
        }
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

    fn named(&mut self, sym: Sym, call: &Call, step: &mut CallStep) {
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
            object
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
                    Some(Object { mut place, .. }) => {
                        place.fields.push(key.name);
                        Object { key, place }
                    }
                    None => Object::only(key),
                }),
                _ if is_aio => Some(Object { key: AIO_CONTEXT, ..unknown }),
                _ => Some(object(Some(0)).unwrap_or(unknown)),
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
            step.register.clone_from(rows);
        }
        if step.wait.is_none() && step.wake.is_none() && step.register.is_empty() {
            let functions = self.scope.program.lookup(self.scope.file, sym);
            if !functions.is_empty() {
                step.invoke = Invoke::Functions(functions.to_vec());
            } else if let Some(&callback) = self.primitives.callers.get(&sym)
                && let Some(arg) = step.args.get(callback)
                && !arg.functions.is_empty()
            {
                step.invoke = Invoke::Functions(arg.functions.clone());
            }
        }
    }

    fn arg(&mut self, expr: &Expr) -> Arg {
        let value = self.value(expr);
        let mut arg =
            Arg { value, param: None, place: None, functions: Vec::new(), key: None, word: None };
        match expr {
            Expr::Path(path) => {
                if let (Base::Var(name), true) = (path.base, path.fields.is_empty()) {
                    arg.param = self.scope.param(name);
                    arg.functions = self.functions_of(name);
                }
                let object = self.scope.object(path);
                arg.key = Some(object.key);
                arg.place = Some(object.place);
                if path.fields.is_empty() && matches!(path.base, Base::Call(_)) {
                    arg.word = match path.base {
                        Base::Call(name) => Some(self.scope.sym(name)),
                        _ => None,
                    };
                }
            }
            Expr::Text(text) => arg.word = Some(self.scope.sym(*text)),
            Expr::Temp(temp) => {
                arg.word = self.temp_names.get(temp).copied();
                // `foo(migrate_get_current())`: what a call gives, by its name.
                if let Some(name) = arg.word
                    && self.plain_temps.contains(temp)
                {
                    arg.place = Some(Place { root: Root::Call(name), fields: Vec::new() });
                }
            }
            _ => {}
        }
        arg
    }

    pub(super) fn functions_of(&self, name: Name) -> Vec<FnId> {
        match self.scope.is_variable(name) {
            true => Vec::new(),
            false => self.scope.program.lookup(self.scope.file, self.scope.sym(name)).to_vec(),
        }
    }
}
