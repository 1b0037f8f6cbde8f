//! `models/scan/locks.json` and `models/scan/guarded.json`: the functions that take
//! and release locks, and what a lock guards.
//! Must not know: how any of it is used.

use serde::Deserialize;
use std::collections::BTreeMap;

/// `models/scan/locks.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locks {
    /// Of the file's form.
    pub schema: u32,
    pub bql: BqlNames,
    pub mutex: MutexNames,
    /// Functions that take one certain lock.
    pub wrappers: Vec<Wrapper>,
    pub rcu: Pair,
    #[serde(rename = "aio-context")]
    pub aio_context: Pair,
    /// Documented orders.
    pub order: Vec<Order>,
    /// Classes of which all instances that meet are one lock.
    #[serde(rename = "shared-by-class")]
    pub shared_by_class: Vec<Shared>,
    /// Classes that are another by a pointer.
    pub same: Vec<Same>,
}

/// The BQL's functions, in both spellings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BqlNames {
    pub lock: Vec<String>,
    pub unlock: Vec<String>,
    /// Whether this thread holds it.
    pub locked: Vec<String>,
    /// Guards that take it unless it is held.
    pub guards: Vec<String>,
    /// Macros that assert the main thread, which holds it.
    #[serde(rename = "main-thread")]
    pub main_thread: Vec<String>,
    /// The mutex itself, as a condition wait names it.
    pub mutexes: Vec<String>,
}

/// Functions on a mutex that is their first argument.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutexNames {
    pub lock: Vec<String>,
    pub trylock: Vec<String>,
    pub unlock: Vec<String>,
    /// Those of `lock` that may be called again by the holder.
    pub recursive: Vec<String>,
    /// Guards of one certain mutex, without an argument.
    pub guards: BTreeMap<String, String>,
}

/// A pair of functions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    pub lock: Vec<String>,
    pub unlock: Vec<String>,
}

/// `qemu_mutex_lock_ramlist()`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrapper {
    pub lock: String,
    pub unlock: String,
    pub class: String,
}

/// `first` is taken before `then`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub first: String,
    pub then: String,
    pub source: String,
}

/// A class whose instances are one lock where they meet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    pub class: String,
    pub source: String,
}

/// A class that is another.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Same {
    pub class: String,
    #[serde(rename = "as")]
    pub other: String,
    pub source: String,
}

/// `models/scan/guarded.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardedMembers {
    /// Of the file's form.
    pub schema: u32,
    pub guarded: Vec<Guarded>,
}

/// A member that some calls may only be given with a lock held.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guarded {
    #[serde(rename = "type")]
    pub ty: String,
    /// Down to the member: `rp_state.from_dst_file`.
    pub field: String,
    pub lock: String,
    pub calls: Vec<String>,
    pub text: String,
    pub source: String,
}
