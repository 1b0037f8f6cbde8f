//! What the tasks of a scenario tell one another: each change lets those look
//! again who wait for something on it.
//! Must not know: what is on it.

use super::task::act;
use crate::exec::kernel::race;
use crate::exec::kernel::state::{Key, kernel};
use crate::exec::kernel::sync::Op;
use std::sync::{Mutex, PoisonError};

/// A value that tasks of one execution share.
pub struct Board<T> {
    value: Mutex<T>,
    /// Its number among the execution's boards.
    key: usize,
}

impl<T> Board<T> {
    /// A board for the execution that begins.
    pub fn new(value: T) -> Board<T> {
        let versions = &mut kernel().boards;
        versions.push(0);
        Board { value: Mutex::new(value), key: versions.len() - 1 }
    }

    /// Looks at it or changes it; nothing else runs meanwhile.
    pub fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        let result = look(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner));
        let state = kernel();
        race::board(self.key);
        state.boards[self.key] += 1;
        state.wake(Key::Scenario(self.key));
        result
    }

    /// Looks at it after the execution.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.value.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there is something.
    pub fn wait<R>(&self, mut ready: impl FnMut(&mut T) -> Option<R>) -> R {
        loop {
            match self.ask(&mut ready) {
                Ok(found) => return found,
                Err(wait) => act(wait),
            };
        }
    }

    /// One look: what was found, or what has to be done before the next.
    pub fn ask<R>(&self, mut ready: impl FnMut(&mut T) -> Option<R>) -> Result<R, Op> {
        let version = kernel().boards[self.key];
        let found = ready(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner));
        if found.is_some() {
            self.with(|_| ());
        }
        found.ok_or(Op::Park { key: self.key, version })
    }
}
