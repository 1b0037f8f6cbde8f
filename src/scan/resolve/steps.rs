//! What a resolved function consists of: blocks of steps, and the values whose
//! signs are followed.
//! Must not know: how they are made.

use super::primitives::LockCall;
use crate::scan::ir::Guard;
use crate::scan::place::{Key, Object, Place, Root};
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

/// A resolved function.
pub struct Resolved {
    pub blocks: Vec<Block>,
    /// The variable of each parameter, for the first few.
    pub params: Vec<Var>,
    /// Parameters that a condition looks at.
    pub interesting: u16,
    /// Members that are set to functions.
    pub stores: Vec<(Key, Stored)>,
}

/// What a member is set to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stored {
    Functions(Vec<FnId>),
    /// Whatever a parameter holds.
    Param(u8),
}

pub struct Block {
    pub ops: Vec<Step>,
    pub end: Way,
}

/// An operation.
pub enum Step {
    Call(Box<CallStep>),
    /// Sets a variable, and forgets what depends on it.
    Set {
        var: Option<Var>,
        value: Value,
        forget: Vec<Var>,
        root: Option<Root>,
    },
    Enter {
        guard: Guard,
        lock: Object,
        line: u32,
    },
    Leave {
        guard: Guard,
        lock: Object,
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
pub struct CallStep {
    pub name: Option<Sym>,
    pub lock: Option<LockCall>,
    /// What a lock call, wait or wake works on.
    pub object: Option<Object>,
    pub wait: Option<u16>,
    /// The mutex that a condition wait releases.
    pub mutex: Option<Object>,
    pub wake: Option<u16>,
    /// Into `Roots::registrars`, one for each callback.
    pub register: Vec<u16>,
    pub invoke: Invoke,
    pub line: u32,
    pub column: u32,
    pub conditional: bool,
    pub temp: Var,
    pub args: Vec<Arg>,
    /// What is no longer known after it: `&x` was passed.
    pub forget: Vec<Var>,
    /// Whether it gives the same each time: `kvm_pic_in_kernel()`.
    pub predicate: bool,
}

/// Whose body a call enters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Invoke {
    /// None that we know.
    Nothing,
    /// One of these.
    Functions(Vec<FnId>),
    /// The function that a parameter holds.
    Param(u8),
    /// The functions that a member holds.
    Hook(Key),
}

/// An argument.
pub struct Arg {
    pub value: Value,
    /// The parameter of the caller that is passed on.
    pub param: Option<u8>,
    pub place: Option<Place>,
    /// The functions that it may name.
    pub functions: Vec<FnId>,
    /// The member that it leads to: a semaphore, a thread's handle.
    pub key: Option<Key>,
    /// A call's name or a text: `g_main_context_get_thread_default`, "mig/dst".
    pub word: Option<Sym>,
}
