//! The shared vocabulary of every face: rules, sites, violations.
//! Must not know: where a violation was seen (a model run, a tree, a log).

mod rule;
mod site;

pub use rule::{Explanation, Rule};
pub use site::{Site, at};
