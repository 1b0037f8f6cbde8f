//! Which of the threads that can move are enough to try: persistent sets at the
//! grain of threads, from the declared contracts.
//! Must not know: how the states are searched.

use super::mutant::Mutant;
use super::object::{ObjectId, Op, State, ThreadId, Threads};
use super::world::{Timing, World};

impl World {
    /// A persistent subset of `movable` (Godefroid; stubborn sets at the grain
    /// of threads): closed under who could, before it moves, do something that
    /// does not commute with its next step, by the declared contracts.
    /// Exploring it alone reaches every deadlock and every thread's local states,
    /// as long as no step ends the world: then the others are to be tried too.
    pub fn persistent(&self, movable: Threads) -> Threads {
        if movable.iter().any(|t| self.is_gated(t)) {
            let first = movable.iter().take(1).collect();
            return if self.mutant == Mutant::GatedBranches { first } else { movable };
        }
        let mut best = movable;
        for seed in movable.iter() {
            if best.len() <= 1 {
                break;
            }
            let closed = self.closure(seed) & movable;
            if closed.len() < best.len() {
                best = closed;
            }
        }
        best
    }

    fn closure(&self, seed: ThreadId) -> Threads {
        let relevant = self.everybody();
        let (mut closed, mut todo) = (Threads::NONE, Threads::NONE.with(seed));
        while let Some(thread) = todo.iter().next() {
            closed = closed.with(thread);
            let next = if self.alternatives(thread) == 0 {
                if self.mutant == Mutant::Wakers { Threads::NONE } else { self.wakers_of(thread) }
            } else if self.is_gated(thread) {
                self.ungaters(thread)
            } else {
                self.rivals(thread) | self.late_rivals(thread)
            };
            todo = (todo | (next & relevant)) & !closed;
            todo = todo.iter().filter(|t| !self.is_over(*t)).collect();
        }
        closed
    }

    /// Who could let this thread move before the environment's turn: its message
    /// has to wait for that, a break has not.
    fn ungaters(&self, thread: ThreadId) -> Threads {
        match self.pending(thread) {
            Some(call) if !self.threads[thread.0 as usize].environment => {
                self.breakers(call.object) & self.inside()
            }
            _ => Threads::NONE,
        }
    }

    /// Who could do something that does not commute with the pending, enabled
    /// operation of `thread`.
    fn rivals(&self, thread: ThreadId) -> Threads {
        let Some(call) = self.pending(thread) else { return Threads::NONE };
        let object = &self.objects[call.object.0 as usize];
        let rivals = match call.op {
            Op::Start | Op::Join | Op::EventWait | Op::Choose(_) => Threads::NONE,
            Op::Lock if self.mutant == Mutant::RivalsOfLock => Threads::NONE,
            Op::Lock | Op::TryLock | Op::Unlock | Op::SemWait => object.users,
            Op::SemTimedWait => object.users | object.wakers,
            Op::EventIsSet if self.mutant == Mutant::RivalsOfEventIsSet => Threads::NONE,
            Op::EventIsSet => object.wakers,
            Op::CondBlock if self.alternatives(thread) == 1 => Threads::NONE,
            Op::CondBlock => object.wakers | self.sleepers(),
            Op::Recv => object.users | self.early_breakers(call.object),
            Op::Send(_) => object.wakers | self.early_breakers(call.object),
            Op::Load => object.writers,
            Op::Store(_) | Op::Swap(_) | Op::CompareExchange(..) => object.users | object.writers,
            Op::Break | Op::Shutdown => {
                let link = self.link(call.object);
                let all = link.iter().map(|id| &self.objects[id.0 as usize]);
                all.fold(self.all_breakers(), |all, o| all | o.users | o.wakers)
            }
            Op::Exit => Threads::ALL,
        };
        rivals.without(thread)
    }

    /// Who could do something that does not commute with the rest of the next
    /// step of `thread`: what it may do at once after its operation; and who could
    /// end it.
    fn late_rivals(&self, thread: ThreadId) -> Threads {
        if self.mutant == Mutant::LateActs {
            return Threads::NONE;
        }
        let process = self.threads[thread.0 as usize].process;
        let none_unless = |may: bool, them: Threads| if may { them } else { Threads::NONE };
        self.contested.iter().fold(Threads::NONE, |all, id| {
            let object = &self.objects[id.0 as usize];
            let (waits, wakes) = (object.users.has(thread), object.wakers.has(thread));
            all | match object.state {
                State::Event { set } => none_unless(wakes && !set, object.users),
                State::Condition { .. } => {
                    let apart = object.guard.is_none();
                    none_unless(waits && apart, object.wakers)
                        | none_unless(wakes && (apart || self.spurious > 0), object.users)
                }
                State::Process if self.mutant != Mutant::Exits => {
                    let users = object.users & self.everybody();
                    users.iter().filter(|t| self.threads[t.0 as usize].process == process).collect()
                }
                _ => Threads::NONE,
            }
        })
    }

    /// Who could end the present wait of `thread`, by the declared contracts.
    pub fn wakers_of(&self, thread: ThreadId) -> Threads {
        let Some(call) = self.pending(thread) else { return Threads::NONE };
        let object = &self.objects[call.object.0 as usize];
        match (&call.op, &object.state) {
            (Op::Lock, State::Mutex { owner: Some(owner) }) => Threads::NONE.with(*owner),
            (Op::Join, State::Thread { thread, .. }) => Threads::NONE.with(*thread),
            (Op::Recv, _) => object.wakers | self.breakers(call.object),
            (Op::Send(_), _) => object.users | self.breakers(call.object),
            // Broken already, or no break left: it never can.
            (Op::Break, _) => Threads::NONE,
            _ => object.wakers,
        }
        .without(thread)
    }

    /// Who may break or shut `channel`, or one that breaks with it.
    fn breakers(&self, channel: ObjectId) -> Threads {
        let linked = &self.objects[channel.0 as usize].linked;
        self.contested.iter().fold(Threads::NONE, |all, id| {
            let object = &self.objects[id.0 as usize];
            let tied = *id == channel || linked.contains(id) || object.linked.contains(&channel);
            if tied { all | object.writers } else { all }
        })
    }

    /// Those of [`World::breakers`] who need not wait for the environment's turn.
    fn early_breakers(&self, channel: ObjectId) -> Threads {
        if self.mutant == Mutant::Breakers {
            return Threads::NONE;
        }
        match self.timing {
            Timing::Any => self.breakers(channel),
            Timing::Idle => self.breakers(channel) & self.inside(),
        }
    }

    /// Who may break any channel: they share what breaks are left.
    fn all_breakers(&self) -> Threads {
        self.contested.iter().fold(Threads::NONE, |all, id| {
            let object = &self.objects[id.0 as usize];
            let channel = matches!(object.state, State::Channel { .. });
            if channel { all | object.writers } else { all }
        })
    }

    /// Who may wait in any condition: they share what spurious wake-ups are left.
    fn sleepers(&self) -> Threads {
        self.contested.iter().fold(Threads::NONE, |all, id| {
            let object = &self.objects[id.0 as usize];
            let condition = matches!(object.state, State::Condition { .. });
            if condition { all | object.users } else { all }
        })
    }

    /// The threads that are not environment.
    fn inside(&self) -> Threads {
        self.everybody().iter().filter(|t| !self.threads[t.0 as usize].environment).collect()
    }
}
