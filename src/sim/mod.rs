//! The migration, written once as async functions over any runtime: RAM,
//! postcopy and recovery, source and destination, for any lock plan.
//! Must not know: which engine explores it, or how a result is shown.

mod cast;
mod contracts;
pub mod data;
mod destination;
mod handlers;
pub mod image;
mod judge;
mod memory;
mod message;
mod migration;
mod network;
mod outcome;
mod plan;
mod props;
mod ram;
mod scenario;
mod script;
mod source;
mod state;
mod status;
pub mod stream;
mod threads;

pub use data::DataError;
pub use migration::{Migration, Projected};
pub use outcome::{End, Outcome};
pub use plan::{
    LoadState, LoadvmBql, Plan, RecoverAccept, SectionCheck, Teardown, Version, VfioCleanup,
};
pub use ram::{Content, Guest};
pub use scenario::{Break, Device, Expectation, Moves, Scenario, Size, Verdict};
pub use state::Side;
pub use status::{PostcopyState, Status};
