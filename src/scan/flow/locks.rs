//! Locks that are taken and released, and the calls that ask for their state.
//! Must not know: what is called besides.

use super::Flow;
use super::outcome::What;
use super::state::{State, unlock};
use crate::scan::place::{BQL, Object, Root};
use crate::scan::resolve::{ANY, CallStep, LockCall, POSITIVE, TRUE, ZERO};

/// So many classes of taken locks are kept of a function.
const ACQUIRES: usize = 32;

impl Flow<'_, '_> {
    /// Takes a lock.
    pub(super) fn lock(
        &mut self,
        lock: Object,
        recursive: bool,
        at: (u32, u32, bool),
        mut state: State,
        next: &mut Vec<State>,
    ) {
        if let Some(dropped) = state.dropped.iter().position(|d| *d == lock || d.is(&lock)) {
            // The caller's, which was released for a while.
            state.dropped.remove(dropped);
            self.event(What::Acquire(lock.key), at, &state);
            next.push(state);
            return;
        }
        let same = |held: &Object| held.is(&lock);
        let recursive = recursive || self.summaries.is_recursive(lock.key);
        if !recursive && state.held.iter().any(same) {
            self.event(What::Twice(lock.key, None), at, &state);
            return;
        }
        self.event(What::Acquire(lock.key), at, &state);
        self.acquires(&lock);
        state.done.retain(|done| *done != lock);
        if state.held.len() < 8 {
            state.held.push(lock);
        }
        next.push(state);
    }

    pub(super) fn acquires(&mut self, lock: &Object) {
        if self.out.acquires.len() < ACQUIRES && !self.out.acquires.contains(lock) {
            self.out.acquires.push(lock.clone());
        }
    }

    pub(super) fn lock_call(
        &mut self,
        lock: LockCall,
        call: &CallStep,
        mut state: State,
        next: &mut Vec<State>,
    ) {
        let at = (call.line, call.column, call.conditional);
        let object = call.object.as_deref().cloned();
        match lock {
            LockCall::BqlLock => {
                if state.bql {
                    return self.event(What::BqlTwice, at, &state);
                }
                self.event(What::AcquireBql, at, &state);
                if !self.entry.bql {
                    self.acquires(&Object::only(BQL));
                }
                state.bql = true;
                next.push(state);
            }
            LockCall::BqlUnlock => {
                if !state.bql {
                    return self.event(What::UnlockNotHeld, at, &state);
                }
                state.bql = false;
                next.push(state);
            }
            LockCall::BqlLocked => {
                state.result(call, if state.bql { POSITIVE } else { ZERO });
                next.push(state);
            }
            LockCall::InVcpu => {
                // Who has no BQL here is no main thread.
                state.result(call, if state.bql { ANY } else { POSITIVE });
                next.push(state);
            }
            LockCall::InCoroutine => {
                state.result(call, if self.entry.coroutine { POSITIVE } else { ZERO });
                next.push(state);
            }
            LockCall::Lock | LockCall::LockOf(_) => {
                let Some(object) = object else { return next.push(state) };
                self.lock(object, false, at, state, next);
            }
            LockCall::TryLock => {
                let Some(object) = object else { return next.push(state) };
                let mut busy = state.clone();
                busy.result(call, TRUE);
                next.push(busy);
                state.result(call, ZERO);
                if state.held.len() < 8 {
                    state.held.push(object);
                }
                next.push(state);
            }
            LockCall::Unlock | LockCall::UnlockOf(_) => {
                if let Some(object) = object {
                    if state.held.iter().any(|held| held.key == object.key) {
                        unlock(&mut state, &object);
                        if object.place.root != Root::Unknown && !state.done.contains(&object) {
                            state.done.push(object);
                        }
                    } else if state.done.contains(&object) {
                        self.event(What::UnlockedTwice(object.key), at, &state);
                    } else {
                        unlock(&mut state, &object);
                    }
                }
                next.push(state);
            }
        }
    }
}
