//! Questions about a tree: who calls what, in which thread and with which lock;
//! by which paths; whether what implements a hook needs the BQL.
//! Must not know: rules, how an answer is shown.

mod about;
mod calls;
mod need;
mod paths;
mod word;

pub use about::{About, Asked, Contracted, Hook, Implementation, about};
pub use calls::{CallSite, Calls, InThread, callees, callers};
pub use need::{Need, Needed};
pub use paths::{Path, Paths, paths};
pub use word::Unknown;

use serde::Serialize;

/// A call, as a step of a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Step {
    pub caller: String,
    pub callee: String,
    /// Where the call is.
    pub path: String,
    pub line: u32,
    /// Whether it stands under a condition.
    pub conditional: bool,
    /// The BQL at the call: `held`, `not held`.
    pub bql: String,
    /// `SaveVMHandlers.load_cleanup` that holds the callee, or `foreach()` that
    /// it is passed to.
    pub through: Option<String>,
}

/// Where a function stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Defined {
    pub function: String,
    pub path: String,
    pub line: u32,
}

/// The states of the BQL, a bit each: not held, held.
type Bits = u8;

fn bit(bql: bool) -> Bits {
    1 << u8::from(bql)
}

fn state(bits: Bits) -> &'static str {
    match bits {
        0 => "not known",
        1 => "not held",
        2 => "held",
        _ => "either",
    }
}
