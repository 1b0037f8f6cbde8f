//! Our own executor: polls the futures itself, one operation a step, exactly as
//! it is told. No OS threads, no stacks, millions of steps a second.
//! Must not know: how an explorer picks the steps.

use super::{Body, Call, Choice, Outcome, Phase, Program, Runtime, ThreadId, World};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// The runtime handle of one controlled thread.
#[derive(Clone)]
pub struct Controlled {
    me: ThreadId,
    world: Arc<Mutex<World>>,
}

/// Announces at the first poll; takes the outcome at the second.
struct Step<'a> {
    cx: &'a Controlled,
    call: Option<Call>,
}

impl Future for Step<'_> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Outcome> {
        let me = self.cx.me;
        let call = self.call.take();
        let mut world = self.cx.world.lock().expect("no panic while held");
        match call {
            Some(call) => {
                world.announce(me, call);
                Poll::Pending
            }
            None => Poll::Ready(world.threads[me.0 as usize].outcome.take().expect("performed")),
        }
    }
}

impl Runtime for Controlled {
    fn me(&self) -> ThreadId {
        self.me
    }

    fn call(&self, call: Call) -> impl Future<Output = Outcome> + Send {
        Step { cx: self, call: Some(call) }
    }

    fn world<A>(&self, f: impl FnOnce(&mut World) -> A) -> A {
        f(&mut self.world.lock().expect("no panic while held"))
    }
}

/// One execution of a program, step by step.
pub struct Execution<P: Program> {
    program: Arc<P>,
    shared: Arc<P::Shared>,
    world: Arc<Mutex<World>>,
    bodies: Vec<Option<Body>>,
}

impl<P: Program> Execution<P> {
    /// Every thread at its first operation. `prepare` may switch the log on.
    pub fn new(program: &Arc<P>, prepare: impl FnOnce(&mut World)) -> Execution<P> {
        let mut world = World::new(super::Timing::Any);
        let shared = Arc::new(program.setup(&mut world));
        prepare(&mut world);
        let threads = world.threads.len();
        let world = Arc::new(Mutex::new(world));
        let bodies = (0..threads)
            .map(|index| {
                let cx = Controlled { me: ThreadId(index as u8), world: world.clone() };
                Some(program.body(shared.clone(), cx))
            })
            .collect();
        let mut execution = Execution { program: program.clone(), shared, world, bodies };
        (0..threads).for_each(|index| execution.run(ThreadId(index as u8)));
        execution
    }

    /// Runs `thread` up to its next operation, or to its end.
    fn run(&mut self, thread: ThreadId) {
        let body = &mut self.bodies[thread.0 as usize];
        let Some(future) = body else { return };
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            *body = None;
            let mut world = self.world.lock().expect("no panic while held");
            if !matches!(world.threads[thread.0 as usize].phase, Phase::Killed) {
                world.finish(thread);
            }
        }
    }

    /// Takes one step.
    ///
    /// # Panics
    /// If the step is not possible here.
    pub fn step(&mut self, choice: Choice) {
        self.world.lock().expect("no panic while held").perform(choice.thread, choice.alternative);
        self.run(choice.thread);
    }

    /// Looks at the world between two steps.
    pub fn world<A>(&self, f: impl FnOnce(&mut World) -> A) -> A {
        f(&mut self.world.lock().expect("no panic while held"))
    }

    /// Looks at the world and at what the program's bodies share.
    pub fn shared<A>(&self, f: impl FnOnce(&P::Shared, &World) -> A) -> A {
        f(&self.shared, &self.world.lock().expect("no panic while held"))
    }

    /// Has the program judge the execution: nobody can move any more.
    pub fn judge(&mut self) {
        let mut world = self.world.lock().expect("no panic while held");
        self.program.judge(&self.shared, &mut world);
    }
}
