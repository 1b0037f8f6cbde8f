//! Engines that explore a [`Program`](crate::runtime::Program), and what they
//! find.
//! Must not know: migration, or how a result is shown.

mod dpor;
mod exhaustive;
mod result;
mod trace;

pub use dpor::dpor;
pub use exhaustive::{exhaustive, unreduced};
pub use result::{Exploration, Found, Limits};
