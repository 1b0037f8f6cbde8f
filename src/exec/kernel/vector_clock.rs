//! Vector clocks: how much of each thread's past a thread, or a synchronising
//! object, knows of.
//! Must not know: what threads do.

use super::state::Tid;

/// By thread: up to which of its times all is known. What is not there is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clock(Vec<u32>);

impl Clock {
    /// The time of a thread.
    #[inline]
    pub fn get(&self, tid: Tid) -> u32 {
        self.0.get(tid).copied().unwrap_or(0)
    }

    /// One more for a thread.
    pub fn tick(&mut self, tid: Tid) {
        if self.0.len() <= tid {
            self.0.resize(tid + 1, 0);
        }
        self.0[tid] += 1;
    }

    /// Knows what the other knows, too.
    pub fn join(&mut self, other: &Clock) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own = (*own).max(*other);
        }
    }

    /// Knows just what the other knows; keeps its room.
    pub fn copy(&mut self, other: &Clock) {
        self.0.clone_from(&other.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_has_the_later_time_of_each() {
        let (mut one, mut two) = (Clock::default(), Clock::default());
        one.tick(0);
        one.tick(0);
        two.tick(0);
        two.tick(3);
        one.join(&two);
        assert_eq!([0, 1, 2, 3, 4].map(|tid| one.get(tid)), [2, 0, 0, 1, 0]);
        two.copy(&one);
        assert_eq!(one, two);
    }
}
