//! The user's own QEMU, linked with our runtime in place of libc's threads,
//! files, memory and clock.
//! Must not know: the simulator's model of the migration.

pub mod job;
pub mod link;
pub mod symbols;
