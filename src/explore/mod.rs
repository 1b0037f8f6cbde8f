//! Engines that explore a [`Program`](crate::runtime::Program), and what they
//! find.
//! Must not know: migration, or how a result is shown.

mod dpor;
mod exhaustive;
mod outcomes;
mod random;
mod reach;
mod result;
mod sampled;
mod schedule;
mod trace;
mod witness;

pub use dpor::dpor;
pub use exhaustive::{exhaustive, unreduced};
pub use outcomes::{Outcomes, outcomes, outcomes_unreduced};
pub use random::random_run;
pub use reach::violations;
pub use result::{Exploration, Found, Limits};
pub use sampled::{HANG, harvest, sample, stress};
pub use schedule::{Divergence, Reason, Replay, Step, name_schedule, replay, thread_name};
pub use witness::{is_minimal, shorten, shortest, switches, witness};
