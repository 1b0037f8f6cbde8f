//! The source QEMU, one thread a file.
//! Must not know: how the destination loads what it is sent.

pub mod cancel;
pub mod completion;
pub mod migration_thread;
pub mod pause;
pub mod return_path;
