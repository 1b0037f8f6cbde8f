//! Deadlocks, found as soon as they form: a set of threads all of whose wakers
//! are in the set is stuck, even while others still run.
//! Must not know: how the state was reached.

use super::mutant::Mutant;
use super::object::{Environment, Op, ThreadId, Threads};
use super::world::{Phase, Violation, Wait, World};
use crate::lock::Rule;

impl World {
    /// The smallest of the present deadlocks, if there are any.
    pub fn deadlock(&self) -> Option<Violation> {
        self.deadlocks().into_iter().next()
    }

    /// Every set of stuck threads that hangs by itself and has no part that does,
    /// smallest first, each as BQL005 with its cycle. Once there, a set stays: the
    /// end of an execution has all that formed on the way, in whatever order. So
    /// who may still end the process of a stuck thread counts as one who could
    /// end its wait, as long as anybody moves.
    pub fn deadlocks(&self) -> Vec<Violation> {
        if self.ended {
            return Vec::new();
        }
        let mut stuck = self.stuck(|t| self.wakers_of(t));
        if stuck.iter().any(|t| self.is_hang(t)) && (self.is_busy() || !self.movable().is_empty()) {
            stuck = self.stuck(|t| self.wakers_of(t) | self.exiters_of(t));
        }
        let mut sets: Vec<Threads> =
            stuck.iter().filter(|t| self.is_hang(*t)).map(|t| self.explain(t, stuck)).collect();
        sets.sort_by_key(|set| (set.len(), set.0));
        sets.dedup();
        let has_part = |set: &Threads| sets.iter().any(|o| o != set && *o & *set == *o);
        sets.iter().filter(|set| !has_part(set)).map(|set| self.hang(*set)).collect()
    }

    fn hang(&self, set: Threads) -> Violation {
        let cycle: Vec<Wait> = set.iter().filter_map(|t| self.wait(t)).collect();
        let names: Vec<String> = cycle
            .iter()
            .map(|w| format!("{} waits for {}", self.name(w.thread), self.name_of(w.object)))
            .collect();
        let message = format!("deadlock: {}", names.join("; "));
        Violation { rule: Rule::WaitForever, message, thread: None, site: None, cycle }
    }

    /// The greatest set of waiting threads none of which can move and all of
    /// whose rescuers are in the set or gone.
    fn stuck(&self, rescuers: impl Fn(ThreadId) -> Threads) -> Threads {
        let mut stuck = Threads::NONE;
        let mut able = Threads::NONE;
        for (index, thread) in self.threads.iter().enumerate() {
            let id = ThreadId(index as u8);
            match &thread.phase {
                Phase::Waiting(_) if self.rests(id) => able = able.with(id),
                Phase::Waiting(_) if self.alternatives(id) == 0 => stuck = stuck.with(id),
                Phase::Waiting(_) | Phase::Running => able = able.with(id),
                // People survive the process that they talked to.
                Phase::Killed if thread.management => able = able.with(id),
                Phase::Finished | Phase::Killed => {}
            }
        }
        loop {
            let rescued =
                |t: ThreadId| self.mutant != Mutant::Rescuers && !(rescuers(t) & able).is_empty();
            let freed = stuck.iter().find(|t| rescued(*t));
            let Some(thread) = freed else { return stuck };
            stuck = stuck.without(thread);
            able = able.with(thread);
        }
    }

    /// Whether `thread` stands for people and waits for them: it can still act.
    pub fn rests(&self, thread: ThreadId) -> bool {
        self.threads[thread.0 as usize].management
            && self.pending(thread).is_some_and(|call| {
                self.objects[call.object.0 as usize].environment == Some(Environment::Management)
            })
    }

    /// Whether this stuck thread's wait is a hang of its own: not the rest of a
    /// server, not a thread nobody created, not a break that has no turn left, not a
    /// wait for a person.
    fn is_hang(&self, thread: ThreadId) -> bool {
        let Some(call) = self.pending(thread) else { return false };
        let object = &self.objects[call.object.0 as usize];
        self.threads[thread.0 as usize].parks_on != Some(call.object)
            && !matches!(call.op, Op::Start | Op::Break)
            && object.environment != Some(Environment::Management)
    }

    /// `thread` and all who would have to move before it can.
    fn explain(&self, thread: ThreadId, stuck: Threads) -> Threads {
        let (mut set, mut todo) = (Threads::NONE, Threads::NONE.with(thread));
        while let Some(next) = todo.iter().next() {
            set = set.with(next);
            todo = todo.without(next);
            let born = self.pending(next).is_some_and(|call| !matches!(call.op, Op::Start));
            if born {
                todo = todo | Threads((self.wakers_of(next) & stuck).0 & !set.0);
            }
        }
        let unborn =
            set.iter().filter(|t| self.pending(*t).is_some_and(|c| matches!(c.op, Op::Start)));
        unborn.fold(set, |set, t| set.without(t))
    }

    /// What `thread` waits for, and who could end it.
    pub fn wait(&self, thread: ThreadId) -> Option<Wait> {
        let call = self.pending(thread)?;
        Some(Wait {
            thread,
            operation: call.op.name(),
            object: call.object,
            site: call.site,
            held_by: self.wakers_of(thread),
        })
    }

    /// Every thread that has not come to an end and does not rest, with what it
    /// waits for: what a watchdog prints.
    pub fn unfinished(&self) -> Vec<Wait> {
        let all = (0..self.threads.len()).map(|index| ThreadId(index as u8));
        all.filter_map(|t| self.wait(t)).filter(|w| w.operation != Op::Start.name()).collect()
    }
}
