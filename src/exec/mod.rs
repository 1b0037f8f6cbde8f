//! The user's own QEMU under the scheduler, and what it talks to there.
//! Must not know: the command line.

pub mod peer;
