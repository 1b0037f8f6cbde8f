//! Faults planted into the engines, to show that the tests which pass without
//! them fail with them. A program's `setup` selects one in its world.
//! Must not know: which test catches which.

/// One planted fault, or none. Each is named after what it leaves out.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mutant {
    #[default]
    None,
    /// Persistent sets: who else may lock is no rival of a lock.
    RivalsOfLock,
    /// Persistent sets: who sets an event is no rival of looking at it.
    RivalsOfEventIsSet,
    /// Persistent sets: who sends, too, is no rival of a write that waits for room.
    RivalsOfDrain,
    /// Persistent sets: nobody breaks a channel.
    Breakers,
    /// Persistent sets: nobody ends a process.
    Exits,
    /// Persistent sets: a step ends with its operation, without what follows it.
    LateActs,
    /// Persistent sets: who could wake a blocked member stays outside.
    Wakers,
    /// Of the environment's moves only the first is tried.
    GatedBranches,
    /// After an abort nobody looks at what the others could have done instead.
    AbortedSiblings,
    /// Fingerprints without what threads have observed.
    Histories,
    /// Fingerprints without what channels carry.
    Queues,
    /// Fingerprints without the ticks of present waits.
    Stalls,
    /// Deadlocks: who could still wake a thread does not count.
    Rescuers,
    /// dpor: a sleeping thread is never woken.
    WakeSleepers,
    /// dpor: a step does not learn what the steps it depends on knew.
    ClockJoin,
    /// dpor: a release is taken for a race with the lock that it lets go on.
    ReleaseRaces,
    /// dpor: only the latest step that a step depends on may race with it.
    OlderRaces,
    /// dpor: who waits for ever has lost no race.
    Losers,
    /// dpor: a step of the environment is ordered like any other.
    Barrier,
    /// dpor: what others send does not fill a channel.
    Fill,
    /// dpor: who sends does not look whether the channel is broken.
    Line,
    /// dpor: only the first alternative of an operation is tried.
    Alternatives,
}
