//! What an operation does to its object: the one meaning that all runtimes share.
//! Must not know: who may do it, or what rules say of it.

use super::object::{ObjectId, Op, Outcome, State, ThreadId};
use super::world::{Call, Phase, Timing, World};

impl World {
    pub(super) fn apply(&mut self, thread: ThreadId, call: &Call, alternative: u8) -> Outcome {
        let spurious = &mut self.spurious;
        let object = &mut self.objects[call.object.0 as usize];
        let name = object.name;
        let held = &mut self.threads[thread.0 as usize].held;
        match (&call.op, &mut object.state) {
            (Op::Start, State::Thread { created: true, .. }) => Outcome::Done,
            (Op::Lock, State::Mutex { owner: owner @ None }) => {
                *owner = Some(thread);
                held.push(call.object);
                Outcome::Done
            }
            (Op::TryLock, State::Mutex { owner }) => {
                if owner.is_some() {
                    return Outcome::Value(0);
                }
                *owner = Some(thread);
                held.push(call.object);
                Outcome::Value(1)
            }
            (Op::Unlock, State::Mutex { owner }) if *owner == Some(thread) => {
                *owner = None;
                held.retain(|id| *id != call.object);
                Outcome::Done
            }
            (Op::SemTimedWait, State::Semaphore { .. }) if alternative == 1 => Outcome::Value(0),
            (Op::SemWait | Op::SemTimedWait, State::Semaphore { count }) if *count > 0 => {
                *count -= 1;
                object.taken += 1;
                Outcome::Value(1)
            }
            (Op::EventWait, State::Event { set: true }) => Outcome::Done,
            (Op::EventIsSet, State::Event { set }) => Outcome::Value(u64::from(*set)),
            (Op::CondBlock, State::Condition { waiting, signalled }) => {
                if !signalled.has(thread) {
                    assert!(alternative == 1 && *spurious > 0, "{name}: not signalled");
                    *spurious -= 1;
                }
                *waiting = waiting.without(thread);
                *signalled = signalled.without(thread);
                Outcome::Done
            }
            (Op::Recv, State::Channel { queue, broken, .. }) => match queue.pop_front() {
                Some(payload) => {
                    object.taken += 1;
                    Outcome::Received(payload)
                }
                None => {
                    assert!(*broken, "{name}: nothing to receive");
                    Outcome::Broken
                }
            },
            (Op::Send(payload), State::Channel { queue, broken, silent }) => {
                if *broken {
                    let seems = *silent && alternative == 0;
                    return if seems { Outcome::Done } else { Outcome::Broken };
                }
                queue.push_back(payload.clone());
                Outcome::Done
            }
            (Op::Drain, State::Channel { broken, .. }) => {
                if *broken {
                    Outcome::Broken
                } else {
                    Outcome::Done
                }
            }
            (Op::Load, State::Variable { value }) => Outcome::Value(*value),
            (Op::Store(new), State::Variable { value }) => {
                *value = *new;
                Outcome::Done
            }
            (Op::Swap(new), State::Variable { value }) => {
                Outcome::Value(std::mem::replace(value, *new))
            }
            (Op::CompareExchange(old, new), State::Variable { value }) => {
                let found = *value;
                if found == *old {
                    *value = *new;
                }
                Outcome::Value(found)
            }
            (Op::Join, State::Thread { joined, .. }) => {
                *joined = true;
                Outcome::Done
            }
            (Op::Choose(n), _) => {
                assert!(alternative < *n, "{name}: choice out of range");
                Outcome::Value(u64::from(alternative))
            }
            (Op::Break, State::Channel { .. }) => self.cut(call.object),
            (Op::Shutdown, State::Channel { .. }) => self.shut(call.object),
            (Op::Exit, State::Process) => {
                self.kill(thread);
                Outcome::Done
            }
            (op, state) => {
                panic!("{} on {name} is not ready or makes no sense: {state:?}", op.name())
            }
        }
    }

    /// The channels that break with `first`, itself included.
    pub(super) fn link(&self, first: ObjectId) -> Vec<ObjectId> {
        let linked = self.objects[first.0 as usize].linked.iter().copied();
        std::iter::once(first).chain(linked).collect()
    }

    /// Breaks a link. Of a paced channel nothing in flight arrives.
    fn cut(&mut self, first: ObjectId) -> Outcome {
        if self.breaks == 0 || self.is_broken(first) {
            return Outcome::Broken;
        }
        self.breaks -= 1;
        for id in self.link(first) {
            let object = &mut self.objects[id.0 as usize];
            let paced = object.paced && self.timing == Timing::Idle;
            if let State::Channel { queue, broken, silent } = &mut object.state {
                if paced {
                    queue.clear();
                }
                *broken = true;
                *silent = self.timing == Timing::Any;
            }
        }
        Outcome::Done
    }

    /// Whether `channel` is broken.
    pub fn is_broken(&self, channel: ObjectId) -> bool {
        matches!(self.objects[channel.0 as usize].state, State::Channel { broken: true, .. })
    }

    /// Whether `first` and all that break with it are broken.
    pub(super) fn is_cut(&self, first: ObjectId) -> bool {
        self.link(first).into_iter().all(|id| self.is_broken(id))
    }

    fn shut(&mut self, first: ObjectId) -> Outcome {
        for id in self.link(first) {
            if let State::Channel { broken, .. } = &mut self.objects[id.0 as usize].state {
                *broken = true;
            }
        }
        Outcome::Done
    }

    pub(super) fn kill(&mut self, by: ThreadId) {
        let process = self.threads[by.0 as usize].process;
        self.dead |= 1 << process;
        for thread in &mut self.threads {
            let over = matches!(thread.phase, Phase::Finished | Phase::Killed);
            if thread.process == process && !over {
                thread.phase = Phase::Killed;
            }
        }
    }
}
