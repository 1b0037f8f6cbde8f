//! What happens to a QEMU: a peer that migrates to it, management that gives it
//! commands, vCPUs that touch its memory, a network that fails.
//! Must not know: how threads are scheduled, and what counts as a finding.

pub mod board;
pub mod channel;
pub mod incoming;
pub mod qmp;
pub mod task;
