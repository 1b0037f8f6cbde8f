//! A call: what it registers, waits for and wakes, and what the functions that it
//! may enter do to the lock state.
//! Must not know: the graph of blocks around it.

use super::Flow;
use super::outcome::{Edge, Entry, To, What};
use super::state::{State, unlock};
use crate::scan::place::{Key, Object, Place, RCU, Root};
use crate::scan::program::{FnId, Sym};
use crate::scan::resolve::{ANY, Arg, CallStep, Invoke, NEGATIVE, POSITIVE, Value, ZERO};
use crate::scan::summary::NodeId;
use crate::scan::tables::{self, WaitKind};

impl Flow<'_, '_> {
    pub(super) fn call(&mut self, call: &CallStep, mut state: State, next: &mut Vec<State>) {
        let at = (call.line, call.column, call.conditional);
        for &var in &*call.forget {
            state.learn(var, ANY);
        }
        if let Some(lock) = call.lock {
            return self.lock_call(lock, call, state, next);
        }
        for &registrar in call.register {
            let row = &tables::roots().registrars[usize::from(registrar)];
            if let Some(arg) = call.args.get(row.callback).filter(|arg| !arg.functions.is_empty()) {
                let place = row.place.and_then(|at| call.args.get(at)).and_then(|arg| arg.word);
                let functions = arg.functions.to_vec();
                self.event(What::Register { registrar, functions, place }, at, &state);
            }
        }
        if let Some(wake) = call.wake {
            let object = call.object.as_ref().map(|object| object.key);
            self.event(What::Wake { wake, object }, at, &state);
        }
        if let Some(wait) = call.wait {
            let row = &tables::waits().waits[usize::from(wait)];
            if !(self.entry.coroutine && row.in_coroutine.as_deref() == Some("yields")) {
                let mut waiting = state.clone();
                waiting.bql &= !row.releases_bql;
                if let Some(mutex) = &call.mutex {
                    let bql = self.summaries.primitives.bql.contains(&mutex.key.name);
                    waiting.bql &= !bql;
                    unlock(&mut waiting, mutex);
                }
                let object = call.object.as_ref().map(|object| object.key);
                self.event(What::Wait { wait, object }, at, &waiting);
                if row.kind == WaitKind::Poll {
                    self.polls(state.dropped.iter().map(|dropped| dropped.key).collect());
                }
            }
        }
        let Some(name) = call.name else { return next.push(state) };
        if self.contracts(name, call, &state) {
            return next.push(state);
        }
        match call.invoke {
            Invoke::Nothing => {
                if !call.predicate {
                    state.result(call, ANY);
                }
                next.push(state);
            }
            Invoke::Param(param) => {
                let row = (param, state.bql, self.entry.coroutine);
                if !self.out.param_calls.contains(&row) {
                    self.out.param_calls.push(row);
                }
                state.result(call, ANY);
                next.push(state);
            }
            Invoke::Hook(key) => {
                let entry = Entry::plain(state.bql, self.entry.coroutine);
                self.edge(To::Hook(key, entry), name, at, &state);
                // What a hook does to the lock is left open, unless there is one
                // function alone.
                match self.summaries.only_target(key) {
                    Some(target) => self.enter(&[target], name, call, state, next),
                    None => {
                        state.result(call, ANY);
                        next.push(state);
                    }
                }
            }
            Invoke::Functions(functions) => self.enter(functions, name, call, state, next),
        }
    }

    fn polls(&mut self, dropped: Vec<Key>) {
        match &mut self.out.polls {
            Some(known) => known.retain(|key| dropped.contains(key)),
            none => *none = Some(dropped),
        }
    }

    fn edge(&mut self, to: To, name: Sym, at: (u32, u32, bool), state: &State) {
        let (line, _, conditional) = at;
        let edge = Edge { to, name, line, conditional, bql: state.bql, held: state.keys() };
        if !self.out.edges.contains(&edge) {
            self.out.edges.push(edge);
        }
    }

    /// Calls one of `functions` and goes on with what comes out.
    fn enter(
        &mut self,
        functions: &[FnId],
        name: Sym,
        call: &CallStep,
        state: State,
        next: &mut Vec<State>,
    ) {
        let at = (call.line, call.column, call.conditional);
        let mut outs: Vec<State> = Vec::new();
        let mut neutral = false;
        let mut signs_known = false;
        for &function in functions.iter().take(4) {
            if !self.summaries.is_relevant(function) {
                neutral = true;
                signs_known = true;
                continue;
            }
            let entry = self.entry_of(function, call, &state);
            let node = self.summaries.node(function, entry, self.user);
            self.edge(To::Node(node), name, at, &state);
            self.callbacks(node, call, name, &state);
            let below = self.summaries.outcome(node);
            for lock in &below.acquires {
                let lock = self.substitute(lock, &call.args);
                if state.dropped.iter().any(|d| *d == lock || d.is(&lock)) {
                    continue;
                }
                let same = |held: &Object| held.is(&lock) || self.summaries.one_lock(held, &lock);
                if !self.summaries.is_recursive(lock.key) && state.held.iter().any(same) {
                    self.event(What::Twice(lock.key, Some(node)), at, &state);
                }
                self.acquires(&lock);
            }
            if let Some(mut dropped) = below.polls.clone() {
                for held in state.keys() {
                    if held != RCU && !dropped.contains(&held) {
                        self.event(What::PollsWith(held, node), at, &state);
                    }
                }
                dropped.extend(state.dropped.iter().map(|dropped| dropped.key));
                self.polls(dropped);
            }
            for exit in &below.exits {
                let mut state = state.clone();
                state.bql = exit.bql;
                for lock in &exit.dropped {
                    unlock(&mut state, &self.substitute(lock, &call.args));
                }
                for lock in &exit.taken {
                    if state.held.len() < 8 {
                        state.held.push(self.substitute(lock, &call.args));
                    }
                }
                state.result(call, exit.signs);
                match outs.iter_mut().find(|out| out.same_locks(&state)) {
                    Some(out) => {
                        out.join(&state);
                    }
                    None => outs.push(state),
                }
            }
        }
        if neutral || (functions.len() > 1 && outs.iter().any(|out| out.same_locks(&state))) {
            // One of several that does nothing to a lock: taken to be the one.
            let mut state = state;
            if !signs_known {
                let same = outs.iter().find(|out| out.same_locks(&state));
                let signs = same.and_then(|out| Some(out.signs(call.temp?))).unwrap_or(ANY);
                state.result(call, signs);
            } else if !call.predicate {
                state.result(call, ANY);
            }
            next.push(state);
        } else {
            next.append(&mut outs);
        }
    }

    /// Functions that are passed and called below: an edge from this call to each.
    fn callbacks(&mut self, node: NodeId, call: &CallStep, name: Sym, state: &State) {
        let below = self.summaries.outcome(node);
        for &(param, bql, coroutine) in &below.param_calls {
            let Some(arg) = call.args.get(usize::from(param)) else { continue };
            for &function in arg.functions {
                if self.summaries.is_relevant(function) {
                    let entry = Entry::plain(bql, coroutine);
                    let to = self.summaries.node(function, entry, self.user);
                    let at = (call.line, call.column, call.conditional);
                    self.edge(To::Node(to), name, at, state);
                }
            }
            if let Some(own) = arg.param {
                let row = (own, bql, coroutine);
                if !self.out.param_calls.contains(&row) {
                    self.out.param_calls.push(row);
                }
            }
        }
    }

    /// How a call enters a function: the lock state and the constants that it
    /// looks at.
    fn entry_of(&self, function: FnId, call: &CallStep, state: &State) -> Entry {
        let mut entry = Entry::plain(state.bql, self.entry.coroutine);
        let interesting = self.summaries.interesting(function);
        for (at, arg) in call.args.iter().take(8).enumerate() {
            if interesting & (1 << at) == 0 {
                continue;
            }
            let signs = match arg.value {
                Value::Signs(signs) => signs,
                Value::Of(var) if self.params.contains(&var) => state.signs(var),
                _ => ANY,
            };
            let bits = match signs {
                ZERO => 1,
                POSITIVE => 2,
                NEGATIVE => 3,
                _ => 0,
            };
            entry.constants |= bits << (2 * at);
        }
        entry
    }

    /// A callee's object in terms of the caller.
    fn substitute(&self, object: &Object, args: &[Arg<'_>]) -> Object {
        let unknown =
            |key| Object { key, place: Place { root: Root::Unknown, fields: Vec::new() } };
        match object.place.root {
            Root::Param(at) => {
                let Some(arg) = args.get(usize::from(at)) else { return unknown(object.key) };
                // The parameter itself may be the lock.
                let itself = object.place.fields.is_empty();
                let key = if itself { arg.key(&self.scope) } else { None };
                let key = key.unwrap_or(object.key);
                match arg.place(&self.scope) {
                    Some(mut place) => {
                        place.fields.extend(&object.place.fields);
                        Object { key, place }
                    }
                    None => unknown(key),
                }
            }
            Root::Local(_) => unknown(object.key),
            Root::Global(_) | Root::Call(_) | Root::Unknown => object.clone(),
        }
    }
}
