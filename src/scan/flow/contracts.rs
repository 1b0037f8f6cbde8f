//! What the tables, comments and asserts ask of a call's caller, checked in the
//! state at the call.
//! Must not know: what the call does to the state.

use super::Flow;
use super::outcome::What;
use super::state::State;
use crate::scan::program::Sym;
use crate::scan::resolve::{CallStep, Invoke};
use crate::scan::tables::Asked;

impl Flow<'_, '_> {
    /// Checks what the tables and comments ask of the caller. Whether the body is
    /// better not entered, since that would only say the same again.
    pub(super) fn contracts(&mut self, name: Sym, call: &CallStep, state: &State) -> bool {
        let at = (call.line, call.column, call.conditional);
        for (row, guarded) in self.summaries.primitives.guarded.iter().enumerate() {
            let given = guarded.calls.contains(&name)
                && call
                    .args
                    .iter()
                    .any(|arg| arg.key(&self.scope).is_some_and(|key| guarded.is(key)));
            if given && !state.held.iter().any(|held| held.key == guarded.lock) {
                self.event(What::Guarded(row as u16), at, state);
            }
        }
        let mut stop = false;
        if let Some(&row) = self.summaries.primitives.functions.get(&name)
            && !matches!(call.invoke, Invoke::Hook(_) | Invoke::Param(_))
        {
            let wrong = match self.summaries.contracts.functions[usize::from(row)].bql {
                Asked::Held => !state.bql,
                Asked::NotHeld => state.bql,
                Asked::Either => false,
            };
            if wrong {
                self.event(What::Function(row), at, state);
                stop = true;
            }
        }
        if let Invoke::Hook(key) = call.invoke
            && let Some(&row) = self.summaries.primitives.hooks.get(&key)
        {
            let wrong = match self.summaries.contracts.hooks[usize::from(row)].bql {
                Asked::Held => !state.bql,
                Asked::NotHeld => state.bql,
                Asked::Either => false,
            };
            if wrong {
                self.event(What::Hook(row), at, state);
            }
        }
        if let Some(rows) = self.summaries.primitives.held.get(&name) {
            for &(row, key) in rows {
                if !state.held.iter().any(|held| held.key == key) {
                    self.event(What::NeedsLock(row, key), at, state);
                }
            }
        }
        if let Invoke::Functions(&[function]) = call.invoke {
            if !stop
                && let Some((held, ..)) = self.summaries.asserted(function)
                && held != state.bql
            {
                self.event(What::Asserted(function), at, state);
                stop = true;
            }
            for (row, held, lock) in self.summaries.commented(function) {
                match lock {
                    None if state.bql != held => {
                        self.event(What::Comment(function, row), at, state);
                    }
                    Some(lock) if !state.held.iter().any(|held| held.key.name == lock) => {
                        self.event(What::NeedsCommented(function, row), at, state);
                    }
                    _ => {}
                }
            }
        }
        stop
    }
}
