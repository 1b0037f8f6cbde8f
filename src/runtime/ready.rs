//! Who can move now, and in which ways: what schedulers ask the world.
//! Must not know: in which order a scheduler tries the answers.

use super::object::{Environment, Op, State, ThreadId, Threads};
use super::world::{Phase, Timing, World};

/// One possible next step: a thread and which alternative of its operation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Choice {
    pub thread: ThreadId,
    pub alternative: u8,
}

impl World {
    /// Which alternatives of its pending operation `thread` could take now, one
    /// bit each, leaving the environment's turn aside. 0: it is blocked.
    pub fn alternatives(&self, thread: ThreadId) -> u64 {
        let Some(call) = self.pending(thread) else { return 0 };
        let object = &self.objects[call.object.0 as usize];
        let bit = |ready: bool| u64::from(ready);
        match (&call.op, &object.state) {
            (Op::Start, State::Thread { created, .. }) => bit(*created),
            (Op::Lock, State::Mutex { owner }) => bit(owner.is_none()),
            (Op::SemWait, State::Semaphore { count }) => bit(*count > 0),
            (Op::SemTimedWait, State::Semaphore { count }) => 0b10 | bit(*count > 0),
            (Op::EventWait, State::Event { set }) => bit(*set),
            (Op::CondBlock, State::Condition { signalled, .. }) => {
                let signalled = signalled.has(thread);
                bit(signalled) | u64::from(!signalled && self.spurious > 0) << 1
            }
            (Op::Send(_), State::Channel { silent: true, .. }) => 0b11,
            (Op::Recv, State::Channel { queue, broken, .. }) => bit(*broken || !queue.is_empty()),
            (Op::Drain, State::Channel { queue, broken, .. }) => {
                bit(*broken || queue.len() <= object.capacity)
            }
            (Op::Join, State::Thread { thread: other, created, .. }) => {
                bit(*created && self.is_over(*other))
            }
            (Op::Choose(n), _) => (1 << n) - 1,
            (Op::Break, State::Channel { broken, .. }) => {
                if *broken || self.breaks_over {
                    return 1;
                }
                if self.breaks == 0 {
                    return 0;
                }
                1
            }
            _ => 1,
        }
    }

    /// Whether `thread`'s pending operation is the environment's move: a break,
    /// an arrival, something that a person does.
    pub fn is_gated(&self, thread: ThreadId) -> bool {
        self.timing == Timing::Idle
            && self.pending(thread).is_some_and(|call| {
                let object = &self.objects[call.object.0 as usize];
                match (&call.op, &object.state) {
                    _ if self.threads[thread.0 as usize].environment => true,
                    (Op::Break, _) => true,
                    (Op::Recv, State::Channel { queue, .. }) => object.paced && !queue.is_empty(),
                    (Op::SemWait, _) => {
                        let person = self.threads[thread.0 as usize].management;
                        person && object.environment == Some(Environment::Management)
                    }
                    _ => false,
                }
            })
    }

    /// The threads that can move now. The environment's are among them only if
    /// nobody else can, or under [`Timing::Any`].
    pub fn movable(&self) -> Threads {
        if self.ended {
            return Threads::NONE;
        }
        let (mut inside, mut outside, mut running) = (Threads::NONE, Threads::NONE, false);
        for (index, thread) in self.threads.iter().enumerate() {
            let id = ThreadId(index as u8);
            match thread.phase {
                Phase::Running => running = true,
                Phase::Waiting(_) if self.alternatives(id) != 0 => {
                    if self.is_gated(id) {
                        outside = outside.with(id);
                    } else {
                        inside = inside.with(id);
                    }
                }
                _ => {}
            }
        }
        if inside.is_empty() && !running { outside } else { inside }
    }

    /// All threads.
    pub fn everybody(&self) -> Threads {
        (0..self.threads.len()).map(|index| ThreadId(index as u8)).collect()
    }

    /// Whether some thread is between two operations.
    pub fn is_busy(&self) -> bool {
        self.threads.iter().any(|thread| matches!(thread.phase, Phase::Running))
    }

    /// All the steps that `threads` can take now, in order.
    pub fn choices(&self, threads: Threads) -> Vec<Choice> {
        let mut choices = Vec::new();
        for thread in threads.iter() {
            let mut rest = self.alternatives(thread);
            while rest != 0 {
                choices.push(Choice { thread, alternative: rest.trailing_zeros() as u8 });
                rest &= rest - 1;
            }
        }
        choices
    }
}
