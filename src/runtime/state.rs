//! The fingerprint of a state: what threads have observed, how objects stand,
//! what cells hold.
//! Must not know: who compares states.

use super::mutant::Mutant;
use super::object::{Object, State, ThreadId};
use super::world::{Phase, World};
use crate::lock::fingerprint;

impl World {
    /// Folds something that `thread` has seen into what it has observed.
    pub fn observe(&mut self, thread: ThreadId, seen: u128) {
        let history = &mut self.threads[thread.0 as usize].history;
        *history = fingerprint(&(*history, seen));
    }

    /// `thread` forgets what it has observed: `locals` is all it still knows.
    pub fn forget(&mut self, thread: ThreadId, locals: u128) {
        self.threads[thread.0 as usize].history = locals;
    }

    fn has_exited(&self, process: u8) -> bool {
        self.dead & 1 << process != 0
    }

    /// Whether only processes that have exited could still see `object`.
    fn is_gone(&self, object: &Object) -> bool {
        self.dead != 0 && {
            let touchers = (object.users | object.wakers | object.writers) & self.everybody();
            touchers.iter().all(|t| self.has_exited(self.threads[t.0 as usize].process))
        }
    }

    /// The fingerprint of the whole state. Where the others stood at an abort
    /// is nobody's business: all such ends are one.
    pub fn state(&mut self) -> u128 {
        if self.ended {
            let end = self.violations.last().map(|v| (v.rule, v.thread, v.site, &v.message));
            return fingerprint(&(end, &self.trail.values));
        }
        let mutant = self.mutant;
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        for object in self.objects.iter().filter(|object| !self.is_gone(object)) {
            if mutant == Mutant::Queues && matches!(object.state, State::Channel { .. }) {
                continue;
            }
            bytes.feed(&object.state);
        }
        for (cell, owner) in self.cells.iter().zip(&self.cell_owners) {
            if !owner.is_some_and(|process| self.has_exited(process)) {
                cell.feed(&mut bytes);
            }
        }
        for thread in &self.threads {
            if self.has_exited(thread.process) {
                continue;
            }
            let phase = match thread.phase {
                Phase::Running => 0u8,
                Phase::Waiting(_) => 1,
                Phase::Finished | Phase::Killed => 2,
            };
            let forgotten = phase == 2 || mutant == Mutant::Histories;
            let history = if forgotten { 0 } else { thread.history };
            let stalled = if mutant == Mutant::Stalls { 0 } else { thread.stalled };
            bytes.feed(&(phase, history, stalled));
        }
        bytes.feed(&self.trail.values);
        bytes.feed(&self.dead);
        bytes.feed(&(self.spurious, self.breaks, self.breaks_over));
        let state = bytes.fingerprint();
        self.scratch = bytes;
        state
    }
}
