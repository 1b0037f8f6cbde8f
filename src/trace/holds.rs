//! Long holds of the BQL and who waited in them; what is held, and who is stuck,
//! when the log ends.
//! Must not know: lines and dialects, how a report looks.

use super::discipline::{Discipline, LongHold, Waiter};
use super::mutex::NONE;
use super::problem::Problem;
use super::span::{Kind, Observer, Span};
use super::thread::{Held, Role};

impl Discipline {
    /// Keeps a hold of the BQL that is one of the longest, or too long.
    pub(super) fn consider(&mut self, thread: u32, held: Held, end: u64, open: bool) {
        let Some(us) = self.clip(held.since, end) else { return };
        let counted = match self.begun {
            Some(begun) => self.clip(held.since.max(begun), end).unwrap_or(0),
            None => 0,
        };
        let too_long = counted > self.limits.max_hold;
        let full = self.longest.len() >= self.limits.top;
        let long = !full || self.longest.last().is_some_and(|shortest| us > shortest.us);
        if !too_long && !long {
            return;
        }
        let waiters = self.waiters(thread, held, end);
        let inside = self.inside.clone();
        let (site, start) = (held.site, held.since);
        let hold = LongHold { thread, site, start, us, open, counted, waiters, inside };
        if too_long && hold.waiters.iter().any(|waiter| !waiter.idle) {
            self.held_waiting.push(hold.clone());
            self.held_waiting.sort_by_key(|hold| std::cmp::Reverse(hold.us));
            self.held_waiting.truncate(1000);
        }
        if long {
            let at = self.longest.partition_point(|other| other.us >= us);
            self.longest.insert(at, hold);
            self.longest.truncate(self.limits.top);
        }
    }

    /// Who waits for the BQL, or needs it again for a condition wait to end.
    fn waiters(&self, holder: u32, held: Held, end: u64) -> Vec<Waiter> {
        let mut waiters = Vec::new();
        for (number, thread) in self.threads.iter().enumerate() {
            let (wait, condition) = match (&thread.waits, &thread.released) {
                (Some(wait), _) => (wait, false),
                (None, Some(wait)) => (wait, true),
                _ => continue,
            };
            let site = self.sites.get(wait.site);
            let plain = condition && site.is_cpus && !site.is_condition;
            if wait.mutex != held.mutex || number as u32 == holder || plain {
                continue;
            }
            let us = end.saturating_sub(wait.since.max(held.since));
            let idle = condition && thread.role == Role::Vcpu;
            waiters.push(Waiter { thread: number as u32, site: wait.site, us, condition, idle });
        }
        // A long list says no more than a short one.
        waiters.sort_by_key(|waiter| (waiter.idle, std::cmp::Reverse(waiter.us), waiter.thread));
        waiters.truncate(64);
        waiters
    }

    /// The log ends: holds that have not are as long as they have been.
    pub fn end<O: Observer>(&mut self, observer: &mut O) {
        for number in 0..self.threads.len() {
            for held in self.threads[number].held.clone() {
                let (thread, site, start, end) = (number as u32, held.site, held.since, self.last);
                let class = self.mutexes.get(held.mutex).class;
                let is_bql = self.mutexes.bql == Some(held.mutex);
                if is_bql {
                    self.consider(thread, held, end, true);
                }
                if self.clip(start, end).is_none() {
                    continue;
                }
                observer.span(&Span { kind: Kind::Holds, thread, class, site, is_bql, start, end });
            }
        }
        if self.sites.is_full() || self.mutexes.is_full() {
            self.problems.add(Problem::TooManyNames, self.line);
        }
    }

    fn waits_for_bql(&self, thread: u32) -> bool {
        let wait = self.threads[thread as usize].waits;
        wait.is_some_and(|wait| self.mutexes.bql == Some(wait.mutex))
    }

    /// Threads each of which waits for a mutex that the next one has.
    pub fn stuck(&self) -> Vec<Vec<u32>> {
        let after = |thread: u32| {
            let wait = self.threads[thread as usize].waits?;
            let owner = self.mutexes.get(wait.mutex).owner;
            (owner != NONE).then_some(owner)
        };
        let mut circles: Vec<Vec<u32>> = Vec::new();
        let mut seen = vec![false; self.threads.len()];
        for start in 0..self.threads.len() as u32 {
            let (mut path, mut at) = (Vec::new(), Some(start));
            while let Some(thread) = at.filter(|thread| !seen[*thread as usize]) {
                seen[thread as usize] = true;
                path.push(thread);
                at = after(thread);
            }
            let again = at.and_then(|thread| path.iter().position(|other| *other == thread));
            // One that waits for what it has: a recursive mutex, if it is not the
            // BQL, and the log ends between two lines.
            let real = |circle: &[u32]| circle.len() > 1 || self.waits_for_bql(circle[0]);
            circles.extend(again.map(|from| path[from..].to_vec()).filter(|c| real(c)));
        }
        circles
    }
}
