//! A small kernel in user space: the threads, locks, files, memory and clock of
//! one process, which is a whole QEMU. Each of its threads has a C stack in an
//! arena; all that it does through libc comes here as an operation (`--wrap` in
//! the link), before which another thread may be picked to go on. Between two
//! executions the memory is put back as it was after boot.
//!
//! One OS thread runs all of it, therefore the state can be global.
//! Must not know: migration, and what a scenario wants.

// The kernel owns memory, stacks and the names that a linker sees: it cannot be
// written without. Nothing else of the package has unsafe code.
#![allow(unsafe_code, clippy::missing_safety_doc)]

pub mod arena;
mod backtrace;
pub mod boot;
pub mod choices;
pub mod cleanup;
pub mod clock;
mod contents;
pub mod context;
pub mod fault;
pub mod file;
pub mod freed;
mod interrupt;
mod key;
pub mod locks;
pub mod nesting;
pub mod pair;
pub mod pick;
pub mod pipe;
pub mod process;
pub mod race;
pub mod said;
pub mod shared;
pub mod snapshot;
pub mod socket;
mod spin;
pub mod state;
pub mod sync;
pub mod tasks;
pub mod thread;
pub mod trail;
mod trial;
pub mod uffd;
mod vector_clock;
mod wrap;
