//! What a resolved function consists of: blocks of steps, and the values whose
//! signs are followed.
//! Must not know: how they are made.

use super::primitives::LockCall;
use crate::scan::ir::{Guard, Path};
use crate::scan::place::{Key, Object, Place, Root, Scope};
use crate::scan::program::{FnId, Sym};

/// What is known of a value: which signs it may have.
pub type Signs = u8;

pub const NEGATIVE: Signs = 1;
pub const ZERO: Signs = 2;
pub const POSITIVE: Signs = 4;
pub const ANY: Signs = 7;
pub const TRUE: Signs = NEGATIVE | POSITIVE;

/// A variable, member, condition or temporary of a function whose sign is
/// followed.
pub type Var = u32;

/// The signs of a constant.
pub fn signs(constant: i64) -> Signs {
    match constant {
        ..0 => NEGATIVE,
        0 => ZERO,
        1.. => POSITIVE,
    }
}

/// A resolved function. There are tens of thousands: what is not followed is not
/// kept, and what few ask for is worked out when they do.
pub struct Resolved<'p> {
    pub blocks: Vec<Block<'p>>,
    /// The variable of each parameter, for the first few.
    pub params: Vec<Var>,
    /// Parameters that a condition looks at.
    pub interesting: u16,
    /// Members that are set to functions.
    pub stores: Vec<(Key, Stored<'p>)>,
}

/// What a member is set to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored<'p> {
    Functions(&'p [FnId]),
    /// Whatever a parameter holds.
    Param(u8),
}

pub struct Block<'p> {
    pub ops: Vec<Step<'p>>,
    pub end: Way,
}

/// An operation.
pub enum Step<'p> {
    Call(Box<CallStep<'p>>),
    /// A call of what is not in the tree, which no lock, contract or condition has
    /// to do with: for those who ask who calls what.
    Idle(Box<CallStep<'p>>),
    /// Sets a variable, and forgets what depends on it.
    Set {
        var: Option<Var>,
        value: Value,
        forget: Box<[Var]>,
        root: Option<Root>,
    },
    Enter {
        guard: Guard,
        lock: Box<Object>,
        line: u32,
    },
    Leave {
        guard: Guard,
        lock: Box<Object>,
    },
    Require {
        held: bool,
        what: Sym,
        line: u32,
        conditional: bool,
    },
    RequireCoroutine {
        inside: bool,
    },
}

/// A value as far as its sign goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    Signs(Signs),
    Of(Var),
    /// 1 if the variable has one of the signs, else 0.
    Test(Var, Signs),
}

/// A way out of a block.
pub enum Way {
    Goto(u32),
    /// To `yes` if the variable has one of `signs`, else to `no`.
    Branch {
        var: Var,
        signs: Signs,
        yes: u32,
        no: u32,
    },
    Any(Vec<u32>),
    Return {
        value: Value,
        line: u32,
    },
    Never,
}

/// A call.
pub struct CallStep<'p> {
    pub name: Option<Sym>,
    pub lock: Option<LockCall>,
    /// What a lock call, wait or wake works on.
    pub object: Option<Box<Object>>,
    pub wait: Option<u16>,
    /// The mutex that a condition wait releases.
    pub mutex: Option<Box<Object>>,
    pub wake: Option<u16>,
    /// Into `Roots::registrars`, one for each callback.
    pub register: &'p [u16],
    pub invoke: Invoke<'p>,
    pub line: u32,
    pub column: u32,
    pub conditional: bool,
    /// Its result, if anything looks at it.
    pub temp: Option<Var>,
    pub args: Box<[Arg<'p>]>,
    /// What is no longer known after it: `&x` was passed.
    pub forget: Box<[Var]>,
    /// Whether it gives the same each time: `kvm_pic_in_kernel()`.
    pub predicate: bool,
}

/// Whose body a call enters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invoke<'p> {
    /// None that we know.
    Nothing,
    /// One of these.
    Functions(&'p [FnId]),
    /// The function that a parameter holds.
    Param(u8),
    /// The functions that a member holds.
    Hook(Key),
}

/// An argument.
pub struct Arg<'p> {
    /// A constant's signs, or a parameter of the caller.
    pub value: Value,
    /// The parameter of the caller that is passed on.
    pub param: Option<u8>,
    /// The functions that it may name.
    pub functions: &'p [FnId],
    /// A call's name or a text: `g_main_context_get_thread_default`, "mig/dst".
    pub word: Option<Sym>,
    /// Whether `word` gives the same each time.
    pub(super) plain: bool,
    pub(super) path: Option<&'p Path>,
}

impl Arg<'_> {
    /// The member that it leads to: a semaphore, a thread's handle.
    pub fn key(&self, caller: &Scope<'_>) -> Option<Key> {
        self.path.map(|path| caller.key_of(path))
    }

    pub fn place(&self, caller: &Scope<'_>) -> Option<Place> {
        match (self.path, self.word) {
            (Some(path), _) => Some(caller.place_of(path)),
            // `foo(migrate_get_current())`: what a call gives, by its name.
            (None, Some(name)) if self.plain => {
                Some(Place { root: Root::Call(name), fields: Vec::new() })
            }
            _ => None,
        }
    }
}
