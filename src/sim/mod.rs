//! The migration, written once as async functions over any runtime: RAM,
//! postcopy and recovery, source and destination, for any lock plan.
//! Must not know: which engine explores it, or how a result is shown.

pub mod data;
pub mod image;
mod plan;
mod scenario;

pub use data::DataError;
pub use plan::{
    LoadState, LoadvmBql, Plan, RecoverAccept, SectionCheck, Teardown, Version, VfioCleanup,
};
pub use scenario::{Break, Device, Expectation, Moves, Scenario, Size, Verdict};
