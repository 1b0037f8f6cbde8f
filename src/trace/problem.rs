//! What in a log cannot be: each kind is counted, the first of each is kept. Any
//! of them means that lines were lost or mangled: the log does not show all.
//! Must not know: what a log should show.

/// A way in which a log can be wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Problem {
    UnknownLine,
    MangledLock,
    CutLine,
    UnlockWithoutLock,
    UnlockOfAnother,
    TakenWhileHeld,
    WentOnWaiting,
    OtherThanWaited,
    TimeGoesBack,
    ThreadGoesBack,
    TooManyMutexes,
    TooManyNames,
    TooManyThreads,
    TooManyEdges,
    EndsInside,
    NoMigration,
    NoBql,
    Unreadable,
}

use Problem::*;

const ALL: [(Problem, &str); 18] = [
    (UnknownLine, "lines of no known dialect"),
    (MangledLock, "lock events that cannot be read"),
    (CutLine, "the log ends in the middle of a line"),
    (UnlockWithoutLock, "mutexes released that nobody had taken"),
    (UnlockOfAnother, "mutexes released by another thread than took them"),
    (TakenWhileHeld, "mutexes taken while another thread had them"),
    (WentOnWaiting, "threads that went on without the mutex they waited for"),
    (OtherThanWaited, "mutexes taken by a thread that waited for another one"),
    (TimeGoesBack, "times more than a second before an earlier line's"),
    (ThreadGoesBack, "times before the same thread's last"),
    (TooManyMutexes, "mutexes left out: too many are held at once"),
    (TooManyNames, "sites, events or lock classes thrown together: too many"),
    (TooManyThreads, "lines left out: too many threads"),
    (TooManyEdges, "pairs of locks left out of the order: too many"),
    (EndsInside, "the log ends while a migration is under way"),
    (NoMigration, "no migration in the log: its locks alone were checked"),
    (NoBql, "no release of the BQL in the log: it is not known which it is"),
    (Unreadable, "the log cannot be read to its end"),
];

/// The problems of a log.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    found: [(u64, u64); ALL.len()],
    /// What more there is to say of one of them.
    pub detail: String,
}

impl Problems {
    /// One more `problem`, seen at `line`.
    pub fn add(&mut self, problem: Problem, line: u64) {
        let (count, first) = &mut self.found[problem as usize];
        *count += 1;
        if *count == 1 {
            *first = line;
        }
    }

    /// Those there are: what, how many, the first one's line.
    pub fn list(&self) -> impl Iterator<Item = (Problem, &'static str, u64, u64)> {
        let all = ALL.iter().map(|(problem, text)| {
            let (count, first) = self.found[*problem as usize];
            (*problem, *text, count, first)
        });
        all.filter(|(_, _, count, _)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_its_words() {
        for (index, (problem, _)) in ALL.iter().enumerate() {
            assert_eq!(*problem as usize, index);
        }
    }
}
