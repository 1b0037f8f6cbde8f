//! What a step touched, as far as its order against other steps matters: the
//! dpor engine builds its happens-before from it.
//! Must not know: how an engine orders steps.

use super::mutant::Mutant;
use super::object::{Act, ObjectId, Op, State, ThreadId};
use super::world::{Call, World};

/// What two steps can meet at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// An object. A thread's own object stands for its life: each of its steps
    /// reads it, and whoever ends that life writes it.
    Object(ObjectId),
    /// Whether a thread sleeps in a condition.
    Waiter(ObjectId, ThreadId),
    /// Whether a channel is broken.
    Line(ObjectId),
    /// What has been taken out of a channel that can be full.
    Room(ObjectId),
    /// What has been put into it: each message can make others wait longer.
    Fill(ObjectId),
    /// A cell that is handed over: not an order of its own, but to be checked.
    Cell(u16),
    /// The wake-ups without a signal that are left.
    Spurious,
    /// The breaks that are left.
    Breaks,
}

/// How it was touched. Of what comes in order, the n-th given is the n-th taken,
/// so that every wait has one cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Commutes with other reads.
    Read,
    /// Commutes with nothing.
    Write,
    /// Ends a mutual exclusion begun by a `Write`.
    Release,
    /// Adds the n-th token or message.
    Give(u32),
    /// Takes the n-th, or finds that it is not there yet.
    Take(u32),
    /// Waits until the n-th is there.
    Await(u32),
}

/// One touch of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Touch {
    pub place: Place,
    pub access: Access,
}

impl Touch {
    /// Whether the order of the two matters.
    pub fn conflicts(&self, other: &Touch) -> bool {
        self.place == other.place
            && match (self.access, other.access) {
                (Access::Read, Access::Read) => false,
                (Access::Give(given), Access::Take(taken))
                | (Access::Take(taken), Access::Give(given)) => given == taken,
                (Access::Give(given), Access::Await(last))
                | (Access::Await(last), Access::Give(given)) => given <= last,
                (Access::Await(_), Access::Await(_)) => false,
                _ => true,
            }
    }
}

impl World {
    /// Records a touch of the present step, where somebody wants to know.
    pub fn touch(&mut self, place: Place, access: Access) {
        if let Some(touches) = &mut self.touches {
            touches.push(Touch { place, access });
        }
    }

    /// What the pending operation of `thread` would touch if it could be done.
    pub fn would_touch(&mut self, thread: ThreadId) -> Vec<Touch> {
        let Some(call) = self.pending(thread).cloned() else { return Vec::new() };
        let before = self.touches.replace(Vec::new());
        self.touch_by_op(thread, &call, u8::from(matches!(call.op, Op::CondBlock)));
        std::mem::replace(&mut self.touches, before).unwrap_or_default()
    }

    /// Records what `thread` is about to touch by its operation.
    pub(super) fn touch_by_op(&mut self, thread: ThreadId, call: &Call, alternative: u8) {
        if self.touches.is_none() {
            return;
        }
        self.touch(Place::Object(self.handle(thread)), Access::Read);
        let place = Place::Object(call.object);
        let object = &self.objects[call.object.0 as usize];
        let (taken, capacity) = (object.taken, object.capacity);
        match (&call.op, &object.state) {
            (Op::Choose(_), _) => {}
            (Op::TryLock, State::Mutex { owner: Some(_) }) => self.touch(place, Access::Read),
            (Op::Unlock, _) => self.touch(place, Access::Release),
            (Op::SemWait | Op::SemTimedWait, _) => self.touch(place, Access::Take(taken + 1)),
            (Op::Start | Op::Join | Op::EventWait | Op::EventIsSet | Op::Load, _) => {
                self.touch(place, Access::Read);
            }
            (Op::CondBlock, _) => {
                // Signalled, it reads that it need not wake up without: who used
                // that up before took the other way from it.
                let access = if alternative == 1 { Access::Write } else { Access::Read };
                self.touch(Place::Waiter(call.object, thread), access);
                self.touch(Place::Spurious, access);
            }
            (Op::Recv, State::Channel { queue, broken, .. }) => {
                let (empty, broken) = (queue.is_empty(), *broken);
                if empty {
                    self.touch(Place::Line(call.object), Access::Read);
                }
                if empty && broken {
                    // Others may have taken what there was.
                    self.touch(place, Access::Read);
                } else {
                    self.touch(place, Access::Take(taken + 1));
                    if capacity != usize::MAX {
                        self.touch(Place::Room(call.object), Access::Give(taken + 1));
                    }
                }
            }
            (Op::Send(_), State::Channel { queue, broken, .. }) => {
                let (number, broken) = (taken + queue.len() as u32 + 1, *broken);
                if self.mutant != Mutant::Line {
                    self.touch(Place::Line(call.object), Access::Read);
                }
                if !broken {
                    self.touch(place, Access::Give(number));
                    if capacity != usize::MAX && self.mutant != Mutant::Fill {
                        self.touch(Place::Fill(call.object), Access::Write);
                    }
                }
            }
            (Op::Drain, State::Channel { queue, .. }) => {
                let sent = taken as usize + queue.len();
                // It goes on by what comes first, a break or a taker: it reads both.
                self.touch(Place::Line(call.object), Access::Read);
                self.touch(Place::Fill(call.object), Access::Read);
                if let Some(awaited) = sent.checked_sub(capacity) {
                    self.touch(Place::Room(call.object), Access::Await(awaited as u32));
                }
            }
            (Op::Break, State::Channel { broken, .. }) if *broken || self.breaks_over => {
                // Nothing left to do, because of what others did: it reads that.
                self.touch(Place::Breaks, Access::Read);
                self.touch(Place::Line(call.object), Access::Read);
            }
            (Op::Break | Op::Shutdown, _) => self.touch_link(call.object, &call.op),
            (Op::Exit, _) => self.touch_lives(thread),
            _ => self.touch(place, Access::Write),
        }
    }

    fn touch_link(&mut self, first: ObjectId, op: &Op) {
        if matches!(op, Op::Break) {
            self.touch(Place::Breaks, Access::Write);
        }
        let nothing_new = matches!(op, Op::Shutdown) && self.is_cut(first);
        let access = if nothing_new { Access::Read } else { Access::Write };
        for id in self.link(first) {
            self.touch(Place::Line(id), access);
        }
    }

    fn touch_lives(&mut self, by: ThreadId) {
        let process = self.threads[by.0 as usize].process;
        for index in 0..self.threads.len() {
            let thread = ThreadId(index as u8);
            if self.threads[index].process == process {
                self.touch(Place::Object(self.handle(thread)), Access::Write);
            }
        }
    }

    /// Records what `thread` is about to touch by `act`. What changes nothing
    /// only reads.
    pub(super) fn touch_by_act(&mut self, thread: ThreadId, act: Act, id: ObjectId) {
        if self.touches.is_none() {
            return;
        }
        let object = &self.objects[id.0 as usize];
        let write_if = |changes: bool| if changes { Access::Write } else { Access::Read };
        let access = match (act, &object.state) {
            (Act::Unlock, _) => Access::Release,
            (Act::Post, State::Semaphore { count }) => Access::Give(object.taken + count + 1),
            (Act::Set, State::Event { set }) => write_if(!set),
            (Act::Create, State::Thread { created, .. }) => write_if(!created),
            (Act::Enqueue, _) => return self.touch(Place::Waiter(id, thread), Access::Write),
            (Act::Signal | Act::Broadcast, State::Condition { waiting, signalled }) => {
                let woken = *waiting & !*signalled;
                let users = object.users & self.everybody();
                for user in users.iter() {
                    self.touch(Place::Waiter(id, user), write_if(woken.has(user)));
                }
                return;
            }
            _ => Access::Write,
        };
        self.touch(Place::Object(id), access);
    }
}
