//! The scan's knowledge of QEMU as data: lock functions, waits, roots, protocol
//! facts, contracts. The files are in models/.
//! Must not know: how any of it is used.

#![allow(
    dead_code,
    reason = "a row is read whole, so that a typo in a key is refused; not all is used"
)]

mod contracts;
mod locks;
mod roots;
mod waits;

pub use contracts::{Asked, Contracts, Fact};
pub use locks::{Guarded, Locks};
pub use roots::{ContextKind, FunctionRoot, Roots, Thread};
pub use waits::{WaitKind, Waits};

use contracts::Facts;
use locks::GuardedMembers;
use roots::Threads;
use serde::de::DeserializeOwned;
use std::sync::LazyLock;

fn read<T: DeserializeOwned>(text: &str, file: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("models/{file}: {error}"))
}

macro_rules! table {
    ($file:literal) => {
        read(include_str!(concat!("../../../models/", $file)), $file)
    };
}

static LOCKS: LazyLock<Locks> = LazyLock::new(|| table!("scan/locks.json"));
static WAITS: LazyLock<Waits> = LazyLock::new(|| table!("scan/waits.json"));
static ROOTS: LazyLock<Roots> = LazyLock::new(|| table!("scan/roots.json"));
static THREADS: LazyLock<Threads> = LazyLock::new(|| table!("scan/threads.json"));
static GUARDED: LazyLock<GuardedMembers> = LazyLock::new(|| table!("scan/guarded.json"));
static FACTS: LazyLock<Facts> = LazyLock::new(|| table!("scan/facts.json"));
static CONTRACTS: LazyLock<[Contracts; 3]> = LazyLock::new(|| {
    [table!("contracts/7.2.json"), table!("contracts/10.0.json"), table!("contracts/10.2.json")]
});

/// The functions that take and release locks.
pub fn locks() -> &'static Locks {
    &LOCKS
}

/// The functions that wait and wake.
pub fn waits() -> &'static Waits {
    &WAITS
}

/// Where threads of control begin.
pub fn roots() -> &'static Roots {
    &ROOTS
}

/// The names of threads.
pub fn threads() -> &'static [Thread] {
    &THREADS.threads
}

/// Members that a lock guards.
pub fn guarded() -> &'static [Guarded] {
    &GUARDED.guarded
}

/// The protocol facts.
pub fn facts() -> &'static [Fact] {
    &FACTS.facts
}

/// The contracts of the version that a tree's `VERSION` names: of the newest
/// known one that is not newer.
pub fn contracts(version: &str) -> &'static Contracts {
    &CONTRACTS[edition(version).0]
}

/// Which of the tables of contracts speaks of a version, and what it is called.
pub fn edition(version: &str) -> (usize, &'static str) {
    let mut numbers = version.split('.').map(|part| part.trim().parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match version {
        // A tree without a version is taken to be new.
        (0, 0) => (1, "10.0"),
        version if version < (10, 0) => (0, "7.2"),
        version if version < (10, 2) => (1, "10.0"),
        _ => (2, "10.2"),
    }
}
