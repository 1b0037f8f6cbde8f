//! The shared vocabulary of every face: rules, sites, violations.
//! Must not know: where a violation was seen (a model run, a tree, a log).

mod explanation;
mod rule;
mod site;

pub use explanation::Explanation;
pub use rule::Rule;
pub use site::{Site, at};
