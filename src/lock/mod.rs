//! The shared vocabulary of every face: rules, sites, fingerprints.
//! Must not know: where a violation was seen (a model run, a tree, a log).

mod data_error;
mod explanation;
mod fingerprint;
pub mod order;
mod rule;
mod site;

pub use data_error::DataError;
pub use explanation::Explanation;
pub use fingerprint::{Bytes, FingerprintMap, FingerprintSet, fingerprint, fingerprint_of};
pub use rule::Rule;
pub use site::{Site, at, interned};
