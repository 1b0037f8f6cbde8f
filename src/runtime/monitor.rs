//! Blocking runtimes, said once: the world under one mutex, a condition a
//! thread. What differs between real threads, loom and shuttle is a [`Backend`].
//! Must not know: which backend it runs on.

use super::{Body, Call, Outcome, Program, Runtime, ThreadId, Threads, Timing, World};
use std::future::Future;
use std::ops::DerefMut;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A mutex with conditions and a source of choices.
pub trait Backend: Send + Sync + 'static {
    /// A mutex round the world.
    type Mutex: Send + Sync + 'static;
    /// Holds it.
    type Guard<'a>: DerefMut<Target = World>;
    /// A condition.
    type Condvar: Send + Sync + 'static;

    /// Wraps `world`.
    fn mutex(world: World) -> Self::Mutex;
    /// A new condition.
    fn condvar() -> Self::Condvar;
    /// Locks.
    fn lock(mutex: &Self::Mutex) -> Self::Guard<'_>;
    /// Waits, releasing the mutex meanwhile.
    fn wait<'a>(condvar: &Self::Condvar, guard: Self::Guard<'a>) -> Self::Guard<'a>;
    /// Wakes the one waiter.
    fn notify(condvar: &Self::Condvar);
    /// One of the set bits of `alternatives`.
    fn pick(alternatives: u64) -> u8;
    /// Called before each operation: a place to lose the processor.
    fn pause() {}
}

struct Inner<B: Backend> {
    world: B::Mutex,
    wakeups: Vec<B::Condvar>,
}

/// The runtime handle of one thread on backend `B`.
pub struct Monitor<B: Backend> {
    me: ThreadId,
    inner: Arc<Inner<B>>,
}

impl<B: Backend> Clone for Monitor<B> {
    fn clone(&self) -> Monitor<B> {
        Monitor { me: self.me, inner: self.inner.clone() }
    }
}

impl<B: Backend> Inner<B> {
    /// Wakes whoever can move now. If nobody can or ever will, ends the world.
    fn wake(&self, world: &mut World) {
        let movable = world.movable();
        if world.ended || movable.is_empty() && !world.is_busy() {
            world.halted = true;
        }
        let woken = if world.halted { Threads::ALL } else { movable };
        for (index, condvar) in self.wakeups.iter().enumerate() {
            if woken.has(ThreadId(index as u8)) {
                B::notify(condvar);
            }
        }
    }
}

/// Blocks inside `poll`; pending means that the thread is never to go on.
struct Blocking<'a, B: Backend> {
    cx: &'a Monitor<B>,
    call: Option<Call>,
}

impl<B: Backend> Future for Blocking<'_, B> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Outcome> {
        let Some(call) = self.call.take() else { return Poll::Pending };
        let (me, inner) = (self.cx.me, &self.cx.inner);
        B::pause();
        let mut world = B::lock(&inner.world);
        if world.halted || world.is_over(me) {
            return Poll::Pending;
        }
        world.announce(me, call);
        loop {
            if world.movable().has(me) {
                let alternative = B::pick(world.alternatives(me));
                world.perform(me, alternative);
                inner.wake(&mut world);
                let outcome = world.threads[me.0 as usize].outcome.take();
                return Poll::Ready(outcome.expect("just performed"));
            }
            inner.wake(&mut world);
            if world.halted || world.is_over(me) {
                return Poll::Pending;
            }
            world = B::wait(&inner.wakeups[me.0 as usize], world);
        }
    }
}

impl<B: Backend> Runtime for Monitor<B> {
    fn me(&self) -> ThreadId {
        self.me
    }

    fn call(&self, call: Call) -> impl Future<Output = Outcome> + Send {
        Blocking { cx: self, call: Some(call) }
    }

    fn world<A>(&self, f: impl FnOnce(&mut World) -> A) -> A {
        let mut world = B::lock(&self.inner.world);
        let answer = f(&mut world);
        self.inner.wake(&mut world);
        answer
    }
}

/// One execution: the bodies, to be run by a thread each, and what they share.
pub struct Run<B: Backend, P: Program> {
    program: Arc<P>,
    shared: Arc<P::Shared>,
    inner: Arc<Inner<B>>,
}

impl<B: Backend, P: Program> Clone for Run<B, P> {
    fn clone(&self) -> Run<B, P> {
        Run {
            program: self.program.clone(),
            shared: self.shared.clone(),
            inner: self.inner.clone(),
        }
    }
}

impl<B: Backend, P: Program> Run<B, P> {
    /// Sets the program up. `prepare` may switch the log on.
    pub fn new(program: &Arc<P>, prepare: impl FnOnce(&mut World)) -> Run<B, P> {
        let mut world = World::new(Timing::Any);
        let shared = Arc::new(program.setup(&mut world));
        prepare(&mut world);
        let wakeups = world.threads.iter().map(|_| B::condvar()).collect();
        let inner = Arc::new(Inner { world: B::mutex(world), wakeups });
        Run { program: program.clone(), shared, inner }
    }

    /// How many threads there are to run.
    pub fn threads(&self) -> u8 {
        self.inner.wakeups.len() as u8
    }

    /// Runs thread `index` on the calling thread of the backend, to its end.
    pub fn drive(&self, index: u8) {
        let me = ThreadId(index);
        let cx = Monitor { me, inner: self.inner.clone() };
        let mut body: Body = self.program.body(self.shared.clone(), cx);
        let done = body.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        let mut world = B::lock(&self.inner.world);
        if done && !world.is_over(me) {
            world.finish(me);
        }
        self.inner.wake(&mut world);
    }

    /// Stops all threads at their next operation.
    pub fn stop(&self) {
        let mut world = B::lock(&self.inner.world);
        world.halted = true;
        self.inner.wake(&mut world);
    }

    /// Looks at the world.
    pub fn world<A>(&self, f: impl FnOnce(&mut World) -> A) -> A {
        f(&mut B::lock(&self.inner.world))
    }

    /// Has the program judge the execution, after every thread has stopped.
    pub fn judge(&self) {
        self.program.judge(&self.shared, &mut B::lock(&self.inner.world));
    }
}
