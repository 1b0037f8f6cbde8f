//! The things threads synchronise on: their state and what an operation does
//! to it. One meaning, shared by all runtimes.
//! Must not know: who schedules, or that there is such a thing as migration.

use super::payload::Payload;
use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Index of a thread in its [`World`](super::World).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ThreadId(pub u8);

/// Index of an object in its [`World`](super::World).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ObjectId(pub u16);

/// A set of threads, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Threads(pub u32);

impl Threads {
    /// No thread.
    pub const NONE: Threads = Threads(0);
    /// Every thread there can be.
    pub const ALL: Threads = Threads(u32::MAX);

    /// The set of `ids`.
    pub fn of(ids: &[ThreadId]) -> Threads {
        ids.iter().copied().collect()
    }

    /// Whether `id` is a member.
    pub fn has(self, id: ThreadId) -> bool {
        self.0 & 1 << id.0 != 0
    }

    /// This set with `id`.
    #[must_use]
    pub fn with(self, id: ThreadId) -> Threads {
        Threads(self.0 | 1 << id.0)
    }

    /// This set without `id`.
    #[must_use]
    pub fn without(self, id: ThreadId) -> Threads {
        Threads(self.0 & !(1 << id.0))
    }

    /// Whether the set has no member.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many members it has.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The members, lowest index first.
    pub fn iter(self) -> impl Iterator<Item = ThreadId> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let index = rest.trailing_zeros();
            (rest != 0).then(|| {
                rest &= rest - 1;
                ThreadId(index as u8)
            })
        })
    }
}

impl std::ops::BitOr for Threads {
    type Output = Threads;
    fn bitor(self, other: Threads) -> Threads {
        Threads(self.0 | other.0)
    }
}

impl std::ops::BitAnd for Threads {
    type Output = Threads;
    fn bitand(self, other: Threads) -> Threads {
        Threads(self.0 & other.0)
    }
}

impl std::ops::Not for Threads {
    type Output = Threads;
    fn not(self) -> Threads {
        Threads(!self.0)
    }
}

impl FromIterator<ThreadId> for Threads {
    fn from_iter<I: IntoIterator<Item = ThreadId>>(ids: I) -> Threads {
        ids.into_iter().fold(Threads::NONE, Threads::with)
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|t| t.0)).finish()
    }
}

/// The name of an object: QEMU's spelling, with an index for arrays.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Name {
    base: &'static str,
    index: Option<u32>,
}

impl Name {
    /// One of many: `Name::nth("page", 3)` reads `page[3]`.
    pub const fn nth(base: &'static str, index: u32) -> Name {
        Name { base, index: Some(index) }
    }
}

impl From<&'static str> for Name {
    fn from(base: &'static str) -> Name {
        Name { base, index: None }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "{}[{}]", self.base, index),
            None => f.write_str(self.base),
        }
    }
}

/// What an object is and how it stands now.
#[derive(Debug)]
pub enum State {
    /// A non-recursive lock (QemuMutex).
    Mutex { owner: Option<ThreadId> },
    /// A counting semaphore (QemuSemaphore).
    Semaphore { count: u32 },
    /// Set once, stays set (QemuEvent that is never reset; a page in place).
    Event { set: bool },
    /// A condition: who has enqueued, and who of them has been signalled.
    Condition { waiting: Threads, signalled: Threads },
    /// A FIFO: messages not yet received; `broken` once it broke or was shut.
    /// `silent`: it broke under way, so a write may still seem to succeed.
    Channel { queue: VecDeque<Payload>, broken: bool, silent: bool },
    /// A shared variable, read and written without a lock.
    Variable { value: u64 },
    /// A thread as something to create and to join.
    Thread { thread: ThreadId, created: bool, joined: bool },
    /// A process as something to leave.
    Process,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, h: &mut H) {
        match self {
            State::Mutex { owner } => h.write_u8(owner.map_or(u8::MAX, |t| t.0)),
            State::Semaphore { count } => h.write_u32(*count),
            State::Event { set } => h.write_u8(u8::from(*set)),
            State::Condition { waiting, signalled } => {
                h.write_u32(waiting.0);
                h.write_u32(signalled.0);
            }
            State::Channel { queue, broken, silent } => {
                h.write_u8(u8::from(*broken) | u8::from(*silent) << 1);
                h.write_u32(queue.len() as u32);
                queue.iter().for_each(|payload| h.write_u128(payload.digest()));
            }
            State::Variable { value } => h.write_u64(*value),
            State::Thread { created, joined, .. } => {
                h.write_u8(u8::from(*created) | u8::from(*joined) << 1);
            }
            State::Process => {}
        }
    }
}

/// An operation that may block, or whose order against others matters: each is
/// one point at which a scheduler chooses.
#[derive(Clone, Debug)]
pub enum Op {
    /// A created thread begins.
    Start,
    Lock,
    /// Outcome 1 if taken, 0 if somebody holds it.
    TryLock,
    /// Unlock as a point of its own, for locks that somebody tries.
    Unlock,
    SemWait,
    /// Alternative 1 is the time-out: outcome 0, and the count is not taken.
    SemTimedWait,
    EventWait,
    EventIsSet,
    /// Sleep in a condition until signalled (after `Enqueue` and unlock).
    CondBlock,
    Recv,
    /// Alternative 1, on a channel that broke silently: the write fails.
    Send(Payload),
    /// Waits until no more messages are in flight than the channel's capacity:
    /// the part of a write that blocks.
    Drain,
    Load,
    Store(u64),
    Swap(u64),
    /// Outcome is the value found; stored only if that was the first argument.
    CompareExchange(u64, u64),
    Join,
    /// One of n; the outcome is the alternative.
    Choose(u8),
    /// Breaks the channel and those linked with it. What was sent before still
    /// arrives, unless it is paced; what is sent later does not, whether the
    /// writer notices (alternative 1 of `Send`) or not.
    Break,
    /// Shuts the channel and those linked with it; what is in flight arrives. One
    /// that is broken already stays as it is.
    Shutdown,
    /// The process ends: its other threads never run again.
    Exit,
}

impl Op {
    /// Whether there are states in which it cannot be done.
    pub fn may_block(&self) -> bool {
        matches!(
            self,
            Op::Start
                | Op::Lock
                | Op::SemWait
                | Op::EventWait
                | Op::CondBlock
                | Op::Recv
                | Op::Drain
                | Op::Join
                | Op::Break
        )
    }

    /// The operation's name, as in logs and schedules.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Start => "start",
            Op::Lock => "lock",
            Op::TryLock => "trylock",
            Op::Unlock => "unlock",
            Op::SemWait => "sem_wait",
            Op::SemTimedWait => "sem_timedwait",
            Op::EventWait => "event_wait",
            Op::EventIsSet => "event_is_set",
            Op::CondBlock => "cond_wait",
            Op::Recv => "recv",
            Op::Send(_) => "send",
            Op::Drain => "write",
            Op::Load => "load",
            Op::Store(_) => "store",
            Op::Swap(_) => "xchg",
            Op::CompareExchange(..) => "cmpxchg",
            Op::Join => "join",
            Op::Choose(_) => "choose",
            Op::Break => "break",
            Op::Shutdown => "shutdown",
            Op::Exit => "exit",
        }
    }
}

/// An operation that only ever enables others: done at once, with the step that
/// it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Unlock,
    Post,
    Set,
    /// Joins a condition's waiters, still holding the lock.
    Enqueue,
    /// Wakes the one waiter there may be.
    Signal,
    Broadcast,
    /// Lets a thread begin.
    Create,
}

impl Act {
    /// The operation's name, as in logs and schedules.
    pub fn name(self) -> &'static str {
        match self {
            Act::Unlock => "unlock",
            Act::Post => "sem_post",
            Act::Set => "event_set",
            Act::Enqueue => "cond_enqueue",
            Act::Signal => "cond_signal",
            Act::Broadcast => "cond_broadcast",
            Act::Create => "create",
        }
    }
}

/// What an operation gives back to the thread that did it.
#[derive(Clone, Debug)]
pub enum Outcome {
    Done,
    Value(u64),
    Received(Payload),
    /// The channel is broken and drained, or broken for a sender.
    Broken,
}

impl Hash for Outcome {
    fn hash<H: Hasher>(&self, h: &mut H) {
        match self {
            Outcome::Done => h.write_u8(0),
            Outcome::Value(value) => h.write_u64(*value),
            Outcome::Received(payload) => h.write_u128(payload.digest()),
            Outcome::Broken => h.write_u8(2),
        }
    }
}

/// What a wait needs from outside both QEMUs (ARCHITECTURE, stall rule S1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Environment {
    Network,
    Page,
    Management,
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Environment::Network => "the network",
            Environment::Page => "a page",
            Environment::Management => "management",
        })
    }
}

/// A synchronisation object with its declared contract. The contract is what
/// the reductions rest on; the world asserts it at every operation.
#[derive(Debug)]
pub struct Object {
    pub name: Name,
    pub state: State,
    /// Who may wait on it, lock it, receive from it, load or store it.
    pub users: Threads,
    /// Who may post, set, signal, send, create: who can end a wait on it.
    pub wakers: Threads,
    /// Who may write a variable; who may break a channel.
    pub writers: Threads,
    /// What a wait on it needs from outside, if it does.
    pub environment: Option<Environment>,
    /// A lock that somebody tries: its unlock is then visible.
    pub tried: bool,
    /// An event that somebody looks at without waiting: its setting then races.
    pub polled: bool,
    /// The lock under which a condition is waited for and signalled, if always.
    pub guard: Option<ObjectId>,
    /// Messages arrive one a tick, when nobody else can move.
    pub paced: bool,
    /// Most messages in flight when a write returns; 0: it waits for arrival.
    pub capacity: usize,
    /// Channels that break with this one (the two directions of a socket).
    pub linked: Vec<ObjectId>,
    /// Tokens or messages taken so far: what numbers them (no part of the state).
    pub taken: u32,
}

impl Object {
    /// An object with no user yet.
    pub fn new(name: Name, state: State) -> Object {
        Object {
            name,
            state,
            users: Threads::NONE,
            wakers: Threads::NONE,
            writers: Threads::NONE,
            environment: None,
            tried: false,
            polled: false,
            guard: None,
            paced: false,
            capacity: usize::MAX,
            linked: Vec::new(),
            taken: 0,
        }
    }
}
