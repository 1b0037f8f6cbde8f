//! Who can move now, who could ever interfere with whom: what schedulers and
//! reductions ask the world.
//! Must not know: in which order a scheduler tries the answers.

use super::object::{ObjectId, Op, State, ThreadId, Threads};
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
            (Op::Recv, State::Channel { queue, broken }) => bit(*broken || !queue.is_empty()),
            (Op::Send(_), State::Channel { queue, broken }) => {
                bit(*broken || queue.len() < object.capacity)
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
                (1u64 << self.survivals(call.object).min(63)) - 1
            }
            _ => 1,
        }
    }

    /// In how many ways what is in flight can arrive or not when `link` breaks.
    fn survivals(&self, link: ObjectId) -> u32 {
        let object = &self.objects[link.0 as usize];
        std::iter::once(&link).chain(&object.linked).map(|id| &self.objects[id.0 as usize]).fold(
            1,
            |ways, object| match &object.state {
                State::Channel { queue, .. } if !(object.paced && self.timing == Timing::Idle) => {
                    ways * (queue.len() as u32 + 1)
                }
                _ => ways,
            },
        )
    }

    /// Whether `thread`'s pending operation is the environment's move.
    pub fn is_gated(&self, thread: ThreadId) -> bool {
        self.timing == Timing::Idle
            && self.pending(thread).is_some_and(|call| {
                let object = &self.objects[call.object.0 as usize];
                let arrival =
                    matches!(&object.state, State::Channel { queue, .. } if !queue.is_empty());
                self.threads[thread.0 as usize].environment
                    || (object.paced && matches!(call.op, Op::Recv) && arrival)
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

    /// A persistent subset of `movable` (Godefroid; stubborn sets at the grain
    /// of threads): closed under who could, before it moves, do something that
    /// does not commute with its pending operation, by the declared contracts.
    /// Exploring it alone reaches every deadlock and every thread's local states.
    pub fn persistent(&self, movable: Threads) -> Threads {
        if movable.len() <= 1 || movable.iter().any(|t| self.is_gated(t)) {
            return movable;
        }
        let mut best = movable;
        for seed in movable.iter() {
            let closed = self.closure(seed) & movable;
            if closed.len() < best.len() {
                best = closed;
                if best.len() == 1 {
                    break;
                }
            }
        }
        best
    }

    fn closure(&self, seed: ThreadId) -> Threads {
        let (mut closed, mut todo) = (Threads::NONE, Threads::NONE.with(seed));
        while let Some(thread) = todo.iter().next() {
            todo = todo.without(thread);
            closed = closed.with(thread);
            let next = if self.alternatives(thread) == 0 {
                self.wakers_of(thread)
            } else if self.is_gated(thread) {
                // It cannot move before the seed does: the environment waits.
                Threads::NONE
            } else {
                self.rivals(thread)
            };
            for other in next.iter() {
                if !closed.has(other) && other.0 < self.threads.len() as u8 && !self.is_over(other)
                {
                    todo = todo.with(other);
                }
            }
        }
        closed
    }

    /// Who could do something that does not commute with the pending, enabled
    /// operation of `thread`.
    fn rivals(&self, thread: ThreadId) -> Threads {
        let Some(call) = self.pending(thread) else { return Threads::NONE };
        let object = &self.objects[call.object.0 as usize];
        let breakers = if self.breaks > 0 && self.timing == Timing::Any {
            object.writers
        } else {
            object.writers & self.inside()
        };
        let rivals = match call.op {
            Op::Start | Op::Join | Op::EventWait | Op::Choose(_) | Op::CondBlock => Threads::NONE,
            Op::Lock | Op::TryLock | Op::Unlock | Op::SemWait | Op::SemTimedWait => object.users,
            Op::EventIsSet => object.wakers,
            Op::Recv => object.users | breakers,
            Op::Send(_) => object.wakers | breakers,
            Op::Load => object.writers,
            Op::Store(_) | Op::Swap(_) | Op::CompareExchange(..) => object.users | object.writers,
            Op::Break | Op::Shutdown => {
                let linked = object.linked.iter().map(|id| &self.objects[id.0 as usize]);
                std::iter::once(object)
                    .chain(linked)
                    .fold(Threads::NONE, |all, o| all | o.users | o.wakers | o.writers)
            }
            Op::Exit => Threads::ALL,
        };
        rivals.without(thread)
    }

    /// The threads that are not environment.
    fn inside(&self) -> Threads {
        let inside = self.threads.iter().enumerate().filter(|(_, t)| !t.environment);
        inside.fold(Threads::NONE, |all, (index, _)| all.with(ThreadId(index as u8)))
    }

    /// Who could end the present wait of `thread`, by the declared contracts.
    pub fn wakers_of(&self, thread: ThreadId) -> Threads {
        let Some(call) = self.pending(thread) else { return Threads::NONE };
        let object = &self.objects[call.object.0 as usize];
        match (&call.op, &object.state) {
            (Op::Lock, State::Mutex { owner: Some(owner) }) => Threads::NONE.with(*owner),
            (Op::Join, State::Thread { thread, .. }) => Threads::NONE.with(*thread),
            (Op::Recv, _) => object.wakers | object.writers,
            (Op::Send(_), _) => object.users | object.writers,
            _ => object.wakers,
        }
        .without(thread)
    }
}
