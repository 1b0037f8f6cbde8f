//! Small programs with known answers, to test the engines on.

use bqlcheck::lock::at;
use bqlcheck::runtime::{
    Body, Object, ObjectId, Program, Runtime, State, ThreadId, Threads, World,
};
use std::sync::Arc;

/// `threads` threads that each take and release one lock `rounds` times.
pub struct OneLock {
    pub threads: u8,
    pub rounds: u8,
}

impl Program for OneLock {
    type Shared = ObjectId;

    fn setup(&self, world: &mut World) -> ObjectId {
        let ids: Vec<ThreadId> = (0..self.threads).map(|_| world.thread("locker", 0)).collect();
        let users = Threads::of(&ids);
        let state = State::Mutex { owner: None };
        world.add(Object { users, ..Object::new("lock".into(), state) })
    }

    fn body<R: Runtime>(&self, shared: Arc<ObjectId>, cx: R) -> Body {
        let rounds = self.rounds;
        Box::pin(async move {
            let site = at("toy", "lock");
            for _ in 0..rounds {
                cx.lock(*shared, site).await;
                cx.unlock(*shared, site);
            }
        })
    }

    fn judge(&self, _: &ObjectId, _: &mut World) {}
}

/// Two threads, two locks, taken in opposite order if `inverted`.
pub struct TwoLocks {
    pub inverted: bool,
}

impl Program for TwoLocks {
    type Shared = [ObjectId; 2];

    fn setup(&self, world: &mut World) -> [ObjectId; 2] {
        let ids = [world.thread("first", 0), world.thread("second", 0)];
        let users = Threads::of(&ids);
        ["a", "b"].map(|name| {
            world.add(Object { users, ..Object::new(name.into(), State::Mutex { owner: None }) })
        })
    }

    fn body<R: Runtime>(&self, locks: Arc<[ObjectId; 2]>, cx: R) -> Body {
        let inverted = self.inverted;
        Box::pin(async move {
            let [a, b] = *locks;
            let (one, two) = if inverted && cx.me().0 == 1 { (b, a) } else { (a, b) };
            cx.lock(one, at("toy", "outer")).await;
            cx.lock(two, at("toy", "inner")).await;
            cx.unlock(two, at("toy", "inner"));
            cx.unlock(one, at("toy", "outer"));
        })
    }

    fn judge(&self, _: &[ObjectId; 2], _: &mut World) {}
}
