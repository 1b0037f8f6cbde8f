//! The state of the locks at one place of a function, and what is known of its
//! variables there.
//! Must not know: operations, rules.

use crate::scan::place::{Key, NONE, Object};
use crate::scan::program::Sym;
use crate::scan::resolve::{ANY, CallStep, POSITIVE, Signs, Value, Var, ZERO};

/// The marker of a BQL that a guard took.
pub(super) const GUARDED_BQL: Key = Key { owner: NONE, name: Sym(u32::MAX - 5) };

#[derive(Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) bql: bool,
    pub(super) held: Vec<Object>,
    pub(super) dropped: Vec<Object>,
    /// Locks that were taken and released on every way here.
    pub(super) done: Vec<Object>,
    pub(super) known: Vec<(Var, Signs)>,
}

impl State {
    pub(super) fn same_locks(&self, other: &State) -> bool {
        self.bql == other.bql && self.held == other.held && self.dropped == other.dropped
    }

    pub(super) fn signs(&self, var: Var) -> Signs {
        match self.known.binary_search_by_key(&var, |(var, _)| *var) {
            Ok(at) => self.known[at].1,
            Err(_) => ANY,
        }
    }

    pub(super) fn learn(&mut self, var: Var, signs: Signs) {
        match self.known.binary_search_by_key(&var, |(var, _)| *var) {
            Ok(at) if signs == ANY => {
                self.known.remove(at);
            }
            Ok(at) => self.known[at].1 = signs,
            Err(_) if signs == ANY => {}
            Err(at) => self.known.insert(at, (var, signs)),
        }
    }

    /// Learns what a call gives.
    pub(super) fn result(&mut self, call: &CallStep<'_>, signs: Signs) {
        if let Some(temp) = call.temp {
            self.learn(temp, signs);
        }
    }

    /// Joins what is known; whether that is less than before.
    pub(super) fn join(&mut self, other: &State) -> bool {
        let before = self.known.len();
        let done = self.done.len();
        self.done.retain(|lock| other.done.contains(lock));
        let mut changed = self.done.len() != done;
        self.known.retain_mut(|(var, signs)| {
            let joined = *signs | other.signs(*var);
            changed |= joined != *signs;
            *signs = joined;
            joined != ANY
        });
        changed || self.known.len() != before
    }

    pub(super) fn value(&self, value: Value) -> Signs {
        match value {
            Value::Signs(signs) => signs,
            Value::Of(var) => self.signs(var),
            Value::Test(var, truth) => {
                let signs = self.signs(var);
                let mut result = 0;
                if signs & truth != 0 {
                    result |= POSITIVE;
                }
                if signs & !truth & ANY != 0 {
                    result |= ZERO;
                }
                result
            }
        }
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> =
            self.held.iter().map(|held| held.key).filter(|key| *key != GUARDED_BQL).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

/// Releases a lock: one that was taken here, or else the caller's.
pub(super) fn unlock(state: &mut State, lock: &Object) {
    let exact = state.held.iter().rposition(|held| held == lock);
    let found = exact.or_else(|| state.held.iter().rposition(|held| held.key == lock.key));
    match found {
        Some(at) => {
            state.held.remove(at);
        }
        None => {
            if !state.dropped.contains(lock) && state.dropped.len() < 8 {
                state.dropped.push(lock.clone());
            }
        }
    }
}
