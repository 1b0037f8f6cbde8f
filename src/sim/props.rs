//! Adds objects with their contracts to a world, tersely.
//! Must not know: what they are for.

use crate::runtime::{Channel, Name, Object, ObjectId, State, Threads, World};
use std::collections::VecDeque;

/// Adds objects with their contracts, tersely.
pub struct Props<'a>(pub &'a mut World);

impl Props<'_> {
    /// A non-recursive lock.
    pub fn mutex(&mut self, name: &'static str, users: Threads) -> ObjectId {
        let state = State::Mutex { owner: None };
        self.0.add(Object { users, ..Object::new(name.into(), state) })
    }

    /// A semaphore without a token.
    pub fn semaphore(&mut self, name: &'static str, users: Threads, wakers: Threads) -> ObjectId {
        let state = State::Semaphore { count: 0 };
        self.0.add(Object { users, wakers, ..Object::new(name.into(), state) })
    }

    /// An event, not set.
    pub fn event(&mut self, name: impl Into<Name>, users: Threads, wakers: Threads) -> ObjectId {
        let state = State::Event { set: false };
        self.0.add(Object { users, wakers, ..Object::new(name.into(), state) })
    }

    /// An event that is looked at without waiting, too.
    pub fn polled(&mut self, name: impl Into<Name>, users: Threads, wakers: Threads) -> ObjectId {
        let state = State::Event { set: false };
        let polled = true;
        self.0.add(Object { users, wakers, polled, ..Object::new(name.into(), state) })
    }

    /// A condition that is waited for and signalled under `guard`, always.
    pub fn condition(
        &mut self,
        name: impl Into<Name>,
        users: Threads,
        wakers: Threads,
        guard: ObjectId,
    ) -> ObjectId {
        let guard = Some(guard);
        let state = State::Condition { waiting: Threads::NONE, signalled: Threads::NONE };
        self.0.add(Object { users, wakers, guard, ..Object::new(name.into(), state) })
    }

    /// A shared variable.
    pub fn variable(
        &mut self,
        name: &'static str,
        users: Threads,
        writers: Threads,
        value: u64,
    ) -> ObjectId {
        let state = State::Variable { value };
        self.0.add(Object { users: users | writers, writers, ..Object::new(name.into(), state) })
    }

    /// An empty channel without limit.
    pub fn channel<T>(
        &mut self,
        name: impl Into<Name>,
        users: Threads,
        wakers: Threads,
    ) -> Channel<T> {
        let state = State::Channel { queue: VecDeque::new(), broken: false, silent: false };
        Channel::new(self.0.add(Object { users, wakers, ..Object::new(name.into(), state) }))
    }
}
