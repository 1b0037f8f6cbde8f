//! Threads, locks and waits as one trait with four implementations, so that the
//! simulator is written once and run by whoever schedules best.
//! Must not know: migration.
//!
//! Operations that may block, or whose order matters, are awaited; operations
//! that only ever enable others (unlock, post, set, notify) are plain calls. All
//! of them have one meaning, in [`World`]; the runtimes differ in who moves next.

mod access;
mod apply;
mod cell;
pub mod controlled;
pub mod loom;
mod monitor;
mod mutant;
mod object;
mod payload;
mod persistent;
mod ready;
pub mod shuttle;
mod state;
mod step;
mod stuck;
pub mod threads;
mod trail;
mod world;

pub use crate::lock::{Bytes, FingerprintMap, FingerprintSet, fingerprint};
pub use access::{Access, Place, Touch};
pub use cell::{Cell, Observable, Protection};
#[doc(hidden)]
pub use mutant::Mutant;
pub use object::{Act, Environment, Name, Object, ObjectId, Op, Outcome, State, ThreadId, Threads};
pub use payload::Payload;
pub use ready::Choice;
pub use trail::Trail;
pub use world::{Call, Event, Phase, Thread, Timing, Violation, Wait, World};

use crate::lock::{Rule, Site, at};
use std::any::Any;
use std::future::Future;
use std::hash::Hash;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

/// A thread's body.
pub type Body = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is explored: declares its threads and objects, and has a body for each.
pub trait Program: Send + Sync + 'static {
    /// What the bodies share: handles to objects and cells.
    type Shared: Send + Sync + 'static;

    /// Declares threads, objects and cells in an empty world.
    fn setup(&self, world: &mut World) -> Self::Shared;

    /// The body of thread `cx.me()`.
    fn body<R: Runtime>(&self, shared: Arc<Self::Shared>, cx: R) -> Body;

    /// Looks at a finished execution: nobody can move any more.
    fn judge(&self, shared: &Self::Shared, world: &mut World);
}

/// A program whose ends can be told apart: its `setup` has watched some variables.
pub trait Watched: Program {
    /// What an execution came to.
    type Outcome: Ord;

    /// The outcome of a finished execution: nobody can move any more.
    fn outcome(&self, shared: &Self::Shared, world: &World) -> Self::Outcome;
}

/// A typed handle to a channel of `T`s.
pub struct Channel<T> {
    /// The channel.
    pub id: ObjectId,
    message: PhantomData<fn() -> T>,
}

impl<T> Clone for Channel<T> {
    fn clone(&self) -> Channel<T> {
        *self
    }
}

impl<T> Copy for Channel<T> {}

impl<T> Channel<T> {
    /// The channel `id`, which carries only `T`s.
    pub fn new(id: ObjectId) -> Channel<T> {
        Channel { id, message: PhantomData }
    }
}

/// The channel is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Broken;

/// A thread's view of its runtime. The three required methods are all that an
/// implementation has; everything else is said in terms of them.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// The calling thread.
    fn me(&self) -> ThreadId;

    /// Announces an operation and does it when the scheduler says so.
    fn call(&self, call: Call) -> impl Future<Output = Outcome> + Send;

    /// Looks at or changes the world at once. Only for what enables others.
    fn world<A>(&self, f: impl FnOnce(&mut World) -> A) -> A;

    /// [`Runtime::call`] from its parts.
    fn op(&self, op: Op, object: ObjectId, site: Site) -> impl Future<Output = Outcome> + Send {
        self.call(Call { op, object, site })
    }

    /// [`Runtime::op`] where the outcome is a number.
    fn value(&self, op: Op, object: ObjectId, site: Site) -> impl Future<Output = u64> + Send {
        async move {
            match self.op(op, object, site).await {
                Outcome::Value(value) => value,
                other => unreachable!("a number was due, not {other:?}"),
            }
        }
    }

    /// An enabling operation, done at once.
    fn act(&self, act: Act, object: ObjectId, site: Site) {
        let me = self.me();
        self.world(|world| world.act(me, act, object, site));
    }

    /// `qemu_mutex_lock`.
    fn lock(&self, mutex: ObjectId, site: Site) -> impl Future<Output = ()> + Send {
        async move { drop(self.op(Op::Lock, mutex, site).await) }
    }

    /// `qemu_mutex_unlock`.
    fn unlock(&self, mutex: ObjectId, site: Site) {
        self.act(Act::Unlock, mutex, site);
    }

    /// Whether the calling thread holds `mutex` (`bql_locked()`).
    fn holds(&self, mutex: ObjectId) -> bool {
        let me = self.me();
        self.world(|world| world.holds(me, mutex))
    }

    /// `qemu_sem_wait`.
    fn sem_wait(&self, sem: ObjectId, site: Site) -> impl Future<Output = ()> + Send {
        async move { drop(self.op(Op::SemWait, sem, site).await) }
    }

    /// `qemu_event_wait`.
    fn event_wait(&self, event: ObjectId, site: Site) -> impl Future<Output = ()> + Send {
        async move { drop(self.op(Op::EventWait, event, site).await) }
    }

    /// `qemu_cond_wait`: releases `mutex` while it waits. May end without a
    /// signal, where the world still grants one; callers loop, as in C.
    fn cond_wait(
        &self,
        cond: ObjectId,
        mutex: ObjectId,
        site: Site,
    ) -> impl Future<Output = ()> + Send {
        async move {
            self.act(Act::Enqueue, cond, site);
            self.act(Act::Unlock, mutex, site);
            self.op(Op::CondBlock, cond, site).await;
            self.lock(mutex, site).await;
        }
    }

    /// Sends `message`, and waits until no more are in flight than the channel's
    /// capacity; an error if the channel is broken.
    fn send<T: Any + Send + Sync + Hash + std::fmt::Debug>(
        &self,
        channel: Channel<T>,
        message: T,
        site: Site,
    ) -> impl Future<Output = Result<(), Broken>> + Send {
        async move {
            self.send_buffered(channel, message, site).await?;
            let bounded = self.world(|w| w.object(channel.id).capacity != usize::MAX);
            if bounded && matches!(self.op(Op::Drain, channel.id, site).await, Outcome::Broken) {
                return Err(Broken);
            }
            Ok(())
        }
    }

    /// Sends `message` without waiting; an error if the channel is broken.
    fn send_buffered<T: Any + Send + Sync + Hash + std::fmt::Debug>(
        &self,
        channel: Channel<T>,
        message: T,
        site: Site,
    ) -> impl Future<Output = Result<(), Broken>> + Send {
        async move {
            match self.op(Op::Send(Payload::new(message)), channel.id, site).await {
                Outcome::Broken => Err(Broken),
                _ => Ok(()),
            }
        }
    }

    /// Receives the next message; an error when the channel is broken and empty.
    fn recv<T: Any + Send + Sync + Clone>(
        &self,
        channel: Channel<T>,
        site: Site,
    ) -> impl Future<Output = Result<T, Broken>> + Send {
        async move {
            match self.op(Op::Recv, channel.id, site).await {
                Outcome::Received(payload) => {
                    Ok(payload.get::<T>().expect("the channel's own type").clone())
                }
                _ => Err(Broken),
            }
        }
    }

    /// `qemu_thread_join`.
    fn join(&self, thread: ThreadId, site: Site) -> impl Future<Output = ()> + Send {
        async move {
            let handle = self.world(|world| world.handle(thread));
            self.op(Op::Join, handle, site).await;
        }
    }

    /// `qemu_thread_create`.
    fn create(&self, thread: ThreadId, site: Site) {
        let handle = self.world(|world| world.handle(thread));
        self.act(Act::Create, handle, site);
    }

    /// Uses `cell`. What the closure returns is what the thread observes: the
    /// closure must bring nothing else out.
    ///
    /// # Panics
    /// If the cell's lock is not held: our own mistake.
    fn with<T: Hash + Send + 'static, A: Hash>(
        &self,
        cell: &Cell<T>,
        f: impl FnOnce(&mut T) -> A,
    ) -> A {
        self.used(cell, Access::Write, cell.peek(f))
    }

    /// Looks at `cell`, like [`Runtime::with`]: looks need no hand-over from one
    /// another.
    ///
    /// # Panics
    /// If the cell's lock is not held: our own mistake.
    fn look<T: Hash + Send + 'static, A: Hash>(
        &self,
        cell: &Cell<T>,
        f: impl FnOnce(&T) -> A,
    ) -> A {
        self.used(cell, Access::Read, cell.peek(|data| f(data)))
    }

    /// Frees `cell`, as QEMU's `name`: a use like any other, and the last.
    fn free<T: Hash + Send + 'static>(&self, cell: &Cell<T>, name: &'static str) {
        let me = self.me();
        self.world(|world| world.touch(Place::Cell(cell.index()), Access::Write));
        if let Some(freed) = cell.freed() {
            let message = format!("{freed} is freed twice");
            self.world(|world| {
                world.violate(Rule::UseAfterTeardown, me, at("use after free", freed), message);
            });
        }
        cell.free(name);
    }

    /// Checks a use of `cell` that gave `seen`, which the thread now knows.
    ///
    /// # Panics
    /// If the cell's lock is not held: our own mistake.
    fn used<T: Hash + Send + 'static, A: Hash>(
        &self,
        cell: &Cell<T>,
        access: Access,
        seen: A,
    ) -> A {
        let me = self.me();
        self.world(|world| {
            match cell.protection() {
                Protection::Lock(mutex) => assert!(
                    world.holds(me, mutex),
                    "contract broken: {} uses data of {} without holding it",
                    world.name(me),
                    world.name_of(mutex)
                ),
                Protection::HandOver => world.touch(Place::Cell(cell.index()), access),
            }
            if let Some(freed) = cell.freed() {
                let message = format!("{} uses {freed} after it was freed", world.name(me));
                world.violate(Rule::UseAfterTeardown, me, at("use after free", freed), message);
            }
            world.observe(me, fingerprint(&seen));
        });
        seen
    }

    /// The thread forgets what it has observed, at the head of a loop: `locals`
    /// is all it still knows, in every frame below.
    fn canon(&self, label: &'static str, locals: impl Hash) {
        let me = self.me();
        self.world(|world| world.forget(me, fingerprint(&(label, locals))));
    }

    /// Records that a rule was broken; the program goes on.
    fn violate(&self, rule: Rule, site: Site, message: String) {
        let me = self.me();
        self.world(|world| world.violate(rule, me, site, message));
    }

    /// Records a number worth knowing of this execution.
    fn fact(&self, name: &'static str, value: u64) {
        self.world(|world| {
            world.facts.insert(name, value);
        });
    }

    /// A body's first operation: waits until the thread is created. Threads that
    /// are there from the beginning just go on.
    fn started(&self) -> impl Future<Output = ()> + Send {
        async move {
            let (handle, born) = self.world(|world| {
                let handle = world.handle(self.me());
                let state = &world.object(handle).state;
                (handle, matches!(state, State::Thread { created: true, .. }))
            });
            if born {
                return;
            }
            self.op(Op::Start, handle, at("qemu_thread_create", "start_routine")).await;
        }
    }
}
