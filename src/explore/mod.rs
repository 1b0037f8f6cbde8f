//! Engines that explore a [`Program`](crate::runtime::Program), and what they
//! find.
//! Must not know: migration, or how a result is shown.

mod exhaustive;
mod result;
mod sampled;

pub use exhaustive::exhaustive;
pub use result::{Exploration, Found, Limits};
pub use sampled::{harvest, sample, stress};
