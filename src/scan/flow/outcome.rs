//! How a function is entered in a lock state, and what following it came to: its
//! ways out, its calls, what may break a rule.
//! Must not know: how a function is followed.

use crate::scan::place::{Key, Object};
use crate::scan::program::{FnId, Sym};
use crate::scan::resolve::{ANY, NEGATIVE, POSITIVE, Signs, ZERO};
use crate::scan::summary::NodeId;

/// How a function is entered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Entry {
    pub bql: bool,
    pub coroutine: bool,
    /// Signs of constant arguments, two bits a parameter: 0 any, 1 zero, 2
    /// positive, 3 negative.
    pub constants: u16,
}

impl Entry {
    pub fn plain(bql: bool, coroutine: bool) -> Entry {
        Entry { bql, coroutine, constants: 0 }
    }

    pub(super) fn signs(self, param: usize) -> Signs {
        match (self.constants >> (2 * param)) & 3 {
            1 => ZERO,
            2 => POSITIVE,
            3 => NEGATIVE,
            _ => ANY,
        }
    }
}

/// A way out: the lock state relative to the entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exit {
    pub bql: bool,
    /// Locks taken and not released.
    pub taken: Vec<Object>,
    /// The caller's locks that were released.
    pub dropped: Vec<Object>,
    /// Of the returned value.
    pub signs: Signs,
    /// Of a return that leads here.
    pub line: u32,
}

/// Whose body a call enters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum To {
    Node(NodeId),
    /// Each function that the member holds.
    Hook(Key, Entry),
}

/// A call, with the state in which it is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edge {
    pub to: To,
    pub name: Sym,
    pub line: u32,
    pub conditional: bool,
    pub bql: bool,
    /// Locks held in this function at the call.
    pub held: Vec<Key>,
}

/// Something that may break a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub what: What,
    pub line: u32,
    pub column: u32,
    pub conditional: bool,
    pub bql: bool,
    /// Whether the BQL was taken in this function.
    pub own_bql: bool,
    /// Other locks held in this function.
    pub held: Vec<Key>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// `assert(bql_locked())` fails; the name of what asserts.
    Require {
        held: bool,
        what: Sym,
    },
    /// `Contracts::functions`.
    Function(u16),
    /// `Contracts::hooks`.
    Hook(u16),
    /// A function asserts it before all else.
    Asserted(FnId),
    /// What a comment asks of the caller of a function: `comment_rows`.
    Comment(FnId, u32),
    /// A lock is needed and not held in this function: `Contracts::locks`.
    NeedsLock(u16, Key),
    /// The same by a comment.
    NeedsCommented(FnId, u32),
    /// `tables::guarded`: a member is used without its lock.
    Guarded(u16),
    /// `bql_unlock()` without the BQL.
    UnlockNotHeld,
    /// A lock is released that this function has released already.
    UnlockedTwice(Key),
    /// The BQL, which was held at the entry, is released and not taken again.
    NotTakenAgain,
    /// The BQL is taken while held.
    BqlTwice,
    /// A lock is taken while held, perhaps in a function called.
    Twice(Key, Option<NodeId>),
    /// Events are polled for below, while a lock is held.
    PollsWith(Key, NodeId),
    /// A lock is taken; for the order.
    Acquire(Key),
    /// The BQL is taken.
    AcquireBql,
    Wait {
        wait: u16,
        object: Option<Key>,
    },
    Wake {
        wake: u16,
        object: Option<Key>,
    },
    /// A callback is handed over: the registrar, the functions, and the word
    /// that says where it runs.
    Register {
        registrar: u16,
        functions: Vec<FnId>,
        place: Option<Sym>,
    },
}

/// The result.
#[derive(Default)]
pub struct Outcome {
    pub exits: Vec<Exit>,
    pub edges: Vec<Edge>,
    pub events: Vec<Event>,
    /// Parameters that are called: with the BQL, in a coroutine.
    pub param_calls: Vec<(u8, bool, bool)>,
    /// Locks that are taken here or below, in terms of the parameters.
    pub acquires: Vec<Object>,
    /// Whether events are polled for here or below; if so, the locks that every
    /// such poll has released of the caller's.
    pub polls: Option<Vec<Key>>,
    /// More states than are kept were met: some ways were given up.
    pub capped: bool,
}
