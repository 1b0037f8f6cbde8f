//! Which of the threads that can move are enough to try: persistent sets at the
//! grain of threads, from the declared contracts.
//! Must not know: how the states are searched.

use super::mutant::Mutant;
use super::object::{ObjectId, Op, State, ThreadId, Threads};
use super::world::World;

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
                // It cannot move before the seed does: the environment waits.
                Threads::NONE
            } else {
                self.rivals(thread) | self.late_rivals(thread)
            };
            todo = (todo | (next & relevant)) & !closed;
            todo = todo.iter().filter(|t| !self.is_over(*t)).collect();
        }
        closed
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
            // What was sent arrives, break or no break.
            Op::Recv => object.users,
            // What is broken stays so.
            Op::Break if self.breaks_over || self.is_broken(call.object) => Threads::NONE,
            Op::Drain if self.mutant == Mutant::RivalsOfDrain => self.breakers(call.object),
            Op::Drain if self.is_broken(call.object) => Threads::NONE,
            Op::Send(_) if self.is_broken(call.object) => Threads::NONE,
            Op::Send(_) | Op::Drain => object.wakers | self.rival_breakers(call.object),
            Op::Load => object.writers,
            Op::Store(_) | Op::Swap(_) | Op::CompareExchange(..) => {
                object.users | object.writers | self.fellow_writers(call.object)
            }
            // It changes nothing any more.
            Op::Shutdown if self.is_cut(call.object) => Threads::NONE,
            Op::Break | Op::Shutdown => {
                let link = self.link(call.object);
                let all = link.iter().map(|id| &self.objects[id.0 as usize]);
                all.fold(self.all_breakers(), |all, o| all | o.wakers)
            }
            Op::Exit => self.process_of(thread),
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
                    none_unless(self.reaches_out(thread), object.users & self.process_of(thread))
                }
                _ => Threads::NONE,
            }
        })
    }

    /// Whether the next step of `thread` may be felt outside of its process: if not,
    /// it does not matter whether the process ends before or after it.
    fn reaches_out(&self, thread: ThreadId) -> bool {
        let inside = self.process_of(thread);
        let outside = |threads: Threads| !(threads & self.everybody() & !inside).is_empty();
        let pending = self.pending(thread).is_some_and(|call| {
            self.link(call.object).iter().any(|id| {
                let object = &self.objects[id.0 as usize];
                outside(object.users | object.wakers | object.writers)
            })
        });
        pending
            || self.leaves_trail(thread)
            || self.outward.get_or_init(|| self.find_outward()).has(thread)
    }

    /// The threads whose enabling acts, or whose data, others outside may see.
    fn find_outward(&self) -> Threads {
        if self.cell_owners.contains(&None) {
            return self.everybody();
        }
        let acts = |state: &State| !matches!(state, State::Channel { .. } | State::Variable { .. });
        self.everybody()
            .iter()
            .filter(|thread| {
                let inside = self.process_of(*thread);
                self.objects.iter().filter(|o| acts(&o.state)).any(|object| {
                    let wakes = object.wakers.has(*thread);
                    wakes && !(object.users & self.everybody() & !inside).is_empty()
                })
            })
            .collect()
    }

    /// Who could end the present wait of `thread`, by the declared contracts.
    pub fn wakers_of(&self, thread: ThreadId) -> Threads {
        let Some(call) = self.pending(thread) else { return Threads::NONE };
        let object = &self.objects[call.object.0 as usize];
        match (&call.op, &object.state) {
            (Op::Lock, State::Mutex { owner: Some(owner) }) => Threads::NONE.with(*owner),
            (Op::Join, State::Thread { thread, .. }) => Threads::NONE.with(*thread),
            (Op::Recv, _) => object.wakers | self.breakers(call.object),
            (Op::Drain, _) => object.users | self.breakers(call.object),
            // Once somebody else has broken or shut it, there is nothing to wait for.
            (Op::Break, _) => self.breakers(call.object),
            _ => object.wakers,
        }
        .without(thread)
    }

    /// Who else may end the process of `thread`.
    pub(super) fn exiters_of(&self, thread: ThreadId) -> Threads {
        let users = self.contested.iter().fold(Threads::NONE, |all, id| {
            let object = &self.objects[id.0 as usize];
            if matches!(object.state, State::Process) { all | object.users } else { all }
        });
        (users & self.process_of(thread)).without(thread)
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

    fn rival_breakers(&self, channel: ObjectId) -> Threads {
        if self.mutant == Mutant::Breakers { Threads::NONE } else { self.breakers(channel) }
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

    /// The threads of the same process.
    fn process_of(&self, thread: ThreadId) -> Threads {
        let process = self.threads[thread.0 as usize].process;
        let same = |t: &ThreadId| self.threads[t.0 as usize].process == process;
        self.everybody().iter().filter(same).collect()
    }
}
