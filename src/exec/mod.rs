//! The user's own QEMU, as compiled, under a scheduler: `link` makes an image of
//! a finished build in which libc's threads, files, memory and clock are ours,
//! `kernel` is what it then runs on, `scenario` what happens to it, `peer` the
//! QEMU on the other side.
//! Must not know: the command line, and how results are shown.

pub mod agree;
mod breaches;
pub mod contract;
pub mod ending;
mod guests;
pub mod image;
pub mod job;
pub mod judge;
pub mod kernel;
pub mod known;
pub mod link;
pub mod named;
mod ordered;
pub mod peer;
mod raced;
pub mod scenario;
pub mod search;
pub mod symbols;
