//! Engines that explore a [`Program`](crate::runtime::Program), and what they
//! find.
//! Must not know: migration, or how a result is shown.

mod dpor;
mod exhaustive;
mod reach;
mod result;
mod schedule;
mod trace;
mod witness;

pub use dpor::dpor;
pub use exhaustive::{exhaustive, unreduced};
pub use result::{Exploration, Found, Limits};
pub use schedule::{Divergence, Reason, Replay, Step, name_schedule, replay};
pub use witness::{is_minimal, shorten, shortest, switches, witness};
