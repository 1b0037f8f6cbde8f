//! The values that some variables go through, in one order: what an outcome of a
//! program is made of. Where they are kept they are a part of the state, so the
//! order of two changes matters even if nobody looks.
//! Must not know: what the variables stand for.

use super::object::{ObjectId, Op, State, ThreadId, Threads};
use super::world::World;

/// The variables that are watched, and their values so far.
#[derive(Debug, Default)]
pub struct Trail {
    watched: Vec<ObjectId>,
    /// Each change: the variable and its new value; first of all, how each began.
    pub values: Vec<(ObjectId, u64)>,
}

impl World {
    /// From now on the values of `variables` are kept.
    ///
    /// # Panics
    /// If one is not a variable: our own mistake.
    pub fn watch(&mut self, variables: &[ObjectId]) {
        for id in variables {
            let value = self.value_of(*id).expect("only variables are watched");
            self.trail.watched.push(*id);
            self.trail.values.push((*id, value));
        }
    }

    fn value_of(&self, id: ObjectId) -> Option<u64> {
        match self.objects[id.0 as usize].state {
            State::Variable { value } => Some(value),
            _ => None,
        }
    }

    /// After a step on `object`: keeps its value if it is watched and has changed.
    pub(super) fn keep(&mut self, object: ObjectId) {
        if !self.trail.watched.contains(&object) {
            return;
        }
        let value = self.value_of(object).expect("only variables are watched");
        let mut before = self.trail.values.iter().rev();
        if before.find(|(id, _)| *id == object) != Some(&(object, value)) {
            self.trail.values.push((object, value));
        }
    }

    /// Who else writes what is watched, where `object` is.
    pub(super) fn fellow_writers(&self, object: ObjectId) -> Threads {
        if !self.trail.watched.contains(&object) {
            return Threads::NONE;
        }
        let watched = self.trail.watched.iter();
        watched.fold(Threads::NONE, |all, id| all | self.objects[id.0 as usize].writers)
    }

    /// Whether the next step of `thread` may be seen in the trail.
    pub(super) fn leaves_trail(&self, thread: ThreadId) -> bool {
        self.pending(thread).is_some_and(|call| {
            matches!(call.op, Op::Store(_) | Op::Swap(_) | Op::CompareExchange(..))
                && self.trail.watched.contains(&call.object)
        })
    }
}
