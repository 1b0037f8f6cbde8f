//! Small programs with known answers, to test the engines on.

use crate::script::{Do, Script};
use bqlcheck::lock::at;
use bqlcheck::runtime::{
    Body, Cell, Object, ObjectId, Program, Protection, Runtime, State, ThreadId, Threads, Timing,
    World,
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

/// A thread that uses what its creator frees, before or after it joins it.
pub struct Freed {
    pub joined: bool,
}

impl Program for Freed {
    type Shared = (Cell<u8>, ThreadId);

    fn setup(&self, world: &mut World) -> (Cell<u8>, ThreadId) {
        let creator = Threads::of(&[world.thread("creator", 0)]);
        let user = world.thread("user", 0);
        world.born_by(user, creator, creator);
        (Cell::new(world, Protection::HandOver, 0), user)
    }

    fn body<R: Runtime>(&self, shared: Arc<(Cell<u8>, ThreadId)>, cx: R) -> Body {
        let joined = self.joined;
        Box::pin(async move {
            let ((cell, user), site) = (&*shared, at("toy", "join"));
            if cx.me() == *user {
                cx.started().await;
                cx.with(cell, |data| *data += 1);
                return;
            }
            if !joined {
                cx.free(cell, "toy->data");
            }
            cx.create(*user, site);
            cx.join(*user, site).await;
            if joined {
                cx.free(cell, "toy->data");
            }
        })
    }

    fn judge(&self, _: &(Cell<u8>, ThreadId), _: &mut World) {}
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

/// Scripts with known answers, by name. A load of nothing in particular makes what
/// follows it a step of its own: what comes first of all is done at the start.
pub fn scripts() -> Vec<(&'static str, Script)> {
    use Do::*;
    let script = Script::new;
    let idle = |codes: &[&[Do]]| Script { timing: Timing::Idle, ..Script::new(codes) };
    let sleeper: &[Do] = &[Lock(0), Load(0), SkipIf(1), Sleep, Unlock(0)];
    let careless: &[Do] = &[Load(0), Lock(0), SkipIf(1), Sleep, Unlock(0)];
    let locker: &[Do] = &[Lock(0), Unlock(0), Lock(0), Unlock(0)];
    vec![
        ("one lock, three threads, twice", script(&[locker; 3])),
        ("producer and consumer", script(&[&[Load(0), Post, Load(0), Post], &[Wait, Wait]])),
        ("two producers", script(&[&[Load(0), Post], &[Load(0), Post], &[Wait, Wait]])),
        ("two consumers, one token", script(&[&[Wait, Post], &[Wait, Post], &[Load(0), Post]])),
        ("too few tokens", script(&[&[Load(0), Post], &[Wait], &[Wait]])),
        ("wake-up under the lock", script(&[sleeper, &[Lock(0), Store(0, 1), Signal, Unlock(0)]])),
        ("wake-up without the lock", script(&[sleeper, &[Store(0, 1), Load(1), Signal]])),
        ("look before the lock", script(&[careless, &[Lock(0), Store(0, 1), Signal, Unlock(0)]])),
        ("look and wake-up without the lock", script(&[careless, &[Store(0, 1), Load(1), Signal]])),
        (
            "a reader woken by a third",
            script(&[&[Store(0, 1)], &[Wait, Load(0)], &[Load(1), Post]]),
        ),
        (
            "two sleepers, one broadcast",
            script(&[sleeper, sleeper, &[Lock(0), Store(0, 1), Broadcast, Unlock(0)]]),
        ),
        (
            "spurious wake-ups",
            Script {
                spurious: 1,
                ..script(&[sleeper, sleeper, &[Lock(0), Store(0, 1), Broadcast, Unlock(0)]])
            },
        ),
        ("two senders", script(&[&[Send(1), Send(2)], &[Send(3), Send(4)], &[Recv; 4]])),
        (
            "a channel of one",
            Script {
                capacity: [1, 1],
                ..script(&[&[Send(1), Send(2)], &[Send(3)], &[Recv, Recv, Recv]])
            },
        ),
        (
            "writes that wait for arrival",
            Script {
                capacity: [0, 0],
                ..script(&[&[Send(1), Load(0)], &[Send(2)], &[Recv, Recv, Store(0, 1)]])
            },
        ),
        (
            "a bounded channel that breaks",
            Script {
                capacity: [0, usize::MAX],
                breaks: 1,
                ..script(&[&[Send(1), Send(2)], &[Recv], &[Break]])
            },
        ),
        ("two receivers", script(&[&[Send(1), Send(2)], &[Recv], &[Recv]])),
        ("two readers, one writer", script(&[&[Load(0)], &[Load(0)], &[Store(0, 1)]])),
        ("cmpxchg once each", script(&[&[Cas(0, 0, 1)], &[Cas(0, 0, 2)], &[Load(0)]])),
        ("store buffering", script(&[&[Store(0, 1), Load(1)], &[Store(1, 1), Load(0)]])),
        ("xchg", script(&[&[Swap(0, 1)], &[Swap(0, 2)]])),
        ("an event, awaited", script(&[&[Store(0, 1), Set], &[AwaitSet, Load(0)]])),
        ("an event, polled", script(&[&[Load(0), Set, Load(0)], &[IsSet, IsSet]])),
        ("an event set after a lock", script(&[&[Lock(0), Set, Unlock(0)], &[IsSet]])),
        (
            "create and join",
            script(&[
                &[Store(0, 1), Create(1), Load(0), Join(1), Load(0)],
                &[Load(0), Store(0, 2)],
            ]),
        ),
        ("try and lock", script(&[&[TryLock(0), Unlock(0)], &[Lock(0), Unlock(0)]])),
        ("timed wait", script(&[&[TimedWait, SkipIf(1), TimedWait], &[Load(0), Post]])),
        ("choices", script(&[&[Choose(3), Store(0, 1)], &[Load(0)]])),
        (
            "a break at any time",
            Script { breaks: 1, ..script(&[&[Send(1), Send(2)], &[Recv, Recv], &[Break]]) },
        ),
        (
            "a break both ways",
            Script { breaks: 1, ..script(&[&[Send(1), Hear], &[Recv, Reply(2)], &[Break]]) },
        ),
        ("a shutdown at any time", script(&[&[Send(1), Send(2)], &[Recv, Recv], &[Shutdown]])),
        ("an exit at any time", script(&[&[Store(0, 1), Store(0, 2)], &[Load(1), Exit]])),
        ("an exit seen from outside", seen_exit()),
        ("an abort beside a breach", script(&[&[Lock(1), UnlockFree], &[Load(0), Fail]])),
        ("a nested inversion", script(&[&[Lock(0), Lock(1)], &[Lock(1), Lock(0)], &[Load(0)]])),
        (
            "ticks",
            Script {
                paced: true,
                ..idle(&[&[Send(1), Send(2), Wait], &[Recv, Store(0, 1), Recv], &[Load(0)]])
                    .and_environment(&[Load(0), Post])
            },
        ),
        (
            "a break in the idle",
            Script {
                paced: true,
                breaks: 1,
                ..idle(&[&[Send(1), Send(2)], &[Recv, Recv]]).and_environment(&[Break])
            },
        ),
        ("a stall", stall()),
    ]
}

/// A write that the end of its process may forestall, and another process that
/// sees whether it did.
fn seen_exit() -> Script {
    use Do::*;
    let mut script = Script::new(&[&[Store(0, 1)], &[Load(1), Exit], &[Load(0)]]);
    script.actors[2].process = 1;
    script
}

/// A vCPU that asks for the big lock before or after the environment's first
/// move: it waits for one tick or for two, and one is allowed.
fn stall() -> Script {
    use Do::*;
    let mut script = Script {
        timing: Timing::Idle,
        stall_bound: 1,
        ..Script::new(&[&[Lock(0), Wait, Unlock(0)], &[AwaitSet, Lock(0), Unlock(0)]])
    }
    .and_environment(&[Load(0), Load(0), Post])
    .and_environment(&[Load(1), Set]);
    script.actors[1].vcpu = true;
    script
}
