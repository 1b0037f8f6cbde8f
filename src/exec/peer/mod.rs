//! The other QEMU: a source or a destination that speaks the migration stream
//! as a real one of that version would, for a guest of a few pages. It waits
//! where a real one waits and gives up where a real one gives up.
//!
//! A real source is two threads, the migration thread and the return path's;
//! so is this one: `Source` and `return_path`, with a `State` between them. With
//! multifd each channel has a thread besides.
//!
//! Must not know: who carries the bytes (`Wire`), or what a thread is (`Shared`).

mod destination;
mod guest;
mod hostile;
mod multifd;
mod multifd_recv;
mod output;
mod return_path;
mod script;
mod source;
mod state;
mod wire;

pub use destination::{Asks, Destination};
pub use guest::{Block, Device, Guest};
pub use hostile::Hostile;
pub use multifd::{Sending, multifd_send_thread};
pub use multifd_recv::{Received, Receiving, multifd_recv_thread};
pub use return_path::return_path;
pub use script::Script;
pub use source::{Connect, Source};
pub use state::{Monitor, ReturnPath, Shared, State, Status};
pub use wire::{Incoming, Wire};

/// How a side ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Completed,
    /// Postcopy, and the network is lost: a new connection is waited for.
    Paused,
    Failed(String),
    /// A real one of this version waits here for ever.
    Hangs(String),
}
