//! Engines that explore a [`Program`](crate::runtime::Program), and what they
//! find.
//! Must not know: migration, or how a result is shown.

mod exhaustive;
mod result;

pub use exhaustive::{exhaustive, unreduced};
pub use result::{Exploration, Found, Limits};
